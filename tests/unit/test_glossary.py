"""The codes of the glossary are those of DICOM, and the words that it explains are in use."""

import re
from pathlib import Path

import pytest
from pydicom.sr.codedict import codes

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "glossary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["SCT", "DCM"])
def test_every_code_has_the_meaning_that_dicom_gives_it(scheme) -> None:
    named = re.findall(rf"{scheme} (\d+) ([A-Z][\w ]+)", PAGE)
    of_scheme = getattr(codes, scheme)
    known = {
        code.value: code.meaning for name in dir(of_scheme) if hasattr(code := getattr(of_scheme, name), "meaning")
    }
    assert named
    for value, meaning in named:
        assert known[value].casefold().startswith(meaning.strip().casefold())


def test_no_word_is_explained_twice() -> None:
    words = re.findall(r"^\| ([^|]+) \|", PAGE, re.MULTILINE)
    words = [word for word in words if word != "word"]
    assert len(words) == len(set(words)) > 50
