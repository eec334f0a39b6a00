"""Every flag is explained, and the page of flags is up to date."""

from __future__ import annotations

import re
from pathlib import Path

import lungline
from lungline.cli import main
from lungline.qc_flags import FLAGS, flags_page

ROOT = Path(__file__).resolve().parents[2]


def test_every_code_of_the_package_is_explained_and_none_is_idle():
    package = Path(lungline.__file__).parent
    texts = [path.read_text() for path in package.rglob("*.py")]
    used = {flag for text in texts for flag in re.findall(r'"([QWNTM]_[A-Z][A-Z0-9_]+)"', text)}
    assert used == set(FLAGS)


def test_every_code_says_what_it_means_and_what_to_do():
    for flag, (meaning, remedy) in FLAGS.items():
        assert re.fullmatch("[QWNTM]_[A-Z0-9_]+", flag)
        assert meaning
        assert remedy


def test_the_page_of_codes_is_up_to_date(capsys, tmp_path):
    assert (ROOT / "docs" / "reference" / "flags.md").read_text() == flags_page(), "run: lungline flags PAGE"
    assert main(["flags"]) == 0
    assert capsys.readouterr().out == flags_page()
    assert main(["flags", str(tmp_path / "flags.md")]) == 0
    assert (tmp_path / "flags.md").read_text() == flags_page()
