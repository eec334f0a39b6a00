"""Every code is explained, and the page of codes is up to date."""

from __future__ import annotations

import re
from pathlib import Path

import lungline
from lungline.cli import main
from lungline.flags import CODES, codes_page

ROOT = Path(__file__).resolve().parents[2]


def test_every_code_of_the_package_is_explained_and_none_is_idle():
    package = Path(lungline.__file__).parent
    texts = [path.read_text() for path in package.rglob("*.py")]
    used = {code for text in texts for code in re.findall(r'"([QWNTM]_[A-Z][A-Z0-9_]+)"', text)}
    assert used == set(CODES)


def test_every_code_says_what_it_means_and_what_to_do():
    for code, (meaning, remedy) in CODES.items():
        assert re.fullmatch("[QWNTM]_[A-Z0-9_]+", code)
        assert meaning
        assert remedy


def test_the_page_of_codes_is_up_to_date(capsys, tmp_path):
    assert (ROOT / "docs" / "reference" / "codes.md").read_text() == codes_page(), "run: lungline codes PAGE"
    assert main(["codes"]) == 0
    assert capsys.readouterr().out == codes_page()
    assert main(["codes", str(tmp_path / "codes.md")]) == 0
    assert (tmp_path / "codes.md").read_text() == codes_page()
