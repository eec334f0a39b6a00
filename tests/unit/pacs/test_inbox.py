"""The queue of received studies: on disk before success is said, bounded, and what was refused is not forgotten."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from lungline.errors import LunglineError
from lungline.pacs import inbox as module
from lungline.pacs.answering import Answerer, prepare
from lungline.pacs.inbox import FullError, Inbox, Limits
from lungline.pacs.part10 import identify
from tests.conformance.receive import ROOMY, as_file, fast_hours, image, object_of, tiny_answer

SIZE = len(as_file(image(0, 0)))


@pytest.fixture
def answerer(tmp_path) -> Answerer:
    return opened(tmp_path)


def opened(folder: Path, limits: Limits = ROOMY) -> Answerer:
    journal = prepare(folder)
    return Answerer(Inbox(folder / "private", limits, None), folder, tiny_answer, None, 0.0, journal)


def receive(answerer: Answerer, *images: tuple[int, int], content: bytes | None = None) -> None:
    for study, k in images:
        answerer.source.receive(as_file(image(study, k)) if content is None else content)  # type: ignore[attr-defined]


def look(answerer: Answerer) -> list[str]:
    """What the journal says after all that is quiet was answered."""
    answerer.look()
    answerer.look()
    return [entry.outcome for entry in answerer.journal.values()]


def answers(folder: Path) -> list[str]:
    path = folder / "answers.log"
    return [line.split()[1] for line in path.read_text().splitlines()] if path.is_file() else []


ANSWERED = "probability 0.500; SEG and SR written"
NO_NEWS = f"{ANSWERED}; no new CT since it was answered: nothing to do"


def test_a_study_is_answered_and_its_images_go(answerer, tmp_path) -> None:
    receive(answerer, (0, 0), (0, 1))
    assert look(answerer) == ["probability 0.500; SEG and SR written"]
    assert list((tmp_path / "private/inbox").iterdir()) == []
    assert list((tmp_path / "private/incoming").iterdir()) == []
    assert answers(tmp_path) == ["2"]


def test_the_same_study_again_is_not_answered_again_and_another_image_is(answerer, tmp_path) -> None:
    receive(answerer, (0, 0), (0, 1))
    look(answerer)
    receive(answerer, (0, 1), (0, 0))
    assert look(answerer) == [NO_NEWS]
    receive(answerer, (0, 1))  # a part of it: the sender was cut off
    assert look(answerer) == [NO_NEWS]
    assert answers(tmp_path) == ["2"]
    changed = as_file(object_of(identify(as_file(image(0, 0))).study, image(0, 0).SOPInstanceUID, Rows=5))
    receive(answerer, (0, 0), content=changed)
    receive(answerer, (0, 1))
    assert "SEG and SR" in look(answerer)[0]
    assert answers(tmp_path) == ["2", "2"]


def test_new_images_without_those_of_before_wait_for_them(answerer, tmp_path) -> None:
    receive(answerer, (0, 0), (0, 1))
    look(answerer)
    receive(answerer, (0, 2))
    (said,) = look(answerer)
    assert "FAILED: new images came to a study that was answered, without 2 of those of before" in said
    receive(answerer, (0, 0), (0, 1))
    assert "SEG and SR" in look(answerer)[0]
    assert answers(tmp_path) == ["2", "3"]


def test_a_kill_between_any_two_steps_costs_nothing(tmp_path, monkeypatch) -> None:
    """Ended when the answer is made, when the journal is written, and amid the removal of the images."""
    answerer = opened(tmp_path)
    receive(answerer, (0, 0), (0, 1))

    def killed(*words: object, **options: object) -> None:
        raise KeyboardInterrupt

    for step in ("store", "done"):
        with monkeypatch.context() as ended:
            ended.setattr(Inbox, step, killed)
            with pytest.raises(KeyboardInterrupt):
                look(answerer)
        answerer = opened(tmp_path)
    assert answers(tmp_path) == ["2", "2"]  # the first one was given to nobody

    def half(folder: Path, **options: object) -> None:
        if folder.parent.name == "inbox":
            next(folder.glob("*.dcm")).unlink()
            raise KeyboardInterrupt

    with monkeypatch.context() as ended:
        ended.setattr(module.shutil, "rmtree", half)
        with pytest.raises(KeyboardInterrupt):
            look(answerer)
    assert len(list(tmp_path.glob("private/inbox/*/*.dcm"))) == 1
    answerer = opened(tmp_path)
    assert look(answerer) == [NO_NEWS]
    assert answers(tmp_path) == ["2", "2"]
    assert list((tmp_path / "private/inbox").iterdir()) == []


def test_what_was_being_written_when_it_was_killed_is_no_image(tmp_path) -> None:
    answerer = opened(tmp_path)
    receive(answerer, (0, 0))
    (folder,) = (tmp_path / "private/inbox").iterdir()
    (folder / "7.part").write_bytes(b"half")
    (folder / ".8.part.77.tmp").write_bytes(b"half")
    answerer = opened(tmp_path)
    assert answerer.source.count(folder.name) == 1
    assert sorted(path.suffix for path in folder.iterdir()) == [".dcm"]
    look(answerer)
    assert answers(tmp_path) == ["1"]


def test_an_image_has_its_name_only_when_it_is_synced(tmp_path, monkeypatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(module.os, "fsync", synced.append)
    answerer = opened(tmp_path)
    receive(answerer, (0, 0))
    assert len(synced) == 3  # the file, its new folder, and the folder above

    def broken(handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(module.os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        receive(answerer, (0, 1))
    assert len(list(tmp_path.glob("private/inbox/*/*.dcm"))) == 1


def test_a_full_queue_refuses_new_studies_first_and_ends_what_has_begun(tmp_path) -> None:
    answerer = opened(tmp_path, Limits(10 * SIZE + 5, 1 << 20, 100))
    receive(answerer, *((0, k) for k in range(8)))
    with pytest.raises(FullError):
        receive(answerer, (1, 0))
    receive(answerer, (0, 8), (0, 9))
    with pytest.raises(FullError):
        receive(answerer, (0, 10))
    outcomes = look(answerer)
    assert len(outcomes) == 2
    assert all("FAILED: 1 of its images were refused because there was no room" in outcome for outcome in outcomes)
    assert answers(tmp_path) == []


def test_a_study_with_a_refused_image_is_answered_when_that_came_also_after_a_restart(tmp_path) -> None:
    answerer = opened(tmp_path, Limits(1 << 20, 1 << 20, 2))
    receive(answerer, (0, 0), (0, 1))
    with pytest.raises(FullError):
        receive(answerer, (0, 2))
    answerer = opened(tmp_path)
    assert "FAILED" in look(answerer)[0]
    receive(answerer, (0, 2))
    assert "SEG and SR" in look(answerer)[0]
    assert answers(tmp_path) == ["3"]


def test_a_disk_without_room_refuses(tmp_path, monkeypatch) -> None:
    answerer = opened(tmp_path)
    monkeypatch.setattr(module, "_free", lambda folder: 1 << 20)
    with pytest.raises(FullError):
        receive(answerer, (0, 0))


def test_one_image_from_many_callers_at_once_is_one_whole_image(tmp_path) -> None:
    answerer = opened(tmp_path)
    callers = [threading.Thread(target=receive, args=(answerer, *[(0, k) for k in range(5)])) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    (study,) = answerer.source.studies()
    assert answerer.source.count(study.id) == 5
    assert answerer.source._held[study.id].bytes == 5 * SIZE  # type: ignore[attr-defined]
    assert [path.read_bytes() for path in tmp_path.glob("private/inbox/*/*.part")] == []
    look(answerer)
    assert answers(tmp_path) == ["5"]


def test_an_image_that_comes_while_its_study_is_answered_is_not_deleted(tmp_path, monkeypatch) -> None:
    answerer = opened(tmp_path)
    receive(answerer, (0, 0))
    original = answerer.source.store
    monkeypatch.setattr(answerer.source, "store", lambda file: (receive(answerer, (0, 1)), original(file))[1])
    look(answerer)
    assert len(list(tmp_path.glob("private/inbox/*/*.dcm"))) == 2
    monkeypatch.undo()
    look(answerer)
    assert answers(tmp_path) == ["1", "2"]


def test_a_study_of_mr_goes_without_an_answer(answerer, tmp_path) -> None:
    receive(answerer, (0, 0), content=as_file(object_of("1.2", "1.2.3", modality="MR")))
    assert look(answerer) == ["no CT in it (found MR): nothing to do"]
    assert list((tmp_path / "private/inbox").iterdir()) == []


def test_names_of_files_tell_nobody_who_it_is(answerer, tmp_path) -> None:
    receive(answerer, (0, 0))
    one = identify(as_file(image(0, 0)))
    names = " ".join(map(str, tmp_path.rglob("*")))
    assert not any(word in names for word in (one.study, one.instance, one.patient))
    assert all(path.stat().st_mode & 0o77 == 0 for path in (tmp_path / "private").rglob("*"))


WHOLE = as_file(object_of("1.2", "1.2.3"))
NO_STUDY, NO_UID = as_file(object_of("", "1.2.3")), WHOLE.replace(b"1.2\0", b"../x")


@pytest.mark.parametrize("content", [b"", b"DICM", bytes(128) + b"DICM", WHOLE[132:], NO_STUDY, NO_UID], ids=range(6))
def test_what_is_no_object_is_refused_and_leaves_nothing(answerer, tmp_path, content) -> None:
    with pytest.raises(LunglineError, match="DICOM"):
        receive(answerer, (0, 0), content=content)
    assert list((tmp_path / "private/inbox").iterdir()) == []


def test_an_endless_beginning_is_not_read_to_its_end() -> None:
    sequence = b"\x08\x00\x11\x11SQ\0\0\xff\xff\xff\xff"
    nested = sequence + (b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + sequence) * 200_000
    start = as_file(object_of("1.2", "1.2.3"))
    meta = start[: start.index(b"\x08\x00\x16\x00UI")]
    with pytest.raises(LunglineError, match=r"cannot be read|without its identifiers"):
        identify(meta + nested)


def test_24_hours_under_a_fast_clock_answer_each_study_once_and_hold_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module.os, "fsync", lambda handle: None)  # of a disk that is fast, too
    found = fast_hours(tmp_path, hours=24.0, every_s=1200.0)
    assert (found["studies"], found["answered once, whole"], found["answers"], found["held"]) == (72, 72, 72, 0)
    assert len(json.loads((tmp_path / "private/journal.json").read_text())) == 72
