"""Changes of a finished run of many scans; python -m benchmarks.scale does it with thousands."""

import pytest

from tests.finished_run import changes, finished

pytestmark = pytest.mark.workflow
SCANS = 100


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory):
    """A hundred scans, of which every file is there, though empty."""
    return finished(tmp_path_factory.mktemp("scale"), SCANS)


@pytest.mark.parametrize("name", ["nothing", "one patient more", "an edit in detection/candidates.py"])
def test_a_change_plans_exactly_what_depends_on_it(many, name) -> None:
    workflow, config = many
    change, edit, expected = changes(SCANS)[name]
    if edit is None:
        assert workflow.plan("micro", change=config | change) == expected
    else:
        with workflow.edited(*edit):
            assert workflow.plan("micro", change=config | change) == expected
