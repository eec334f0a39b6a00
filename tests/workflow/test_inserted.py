"""Nodules inserted by the workflow itself, as far as the list of scans."""

import yaml

from lungline.storage.manifest import read_sheet
from lungline.synthetic.cohort import plan_scan
from lungline.synthetic.phantom import draw_scan
from lungline.synthetic.writers import write_mhd
from unit.synthetic.nodule_folder import write_nodules
from workflow_copy import Workflow, copy_workflow


def listed(workflow: Workflow, **inserted) -> set[str]:
    """The scans of the sheet after a run with these settings of `inserted:`."""
    settings = {"outdir": "results/inserted", "inserted": inserted, "run": ["pretrained"]}
    (workflow.folder / "inserted.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    answer = workflow.snakemake(
        "results/inserted/scans.csv", "--configfile", "inserted.yaml", "--quiet", "host", "rules"
    )
    assert answer.returncode == 0, answer.stdout[-5000:]
    return {row.scan for row in read_sheet(workflow.folder / "results/inserted/scans.csv")}


def test_the_sheet_lists_the_scans_of_the_plan_whatever_lies_there(tmp_path) -> None:
    workflow = copy_workflow(tmp_path / "workflow")
    write_nodules(tmp_path, patients=40, volumes=True)
    chests = {}
    for number, name in enumerate("ab"):
        write_mhd(tmp_path / f"{name}.mhd", draw_scan(plan_scan("luna16", number, 1, 0.35)))
        path, splits = str(tmp_path / f"{name}.mhd"), ["train", "valid", "test"]
        chests[name] = {"path": path, "source": "mhd", "splits": splits}
    few = {"scans": 2, "nodules": 1, "harmless": 1}
    inserted = {"nodules": str(tmp_path), "chests": chests, "scans": dict.fromkeys(("train", "valid", "test"), few)}
    whole = {f"inserted-{split}-{index:03d}" for split in ("train", "valid", "test") for index in range(2)}
    assert listed(workflow, **inserted) == whole
    assert listed(workflow, **inserted, leave_out="a") == whole - {"inserted-train-000", "inserted-valid-000"}
