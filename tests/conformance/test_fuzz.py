"""The fuzzer's targets read sound inputs and all that once failed; the fuzzer finds, and shortens, what is planted."""

from pathlib import Path

import pytest

from tests.conformance.fuzz.__main__ import NAMES, changed, note, place_of, smallest
from tests.conformance.fuzz.targets import TARGETS, Target, seeds
from tests.repository import REPOSITORY


def test_every_target_has_a_name_on_the_command_line_and_no_seed_is_forgotten() -> None:
    assert tuple(TARGETS) == NAMES
    folders = {path.name for path in (REPOSITORY / "tests/conformance/fuzz/seeds").glob("*")}
    assert folders <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_sound_inputs_are_read_and_former_faults_end_in_a_line(name: str) -> None:
    target = TARGETS[name]
    strict = Target(target.read, target.sound, target.modules, ())
    for blob in target.sound():
        strict.run(blob)
    for path in seeds(name):
        target.run(path.read_bytes())
    target.run(b"")


def test_a_fault_is_kept_once_and_as_small_as_it_goes(tmp_path: Path) -> None:
    def read(data: bytes) -> None:
        if b"X" in data and b"Y" in data:
            raise KeyError("planted")

    data = b"0123456789" * 30 + b"X" + b"abc" * 20 + b"Y" + b"z" * 50
    for blob in (data, data + b"!"):
        with pytest.raises(KeyError) as raised:
            read(blob)
        note(read, blob, raised.value, tmp_path)
    (kept,) = (path for path in tmp_path.iterdir() if path.suffix != ".txt")
    assert kept.read_bytes() == b"XY"
    assert kept.with_suffix(".txt").read_text().startswith("KeyError outside\n")
    assert smallest(read, b"none", "KeyError outside") == b"none"


def test_faults_at_two_places_have_two_names() -> None:
    from lungline.evaluation.array_pickles import _scalar

    with pytest.raises(Exception) as one:  # noqa: PT011
        _scalar(None, b"")  # type: ignore[arg-type]
    assert "evaluation/array_pickles.py:" in place_of(one.value)


def test_blind_changes_differ_and_stay_short() -> None:
    import random

    rng = random.Random(1)
    made = {changed(b"0123456789" * 100, rng) for _ in range(50)}
    assert len(made) > 40
    assert max(map(len, made)) < 2000
