"""How long a plan of thousands of scans takes, and what a change plans: `python -m benchmarks.scale`."""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import yaml

from tests.repository import REPOSITORY
from tests.workflow_copy import Workflow, copy_workflow

Jobs = dict[str, int]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--scans", type=int, default=2200, help="scans of the finished run that is changed (2200)")
    parser.add_argument("--predict", type=int, default=2500, help="scans of the prediction that is planned (2500)")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lungline-scale-") as scratch:
        if words.predict:
            print(told("prediction", words.predict, timed(lambda: plan_prediction(Path(scratch), words.predict))))
        return not words.scans or not try_changes(Path(scratch), words.scans)


def timed(work: Callable[[], Jobs]) -> tuple[Jobs, float, float]:
    """What `work` returns, its seconds, and the CPU seconds of the processes that it started."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    began, before = time.monotonic(), spent()
    return work(), time.monotonic() - began, spent() - before


def told(what: str, scans: int, answer: tuple[Jobs, float, float]) -> str:
    jobs, seconds, cpu_s = answer
    return f"{what}, {scans} scans: {sum(jobs.values())} jobs planned in {seconds:.0f} s, {cpu_s:.1f} s of CPU"


# ---- prediction --------------------------------------------------------------------------------------------


def plan_prediction(folder: Path, scans: int, change: dict | None = None) -> Jobs:
    """Jobs of a first prediction of so many scans with the weights in the package; nothing is in any scan's file."""
    workflow = copy_workflow(folder / "prediction")
    (folder / "scans").mkdir()
    for number in range(scans):
        (folder / "scans" / f"{number}.nii").touch()
    given = {"outdir": "results/scale", "data": {"folder": str(folder / "scans")}}
    return workflow.plan("real", change=given | (change or {}))


# ---- changes of a finished run -----------------------------------------------------------------------------


def cohort_of(scans: int) -> dict[str, int]:
    """A quarter for detection, half for training, the rest for testing."""
    return {"luna16_scans": scans // 4, "dsb17_train": scans // 2, "dsb17_test": scans - scans // 4 - scans // 2}


def finished(folder: Path, scans: int) -> tuple[Workflow, dict]:
    """A workflow whose run of so many embedded scans looks finished, and its configuration."""
    workflow = copy_workflow(folder / "finished")
    config = {"outdir": "results/scale", "cohort": cohort_of(scans)}
    (workflow.folder / "scale.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    words = [sys.executable, "-m", "benchmarks.scale.finish", "--cores", "1", "--configfile", "config/micro.yaml"]
    packages = os.pathsep.join([str(workflow.folder / "src"), str(REPOSITORY)])
    environment = {**workflow.environment, "PYTHONPATH": packages}
    subprocess.run([*words, "scale.yaml"], cwd=workflow.folder, env=environment, check=True)
    return workflow, config


TO_THE_END = ("predict_cancer", "collect_predictions", "first_predictions", "evaluate_cancer", "draw_curves")
TO_THE_END += ("describe_nodules", "draw_page", "draw_index")


def changes(scans: int) -> dict[str, tuple[dict, tuple[str, str, str] | None, Jobs]]:
    """A change's name -> what is laid over the configuration, an edit of a file, and the jobs that depend on it."""
    cohort = cohort_of(scans)
    tested = (cohort["luna16_scans"] + 6) // 10  # the fourth, and every tenth after it
    patients = cohort["dsb17_train"] + cohort["dsb17_test"]
    chain = ("draw_dsb17_patient", "ingest", "resample", "segment_lungs", "cache_volume", "detect")
    chain += ("extract_candidates", "crop_patches")
    tables = ("write_cohort_tables", "sheet", "check_leakage", "evaluate_detection")
    after = dict.fromkeys((*TO_THE_END, "train_system", "describe_pipeline", "evaluate_detection"), 1)
    after |= {"extract_candidates": tested + patients, "crop_patches": patients, "draw_figures": 2}
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


def try_changes(folder: Path, scans: int) -> bool:
    """Whether every change plans exactly what depends on it."""
    workflow, config = finished(folder, scans)
    right = True
    for name, (change, edit, expected) in changes(scans).items():
        with workflow.edited(*edit) if edit else nullcontext():
            answer = timed(lambda change=change: workflow.plan("micro", change=config | change))
        same = answer[0] == expected
        right &= same
        print(told(name, scans, answer) + (", exactly what depends on it" if same else f", NOT {expected}"), flush=True)
    return right


if __name__ == "__main__":
    sys.exit(main())
