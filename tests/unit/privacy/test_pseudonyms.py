"""private/ is its owner's alone, whatever the umask is and whatever was there before."""

import os
import stat

import pytest

from lungline.errors import LunglineError
from lungline.privacy import permissions
from lungline.privacy.permissions import restrict_permissions, secret_folder, write_secret
from lungline.privacy.pseudonyms import Original, pseudonym_key, read_map, remember
from lungline.readers.listing import Listed
from lungline.storage import checksums
from lungline.storage.scan_rows import ScanRow

NAMES = ["Doe, Jane/series 1", "=1+1", "two\nlines", " blank ", os.fsdecode(b"caf\xe9"), "a\\x41"]


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def listed(folder, names=("Doe",)):
    rows = [ScanRow(f"scan-{n}", "dicom", "folder", "test") for n in range(len(names))]
    return [Listed(row, name, folder / name) for row, name in zip(rows, names, strict=True)]


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_everything_is_the_owners_alone_under_every_umask(tmp_path, umask):
    private = tmp_path / "private"
    pseudonym_key(private)
    remember(private, listed(tmp_path), forget=())
    assert {path.name: mode(path) for path in (private, private / "raw", private / "key", private / "map.csv")} == {
        "private": 0o700,
        "raw": 0o700,
        "key": 0o600,
        "map.csv": 0o600,
    }


def test_what_others_could_read_is_tightened_with_a_word_and_once(tmp_path, capsys):
    private = tmp_path / "private"
    pseudonym_key(private)
    remember(private, listed(tmp_path), forget=())
    places = (private, private / "raw", private / "key", private / "map.csv")
    for path in places:
        path.chmod(mode(path) | 0o055)
    remember(private, listed(tmp_path), forget=())  # nothing new to write
    assert [mode(path) for path in places] == [0o700, 0o700, 0o600, 0o600]
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in told] == list(map(str, places))
    assert "mode 755); now it is yours alone" in told[0]
    remember(private, listed(tmp_path), forget=())
    assert capsys.readouterr().err == ""


def test_the_temporary_file_is_secret_too_and_an_old_one_is_not_used(tmp_path, monkeypatch):
    stale = tmp_path / f".map.csv.{os.getpid()}.tmp"
    stale.touch(mode=0o666)
    seen = []
    replace = os.replace

    def watched(source, target):
        seen.append(mode(source))
        replace(source, target)

    monkeypatch.setattr(checksums.os, "replace", watched)
    write_secret(tmp_path / "map.csv", "secret")
    assert seen == [0o600]
    assert mode(tmp_path / "map.csv") == 0o600
    assert os.listdir(tmp_path) == ["map.csv"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    write_secret(tmp_path / "map.csv", "old")
    monkeypatch.setattr(checksums.os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space"):
        write_secret(tmp_path / "map.csv", "new")
    assert (tmp_path / "map.csv").read_text() == "old"
    assert os.listdir(tmp_path) == ["map.csv"]


def test_a_folder_of_somebody_else_is_refused_and_a_file_system_without_modes_is_told(tmp_path, monkeypatch, capsys):
    tmp_path.chmod(0o755)

    def denied(path, rights):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(permissions.Path, "chmod", denied)
    with pytest.raises(LunglineError, match="not yours"):
        secret_folder(tmp_path)
    monkeypatch.setattr(permissions.Path, "chmod", lambda path, rights: None)
    restrict_permissions(tmp_path)
    assert "does not change that" in capsys.readouterr().err


def test_names_come_back_as_they_were_and_the_map_starts_no_formula(tmp_path):
    private = tmp_path / "private"
    remember(private, listed(tmp_path, NAMES), forget=())
    assert read_map(private) == {f"scan-{n}": Original(name, tmp_path / name) for n, name in enumerate(NAMES)}
    lines = (private / "map.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(NAMES)
    assert "scan-1,\\x3d1+1," in lines[2]
    assert [os.readlink(private / "raw" / f"scan-{n}") for n in range(len(NAMES))] == [
        str(tmp_path / name) for name in NAMES
    ]


def test_a_key_that_is_none_is_refused(tmp_path):
    write_secret(tmp_path / "key", "")
    with pytest.raises(LunglineError, match="expected 64 hexadecimal digits"):
        pseudonym_key(tmp_path)


def test_a_link_that_cannot_be_made_is_named_without_its_target(tmp_path):
    with pytest.raises(LunglineError, match="the link to the scan cannot be made") as error:
        remember(tmp_path / "private", listed(tmp_path, ["Doe" * 2000]), forget=())
    assert "Doe" not in str(error.value)
