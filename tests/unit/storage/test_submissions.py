"""A submission is read the fast way where it is plain, and means the same either way."""

from __future__ import annotations

import pytest

from lungline.errors import LunglineError
from lungline.storage import submissions
from lungline.storage.submissions import read_marks

HEAD = "seriesuid,coordX,coordY,coordZ,probability\n"
PLAIN = [
    HEAD + "a,1,-2.5,+3e1,.5\nb,0,0,0,1.\na,1,2,3,0.25\n",
    HEAD + "a,1,2,3,0.1",
    HEAD.replace("\n", "\r\n") + "a,1,2,3,0.1\r\n",
    "probability,note,seriesuid,coordZ,coordY,coordX\n0.1,x,a,3,2,1\n0.2,,b,3,2,1\n",
    HEAD,
]
OTHER = [
    HEAD + '"a",1,2,3,0.1\n',
    HEAD + "a , 1,2,3,0.1\n\n",
    HEAD.replace(",", ";") + "a;1,5;2;3;0,1\n",
    "\ufeff" + HEAD + "ä,1,2,3,0.1\n",
    HEAD + "a,1,2,3,0.1,,\n",
]
WRONG = [
    HEAD + "a,1,2,3,0.1\na,1,2,3,0.2\n",
    HEAD + "a,1,2,3,1e999\n",
    HEAD + "a,1,2,3,nan\n",
    HEAD + "a,1,2,3\n",
    HEAD + "a,1,2,3,0x1\n",
    HEAD + "a,1_0,2,3,1\n",
    "seriesuid,coordX\na,1\n",
]


def slowly(path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(submissions, "_plain_marks", lambda path: None)
        return read_marks(path)


@pytest.mark.parametrize("text", [*PLAIN, *OTHER])
@pytest.mark.parametrize("block", [8, 1 << 22])
def test_marks_are_the_same_either_way(text, block, tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "_PLAIN_BLOCK", block)
    (tmp_path / "marks.csv").write_bytes(text.encode())
    plain = submissions._plain_marks(tmp_path / "marks.csv")
    wanted = slowly(tmp_path / "marks.csv", monkeypatch)
    assert (plain is not None) == (text in PLAIN)
    assert read_marks(tmp_path / "marks.csv") == wanted
    assert list(read_marks(tmp_path / "marks.csv")) == list(wanted)


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_named_as_before(text, tmp_path, monkeypatch):
    (tmp_path / "marks.csv").write_text(text)
    with pytest.raises(LunglineError) as wanted:
        slowly(tmp_path / "marks.csv", monkeypatch)
    with pytest.raises(LunglineError) as found:
        read_marks(tmp_path / "marks.csv")
    assert str(found.value) == str(wanted.value)
