"""A copy of the workflow, before and after a run."""

from __future__ import annotations

import pytest

from workflow_copy import Workflow, copy_workflow


@pytest.fixture(scope="session")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The workflow before its first run."""
    return copy_workflow(tmp_path_factory.mktemp("workflow"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The workflow after a whole run of the micro preset: about a minute."""
    copy = copy_workflow(tmp_path_factory.mktemp("finished"))
    answer = copy.snakemake("--configfile", "config/micro.yaml", "--quiet", "host", "rules")
    assert answer.returncode == 0, answer.stdout[-5000:]
    return copy
