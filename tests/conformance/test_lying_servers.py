"""`lungline listen` beside servers that lie, killed on the way: no leak, nothing stays, each study has its answer."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.conformance import lying_servers
from tests.conformance.lying_servers import one_way


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login for every host, which only one may see."""
    (tmp_path / ".netrc").write_text("default login user password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))


LIES = ("redirect 302", "half", "two lengths", "deep", "paths for ids", "NUL")


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_and_a_kill_cost_no_study_and_leave_nothing(lie: str, tmp_path: Path) -> None:
    assert one_way(random.Random(lie), tmp_path, lie).faults == []


def test_an_image_left_behind_would_be_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lying_servers, "_predict", lambda command, **options: _left(Path(command[5]).parent, command))
    faults = one_way(random.Random(0), tmp_path, "null").faults
    assert "images left in private/incoming" in faults


_predict = lying_servers._predict


def _left(incoming: Path, command: list[str]) -> object:
    (incoming / "forgotten.dcm").touch()
    return _predict(command)
