"""Four callers at once while the receiver is killed twice; `python -m tests.conformance.receive` is the full size."""

from pathlib import Path

from tests.conformance.receive import storm


def test_every_study_is_answered_once_of_all_its_images_though_the_receiver_is_killed_twice(tmp_path: Path) -> None:
    found = storm(tmp_path, studies=40, quiet_s=6.0)
    assert found["images sent"] == 120
    wrong = ("studies without SEG or SR", "studies with more than one SEG or SR", "answers of fewer images")
    left = ("failed in the journal", "left in the queue", "left for the node")
    assert {name: found[name] for name in (*wrong, *left)} == dict.fromkeys((*wrong, *left), 0)
    assert found["in the journal"] == 40
