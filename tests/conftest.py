"""What many tests need: where the real sample data are; options."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.repository import sample_folder


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slurm-long", action="store_true", help="also run the long test on a real Slurm")
    parser.addoption("--wheel-long", action="store_true", help="also install the wheel with all that it needs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file run in one process; all files that need the finished run in the same, so it is made once.

    Those begin, since they take longest.
    """
    shared = {item.path for item in items if "finished" in getattr(item, "fixturenames", ())}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("finished" if item.path in shared else str(item.path)))
    items.sort(key=lambda item: item.path not in shared)


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The folder of real sample data; the test is skipped where there is none."""
    folder = sample_folder()
    if folder is None:
        pytest.skip("needs the real sample data: set LUNGLINE_SAMPLE_DATA to their folder")
    return folder
