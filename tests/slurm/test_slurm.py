"""The workflow on the synthetic cohort through a real Slurm on this machine, and through what goes wrong there.

The short form is part of `./run test`; `pytest tests/slurm --slurm-long` adds the whole graph with the groups of
the profile. Both are skipped where Slurm is not installed or one is not root: see `slurm_cluster.missing`.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise

import pytest
import yaml

from slurm_cluster import Cluster, missing, slurm
from workflow_copy import Workflow, copy_workflow, digests

pytest.importorskip("snakemake_executor_plugin_slurm", reason="needs the Slurm plugin: pip install -e '.[slurm]'")
pytestmark = [pytest.mark.workflow, pytest.mark.slurm]

#: Nine scans: the fewest with which every split has a case.
SMALL = {"cohort": {"luna16_scans": 3, "dsb17_train": 5, "dsb17_test": 1, "anatomy_scale": 0.25}, "detect": {"jobs": 1}}
ON_SLURM = (
    *("--workflow-profile", "slurm", "--config", "device=auto"),  # there is no GPU: the node's is /dev/null
    *("--slurm-no-account", "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"),
    *("--latency-wait", "10", "--quiet", "host"),
)
#: While two cores are idle it takes half of that; on a busy machine LUNGLINE_PATIENCE=4 waits four times as long.
RUN_S = 240 * float(os.environ.get("LUNGLINE_PATIENCE", "1"))
#: The one batch of the scans that detector `micro` searches.
BATCH = "detect_micro_0"
GPU = ("train_unet:gpu=1", "train_classifier:gpu=1", f"{BATCH}:gpu=1")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    why = missing()
    if why:
        pytest.skip(why)
    with slurm() as running:
        yield running


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    return copy_workflow(tmp_path_factory.mktemp("slurm"))


def presets(copy: Workflow, name: str, settings: dict) -> tuple[str, ...]:
    """Words for a run of the micro preset in a result folder of its own."""
    text = yaml.safe_dump({**settings, "outdir": f"results/{name}"})
    (copy.folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return ("--configfile", "config/micro.yaml", f"{name}.yaml")


def run_here(copy: Workflow, name: str, *targets: str) -> dict[str, str]:
    """SHA-256 of what a run on this machine makes, without Slurm."""
    answer = copy.snakemake(*presets(copy, name, SMALL), "--quiet", "host", "rules", "--", *targets)
    assert answer.returncode == 0, answer.stdout[-5000:]
    return digests(copy.folder / "results" / name)


def wait_for(found: Callable[[], str | None], run: Future, seconds: float) -> str:
    """What is found before the run ends or the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not run.done():
        there = found()
        if there is not None:
            return there
        time.sleep(0.3)
    raise AssertionError(f"not seen in {seconds} s\n{run.result().stdout[-5000:] if run.done() else ''}")


def running(cluster: Cluster, step: str, but: tuple[str, ...] = ()) -> str | None:
    """Number of a job that now runs a step or group and is not one of `but`."""
    jobs = cluster.jobs("RUNNING").items()
    return next((job for job, comment in jobs if step in comment and job not in but), None)


def assert_one_gpu_job_at_a_time(cluster: Cluster) -> None:
    jobs = [run for run in cluster.runs() if run.gpu]
    assert all(one.end <= other.start for one, other in pairwise(jobs)), jobs
    assert any(other.submitted < one.end for one, other in pairwise(jobs)), "no GPU job had to wait for another"


def too_little(rule: str) -> str:
    """Less memory than Snakemake alone needs at the first try, and thirty times that at the second."""
    return f"{rule}:mem_mb=100*30**(attempt-1)"


def assert_retried_with_more_memory(cluster: Cluster, rule: str) -> None:
    tried = [(run.memory, run.state) for run in cluster.runs() if rule in run.step]
    assert tried == [("100M", "FAILED"), ("3000M", "COMPLETED")]


def test_what_slurm_makes_again_is_the_same_to_the_byte_with_too_little_memory_and_a_cancelled_job(
    cluster: Cluster, copy: Workflow
) -> None:
    before = run_here(copy, "short", "predictions")
    results = copy.folder / "results" / "short"
    scan = next((results / "ingest").glob("1.2.*.h5")).name
    patient = next((results / "crop_patches" / "micro").glob("*.h5"))
    again = [results / step / scan for step in ("ingest", "resample", "segment_lungs", "cache_volume")]
    for path in (*again, patient, results / "extract_candidates" / "micro" / f"{patient.stem}.csv"):
        path.unlink()
    for step in ("train_unet", "detect"):
        shutil.rmtree(results / step)
    words = (*presets(copy, "short", SMALL), *ON_SLURM, "--set-resources", *GPU, too_little(BATCH))
    with ThreadPoolExecutor(max_workers=1) as aside:
        target = str(patient.relative_to(copy.folder))
        run = aside.submit(copy.snakemake, *words, "--", target, timeout_s=RUN_S)
        cancelled = wait_for(lambda: running(cluster, "train_unet"), run, RUN_S)
        cluster.ask("scancel", cancelled)
        answer = run.result()
    assert answer.returncode == 0, f"{answer.stdout[-6000:]}\n{cluster.logs()}"
    assert [run.state for run in cluster.runs() if run.job == cancelled] == ["CANCELLED"]
    assert len({run.job for run in cluster.runs() if "train_unet" in run.step}) == 4
    assert_one_gpu_job_at_a_time(cluster)
    assert_retried_with_more_memory(cluster, BATCH)
    assert digests(results) == before


def test_the_whole_graph_through_slurm_and_the_loss_of_a_node_gives_the_bytes_of_a_local_run(
    cluster: Cluster, copy: Workflow, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--slurm-long"):
        pytest.skip("long: pytest tests/slurm --slurm-long")
    targets = ("predictions", "results/long/evaluate/cancer-m2-micro.json")
    words = (*presets(copy, "long", SMALL), *ON_SLURM, "--set-resources", *GPU, too_little("train_classifier"))
    with ThreadPoolExecutor(max_workers=1) as aside:
        run = aside.submit(copy.snakemake, *words, "--", *targets, timeout_s=6 * RUN_S)
        lost = wait_for(lambda: running(cluster, "rule_prepare"), run, RUN_S)
        cluster.node("DOWN")
        wait_for(lambda: "gone" if lost not in cluster.jobs("RUNNING,COMPLETING") else None, run, 60)
        cluster.node("RESUME")
        cancelled = wait_for(lambda: running(cluster, "train_unet"), run, 4 * RUN_S)
        cluster.ask("scancel", cancelled)
        answer = run.result()
    assert answer.returncode == 0, f"{answer.stdout[-6000:]}\n{cluster.logs()}"
    states = {job: [run.state for run in cluster.runs() if run.job == job] for job in (lost, cancelled)}
    assert states == {lost: ["NODE_FAIL", "COMPLETED"], cancelled: ["CANCELLED"]}
    assert_one_gpu_job_at_a_time(cluster)
    assert_retried_with_more_memory(cluster, "train_classifier")
    assert (copy.folder / "results" / "long" / "evaluate" / "cancer-m2-micro.json").is_file()
    through_slurm = digests(copy.folder / "results" / "long")
    assert through_slurm == run_here(copy, "here", "predictions")
