"""`lungline listen` beside a server that lies, and after a kill; a real Orthanc is in tests/workflow/test_pacs.py."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from liar import Liar, reply
from lungline.errors import LunglineError
from lungline.pacs.answering import Answerer, Entry
from lungline.pacs.study_source import Study
from lungline.stages import listen

FIRST, SECOND = ("-".join([digit * 8] * 5) for digit in "12")


@pytest.fixture
def server() -> Iterator[Liar]:
    """Two studies without CT; of the first one only nonsense is said."""
    server = Liar()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        words = handler.path.strip("/")
        known = {
            "changes?last": {"Last": 5},
            "studies?expand": [{"ID": one, "IsStable": True, "LastUpdate": "t1"} for one in (FIRST, SECOND)],
            f"studies/{FIRST}/statistics": {"CountInstances": 1},
            f"studies/{SECOND}/statistics": {"CountInstances": 1},
            f"studies/{FIRST}/series": {"no": "list"},
            f"studies/{SECOND}/series": [{"MainDicomTags": {"Modality": "MR"}, "Instances": []}],
        }
        reply(handler, json.dumps(known[words]).encode())

    server.answer = answer
    yield server
    server.shutdown()
    server.server_close()


def test_nonsense_about_one_study_costs_that_study(server, tmp_path, capsys) -> None:
    assert listen.run(server.url, out=tmp_path / "out", every_s=0.01, settle_s=0.0, once=True) == 1
    said = [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines()[1:]]
    nonsense = [line for line in said if line.startswith("FAILED")]
    assert len(nonsense) == 3
    assert all("'studies' is answered in a way that no Orthanc answers (all of it: list_type)" in n for n in nonsense)
    assert [line for line in said if line not in nonsense] == ["no CT in it (found MR): nothing to do"]


def test_images_of_a_run_that_was_killed_are_removed_and_its_study_keeps_its_name(server, tmp_path) -> None:
    private = tmp_path / "out/private"
    (private / "incoming/study-abc").mkdir(parents=True)
    (private / "incoming/study-abc/00000.dcm").write_bytes(b"DICM")
    (private / "journal.json").write_text(json.dumps({SECOND: {"name": "study-abc"}}))
    listen.run(server.url, out=tmp_path / "out", every_s=0.01, settle_s=0.0, once=True)
    assert not list(private.glob("incoming/*"))
    journal = json.loads((private / "journal.json").read_text())
    assert journal[SECOND]["name"] == "study-abc"
    assert journal[SECOND]["outcome"] == "no CT in it (found MR): nothing to do"


def test_a_study_stands_in_the_journal_before_it_is_answered(server, tmp_path, monkeypatch) -> None:
    """A kill then leaves its name, and the next start answers it into the same folder."""

    def killed(answerer: Answerer, study: Study, known: Entry) -> Entry:
        raise KeyboardInterrupt

    monkeypatch.setattr(Answerer, "_handle", killed)
    assert listen.run(server.url, out=tmp_path / "out", every_s=0.01, settle_s=0.0, once=True) == 0
    ((study, entry),) = json.loads((tmp_path / "out/private/journal.json").read_text()).items()
    assert (study, entry["updated"], entry["failed"]) == (FIRST, "", False)
    monkeypatch.undo()
    listen.run(server.url, out=tmp_path / "out", every_s=0.01, settle_s=0.0, once=True)
    assert json.loads((tmp_path / "out/private/journal.json").read_text())[FIRST]["name"] == entry["name"]


def test_a_second_listener_in_one_folder_is_refused(server, tmp_path) -> None:
    from lungline.runner.locks import hold

    with hold(tmp_path / "out"), pytest.raises(LunglineError, match="another run is at work here"):
        listen.run(server.url, out=tmp_path / "out", once=True)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "[" * 100_000,
        json.dumps({FIRST: {"name": None}}),
        json.dumps({FIRST: {"name": "../../elsewhere"}}),
        json.dumps({FIRST: {"name": "study-abc", "failed": "perhaps"}}),
        json.dumps({"../x": {"name": "study-abc"}}),
    ],
)
def test_a_journal_that_is_none_is_one_line(server, tmp_path: Path, content) -> None:
    (tmp_path / "out/private").mkdir(parents=True)
    (tmp_path / "out/private/journal.json").write_text(content)
    with pytest.raises(LunglineError, match="not a journal of `lungline listen`"):
        listen.run(server.url, out=tmp_path / "out", once=True)
