"""Steps in a process that is another's."""

import errno

import pytest

from lungline.errors import LunglineError
from lungline.runner.in_memory import work_folder


def test_the_folder_is_private_and_gone_afterwards() -> None:
    with work_folder() as folder:
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "file").touch()
    assert not folder.exists()


def test_a_full_disk_is_one_line_and_another_mistake_stays_what_it_is() -> None:
    with pytest.raises(LunglineError, match=r"^No space left on device for temporary files\. .*TMPDIR"), work_folder():
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(RuntimeError, match="ours"), work_folder():
        raise RuntimeError("ours")
