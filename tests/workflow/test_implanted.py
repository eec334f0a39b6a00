"""Nodules implanted by the workflow itself, as far as the list of scans."""

import yaml

from lungline.storage.scan_rows import read_manifest
from lungline.synthetic.cohort import plan_scan
from lungline.synthetic.phantom import simulate_scan_hu
from lungline.synthetic.writers import write_mhd
from unit.synthetic.nodule_folder import write_nodules
from workflow_copy import Workflow, copy_workflow


def listed(workflow: Workflow, **implanted) -> set[str]:
    """The scans of the manifest after a run with these settings of `implanted:`."""
    settings = {"outdir": "results/implanted", "implanted": implanted, "run": ["pretrained"]}
    (workflow.folder / "implanted.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    answer = workflow.snakemake(
        "results/implanted/manifest.csv", "--configfile", "implanted.yaml", "--quiet", "host", "rules"
    )
    assert answer.returncode == 0, answer.stdout[-5000:]
    return {row.scan for row in read_manifest(workflow.folder / "results/implanted/manifest.csv")}


def test_the_manifest_lists_the_scans_of_the_plan_whatever_lies_there(tmp_path) -> None:
    workflow = copy_workflow(tmp_path / "workflow")
    write_nodules(tmp_path, patients=40, volumes=True)
    chests = {}
    for number, name in enumerate("ab"):
        write_mhd(tmp_path / f"{name}.mhd", simulate_scan_hu(plan_scan("luna16", number, 1, 0.35)))
        path, splits = str(tmp_path / f"{name}.mhd"), ["train", "valid", "test"]
        chests[name] = {"path": path, "source": "mhd", "splits": splits}
    few = {"scans": 2, "nodules": 1, "distractors": 1}
    implanted = {"nodules": str(tmp_path), "chests": chests, "scans": dict.fromkeys(("train", "valid", "test"), few)}
    whole = {f"implanted-{split}-{index:03d}" for split in ("train", "valid", "test") for index in range(2)}
    assert listed(workflow, **implanted) == whole
    assert listed(workflow, **implanted, leave_out="a") == whole - {"implanted-train-000", "implanted-valid-000"}
