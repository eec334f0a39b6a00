"""A run of many scans that looks finished, without its work; and what a change of it must plan.

Called as `python -m tests.finished_run WORDS FOR SNAKEMAKE` it makes a planned run look finished: every output becomes
an empty file, and Snakemake writes its own record of the job that would have made it. That is what `snakemake --touch`
does with files that are there, without its 0.1 s of sleep a job.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.repository import REPOSITORY
from tests.workflow_copy import Workflow, copy_workflow

Jobs = dict[str, int]
TO_THE_END = ("predict_cancer", "collect_predictions", "first_predictions", "evaluate_cancer", "plot_curves")
TO_THE_END += ("describe_nodules", "render_page", "render_index")


def cohort_of(scans: int) -> dict[str, int]:
    """A quarter for detection, half for training, the rest for testing."""
    return {"luna16_scans": scans // 4, "dsb17_train": scans // 2, "dsb17_test": scans - scans // 4 - scans // 2}


def finished(folder: Path, scans: int) -> tuple[Workflow, dict]:
    """A workflow whose run of so many synthetic scans looks finished, and its configuration."""
    workflow = copy_workflow(folder / "finished")
    config = {"outdir": "results/scale", "cohort": cohort_of(scans)}
    (workflow.folder / "scale.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    words = [sys.executable, "-m", "tests.finished_run", "--cores", "1", "--configfile", "config/micro.yaml"]
    packages = os.pathsep.join([str(workflow.folder / "src"), str(REPOSITORY)])
    environment = {**workflow.environment, "PYTHONPATH": packages}
    subprocess.run([*words, "scale.yaml"], cwd=workflow.folder, env=environment, check=True)
    return workflow, config


def changes(scans: int) -> dict[str, tuple[dict, tuple[str, str, str] | None, Jobs]]:
    """A change's name -> what is laid over the configuration, an edit of a file, and the jobs that depend on it."""
    cohort = cohort_of(scans)
    tested = (cohort["luna16_scans"] + 6) // 10  # the fourth, and every tenth after it
    patients = cohort["dsb17_train"] + cohort["dsb17_test"]
    chain = ("simulate_dsb17_patient", "ingest", "resample", "segment_lungs", "cache_volume", "detect")
    chain += ("extract_candidates", "crop_patches")
    tables = ("write_cohort_tables", "manifest", "check_leakage", "collect_lungs", "evaluate_detection")
    after = dict.fromkeys((*TO_THE_END, "train_classifier", "bundle_manifest", "evaluate_detection"), 1)
    after |= {"extract_candidates": tested + patients, "crop_patches": patients, "render_figures": 2}
    edit = ("src/lungline/detection/candidates.py", "\n\n\ndef ", "\n\n\nCHANGED = 1\n\n\ndef ")
    return {
        "nothing": ({}, None, {}),
        "one patient more": (
            {"cohort": {**cohort, "dsb17_test": cohort["dsb17_test"] + 1}},
            None,
            dict.fromkeys((*chain, *tables, *TO_THE_END), 1),
        ),
        "another candidate threshold": ({"extract_candidates": {"threshold": 0.7}}, None, after),
        "an edit in detection/candidates.py": ({}, edit, after),
    }


def finish(words: list[str]) -> None:
    """Build the graph, and finish its jobs in an order in which no file is older than what it is made from."""
    from snakemake import cli, workflow

    build_dag = workflow.Workflow._build_dag

    def build_and_finish(own: workflow.Workflow) -> None:
        build_dag(own)
        for level in own.dag.toposorted():
            for job in level:
                for path in job.output:
                    path.touch_or_create()
                own.async_run(own.persistence.finished(job))

    workflow.Workflow._build_dag = build_and_finish
    cli.main([*words, "--dry-run", "--quiet", "all"])


if __name__ == "__main__":
    finish(sys.argv[1:])
