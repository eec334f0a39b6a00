"""What the profile for Slurm plans, without a cluster. tests/slurm runs it on one."""

import re
from pathlib import Path

import pytest
import yaml

pytest.importorskip("snakemake_executor_plugin_slurm")
pytestmark = pytest.mark.workflow
PROFILE = Path(__file__).resolve().parents[2] / "profiles" / "slurm" / "config.yaml"
ON_SLURM = ("--workflow-profile", "slurm")
REDUCED = {"detectors": {"micro": {"fpr": {"training": {"steps": 2, "batch": 4}}}}}


@pytest.mark.parametrize("change", [None, REDUCED, {"run": ["m2-micro", "m1-micro"]}, {"detect": {"jobs": 3}}])
def test_the_profile_plans_the_same_jobs_as_one_machine(workflow, change) -> None:
    jobs = workflow.plan("micro", change=change, words=ON_SLURM)
    assert jobs == workflow.plan("micro", change=change)
    assert jobs["cache_volume"] == 20


def test_a_group_across_the_gpu_rule_would_be_refused(workflow) -> None:
    across = ("--groups", "cache_volume=scan", "extract_candidates=scan", "crop_patches=scan")
    with pytest.raises(AssertionError, match="Error in group scan"):
        workflow.plan("micro", words=(*ON_SLURM, *across))


def resources_of(
    workflow, file: str, rule: str, *words: str, change: dict | None = None, preset: str = "micro"
) -> dict[str, str]:
    """What the first job of a rule asks for; Snakemake tells it as long as the rule has no message."""
    (workflow.folder / "asked.yaml").write_text(yaml.safe_dump(change or {"seed": 1}), encoding="utf-8")
    text = (workflow.folder / file).read_text(encoding="utf-8")
    message = re.search(r"    message:\n.*\n", text[text.index(f"rule {rule}:") :])
    assert message
    assert workflow.list_scans(f"config/{preset}.yaml", "asked.yaml").returncode == 0
    with workflow.edited(file, message[0], ""):
        answer = workflow.snakemake("--dry-run", *words, "--configfile", f"config/{preset}.yaml", "asked.yaml")
    said = re.search(rf"rule {rule}:\n(?:.*\n)*?\s+resources: (.*)\n", answer.stdout)
    assert said, answer.stdout[-3000:]
    return dict(pair.split("=", 1) for pair in said[1].split(", ") if "=" in pair)


def test_a_training_asks_for_one_gpu_on_a_cluster_and_for_more_memory_at_every_retry(workflow) -> None:
    first, third = (
        resources_of(workflow, "rules/nodules.smk", "train_unet", *ON_SLURM, "--attempt", str(n)) for n in (1, 3)
    )
    assert first["gpu"] == "1"
    assert first["device"] == "cuda"
    assert int(third["mem_mb"]) == 3 * int(first["mem_mb"]) > 3 * 6000
    assert third["runtime"] == first["runtime"] == "2880"


def test_a_training_by_several_processes_asks_for_as_many_gpus_cores_and_as_much_memory(workflow) -> None:
    one, two = (
        resources_of(workflow, "rules/nodules.smk", "train_unet", *ON_SLURM, change={"training_processes": n})
        for n in (1, 2)
    )
    assert (one["gpu"], two["gpu"]) == ("1", "2")
    assert int(two["mem_mb"]) - int(one["mem_mb"]) == 6000
    assert one["launcher"] == "lungline"
    assert two["launcher"] == "torchrun --standalone --nproc-per-node 2 -m lungline.cli"


def test_a_step_of_the_preparation_asks_for_no_gpu(workflow) -> None:
    assert resources_of(workflow, "rules/cohort.smk", "manifest", *ON_SLURM).get("gpu", "0") == "0"


def test_every_setting_of_the_profile_has_its_reason() -> None:
    lines = PROFILE.read_text(encoding="utf-8").splitlines()
    settings = [line for line in lines if re.match(r"[a-z-]+:", line)]
    assert len(settings) == len(yaml.safe_load("\n".join(lines)))
    bare = {line.partition(":")[0] for line in settings if " # " not in line}
    assert bare == {"resources", "config", "default-resources"}  # theirs stand line by line


@pytest.mark.parametrize(("bytes_of_the_file", "share"), [(1 << 20, 0.4), (3 << 28, 1.0)])
def test_a_large_scan_asks_for_more_memory_than_a_small_one(workflow, tmp_path, bytes_of_the_file, share) -> None:
    with open(tmp_path / "scan.nii", "wb") as handle:
        handle.truncate(bytes_of_the_file)
    change = {"data": {"folder": str(tmp_path)}, "outdir": str(tmp_path / "out")}
    asked = resources_of(workflow, "rules/preprocess.smk", "resample", change=change, preset="real")
    assert int(asked["mem_mb"]) == 400 + share * 3000
