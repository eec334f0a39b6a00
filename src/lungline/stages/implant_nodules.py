"""Implant real nodules into a prepared chest: one scan in the format of LUNA-16, its nodules and their masks."""

from pathlib import Path

import numpy as np

from lungline.config.models import Implanted
from lungline.errors import LunglineError
from lungline.imaging.volume import Volume
from lungline.runner.stage import Fields, InputFile, ScanFile, scan_stage, stage
from lungline.storage import hdf5
from lungline.storage.checksums import check, write_checksummed_text
from lungline.storage.hdf5 import Field
from lungline.storage.tables import table_text
from lungline.synthetic import implant
from lungline.synthetic.implant_plan import ImplantationPlan, plan_implantation, read_implantation
from lungline.synthetic.recipients import Chest, rescanned, without_lesions, zoomed
from lungline.synthetic.source_nodules import read_source_nodule
from lungline.synthetic.writers import write_mhd

COLUMNS = ("scan", "x_mm", "y_mm", "z_mm", "diameter_mm", "malignant", "source", "attachment")


@stage
def run(output: Path, *, scan: str, config: Path, ingested: Path, volume: Path, lungs: Path) -> None:
    """Write OUTPUT/luna16/subset{fold}/SCAN.mhd, and beside it .h5 (segmentations) and .csv (where the nodules are).

    CONFIG is the saved configuration; INGESTED, VOLUME and LUNGS are the files of `ingest`,
    `resample` and `segment_lungs` of the chest that the plan gives to SCAN. Scans to test on are left as they are;
    those to train and choose on are varied as a whole, too, and known lesions are cut out of them.
    """
    seed, implanted = read_implantation(config)
    plan = next((plan for plan in plan_implantation(seed, implanted) if plan.scan == scan), None)
    if plan is None:
        raise LunglineError(f"no implanted scan is called '{scan}'. Take names from manifest.csv.")
    scanned, found = output / plan.path, list[implant.Implanted]()
    scanned.parent.mkdir(parents=True, exist_ok=True)

    @scan_stage("implanted_nodules")
    def implanted_scan(ingested: InputFile, volume: ScanFile, lungs: ScanFile) -> Fields:
        """Write SCANNED (.mhd), say in FOUND where its nodules are, and make `nodules`: their segmentations."""
        rng = np.random.default_rng([seed, int.from_bytes(plan.split.encode(), "big"), plan.index])
        chest = _read_chest(plan, implanted, ingested, volume, lungs)
        if plan.split != "test":
            chest = zoomed(chest, rng)
        nodules, distractors = (
            [read_source_nodule(Path(implanted.nodules), row) for row in rows]
            for rows in (plan.nodules, plan.distractors)
        )
        made = implant.implant(chest, nodules, distractors, rng)
        found.extend(made.nodules)
        hu = made.hu if plan.split == "test" else rescanned(made.hu, rng)
        write_mhd(scanned, Volume(np.rint(np.clip(hu, -1024, 3071)).astype(np.int16), chest.affine))
        return {"nodules": Field(made.numbers, "zyx", "1", "number of the implanted nodule, 0 none", chest.affine)}

    implanted_scan(ingested, volume, lungs, scanned.with_suffix(".h5"))
    rows = [[scan, *n.centre_xyz_mm, n.diameter_mm, n.malignant, n.source, n.attachment] for n in found]
    check(scanned.with_suffix(".h5"))
    write_checksummed_text(scanned.with_suffix(".csv"), table_text(COLUMNS, rows))


def _read_chest(plan: ImplantationPlan, settings: Implanted, ingested: Path, volume: Path, lungs: Path) -> Chest:
    ct = hdf5.read_volume(volume, "ct")
    inside = hdf5.read_array(lungs, "lungs")
    _, affine = hdf5.read_grid(ingested, "ct")
    thickness = float(Volume(np.zeros((1, 1, 1)), affine).spacing_zyx_mm[0])
    chest = Chest(ct.array.astype(np.float32), inside, inside, ct.affine, thickness)
    return without_lesions(chest, settings.chests[plan.chest].lesions_xyz_radius_mm, cut_out=plan.split != "test")
