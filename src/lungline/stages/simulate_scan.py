"""Simulate one scan of the synthetic cohort in the format of the real set."""

from pathlib import Path
from typing import Literal

from lungline.errors import LunglineError
from lungline.synthetic.cohort import plan_scan
from lungline.synthetic.phantom import simulate_scan_hu
from lungline.synthetic.writers import write_dicom_series, write_mhd


def run(output: Path, *, dataset: Literal["luna16", "dsb17"], index: int, seed: int, anatomy_scale: float) -> None:
    """Write OUTPUT: for luna16 a `.mhd` file (its `.zraw` beside it), for dsb17 a folder of DICOM files.

    OUTPUT must carry the name that the plan gives to the scan: the scan's identity follows from SEED and INDEX.
    ANATOMY_SCALE is the size of the chest, 1 = adult.
    """
    plan = plan_scan(dataset, index, seed, anatomy_scale)
    if output.name != (name := Path(plan.path).name):
        expected = f"expected the name '{name}' for {dataset} scan {index} of seed {seed}"
        raise LunglineError(f"{output}: {expected}. Found '{output.name}'. Take names from manifest.csv.")
    ct = simulate_scan_hu(plan)
    if dataset == "luna16":
        write_mhd(output, ct, flipped=plan.flipped)
    else:
        write_dicom_series(
            output,
            ct,
            patient=plan.scan,
            intercept_hu=plan.intercept_hu,
            compressed=plan.compressed,
            damaged=plan.damaged,
        )
