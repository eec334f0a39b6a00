"""Who is in the embedded cohort: every scan's identity, geometry and nodules, without drawing a voxel.

`plan_scan` draws from a random stream of its own for each (seed, data set, index), so adding scans never changes
the others. DSB-17 patients are indexed from 0 (training) and from `FIRST_TEST_INDEX` (test).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Literal

import numpy as np

from lungline.errors import LunglineError
from lungline.splits import Split, split_of_luna_fold, split_of_patient
from lungline.synthetic.anatomy import Anatomy, draw_anatomy
from lungline.synthetic.phantom_nodules import Nodule, detection_profile, patient_profile, place_nodules
from lungline.synthetic.seeds import hex_name, random_stream, uid

if TYPE_CHECKING:  # drawing one scan does not wait for pydantic
    from lungline.config.models import Cohort

Dataset = Literal["luna16", "dsb17"]

FIRST_TEST_INDEX = 10_000
FLIPPED_LUNA_INDEX = 1
COMPRESSED_PATIENT_INDEX = 2
DAMAGED_PATIENT_INDEX = 3

#: Subset of LUNA-16 scan i % 10. Subsets 8 (validation) and 9 (test) come early, so that four scans have each.
LUNA_SUBSETS = (0, 1, 8, 9, 2, 3, 4, 5, 6, 7)

SLICE_SPACINGS_MM = (1.0, 1.25, 1.5, 2.0, 2.5)
SHEET_COLUMNS = ("scan", "source", "dataset", "split", "fold", "label")


@dataclass(frozen=True)
class ScanPlan:
    """Everything that decides one scan of the embedded cohort.

    Attributes
    ----------
    dataset, index, seed
        Its place in the cohort.
    scan : str
        Series UID (LUNA-16) or patient id (DSB-17).
    split : str
    fold : int or None
        LUNA-16 subset.
    label : int or None
        DSB-17: 1 when a nodule is malignant.
    source : str
        `mhd` or `dicom`.
    path : str
        Of the raw file or folder, relative to the cohort's folder.
    shape_zyx, spacing_zyx_mm
        The grid; voxel (0, 0, 0) is the right, front, lower one whatever way the file stores it.
    origin_xyz_mm : three floats
        World point (LPS) of the centre of that voxel.
    body_xyz_mm : three floats
        World point of the origin of the body's frame.
    anatomy, nodules
        What is drawn, in the body's frame.
    flipped, compressed, damaged : bool
        The oddities that real sets have.
    intercept_hu : int
        Rescale intercept of the DICOM files.
    """

    dataset: Dataset
    index: int
    seed: int
    scan: str
    split: Split
    fold: int | None
    label: int | None
    source: str
    path: str
    shape_zyx: tuple[int, int, int]
    spacing_zyx_mm: tuple[float, float, float]
    origin_xyz_mm: tuple[float, float, float]
    body_xyz_mm: tuple[float, float, float]
    anatomy: Anatomy
    nodules: tuple[Nodule, ...]
    flipped: bool
    compressed: bool
    damaged: bool
    intercept_hu: int

    def world_xyz_mm(self, nodule: Nodule) -> tuple[float, float, float]:
        """Centre of a nodule in the scanner's world, mm, LPS."""
        x, y, z = (c + b for c, b in zip(nodule.centre_xyz_mm, self.body_xyz_mm, strict=True))
        return x, y, z


def plan_scan(dataset: Dataset, index: int, seed: int, anatomy_scale: float) -> ScanPlan:
    """One scan; `anatomy_scale` is the size of the chest, 1 = adult."""
    if dataset not in ("luna16", "dsb17") or index < 0:
        raise LunglineError(f"expected data set luna16 or dsb17 and an index >= 0. Got {dataset}, {index}.")
    anatomy = draw_anatomy(random_stream(seed, dataset, index, "anatomy"), anatomy_scale)
    rng = random_stream(seed, dataset, index, "nodules")
    fold: int | None = None
    label: int | None = None
    split: Split
    if dataset == "luna16":
        scan = uid(seed, dataset, index)
        fold = LUNA_SUBSETS[index % 10]
        split = split_of_luna_fold(fold)
        path = f"luna16/subset{fold}/{scan}.mhd"
        wanted = detection_profile(rng)
    else:
        scan = _patient_id(seed, index)
        split = "test" if index >= FIRST_TEST_INDEX else split_of_patient(scan)
        path = f"dsb17/stage1/{scan}"
        pair = random_stream(seed, dataset, index // 2, "pair")
        label = int((index + int(pair.integers(2))) % 2)
        wanted = patient_profile(rng, pair, bool(label))
    shape, spacing, origin, body = _draw_grid(random_stream(seed, dataset, index, "grid"), anatomy, dataset)
    return ScanPlan(
        dataset,
        index,
        seed,
        scan,
        split,
        fold,
        label,
        "mhd" if dataset == "luna16" else "dicom",
        path,
        shape,
        spacing,
        origin,
        body,
        anatomy,
        place_nodules(rng, anatomy, wanted),
        flipped=dataset == "luna16" and index == FLIPPED_LUNA_INDEX,
        compressed=dataset == "dsb17" and index == COMPRESSED_PATIENT_INDEX,
        damaged=dataset == "dsb17" and index == DAMAGED_PATIENT_INDEX,
        intercept_hu=int(random_stream(seed, dataset, index, "intercept").choice([-1024, -1024, 0])),
    )


def _patient_id(seed: int, index: int) -> str:
    """A DSB-17 id; training ids are drawn until their hash puts one pair of patients in five into validation.

    The split stays what it is for real data, a hash of the id. Left to luck, 70 patients give 6 to 22 for
    validation; so drawn they give 14, half of them with cancer.
    """
    wanted = "valid" if index // 2 % 5 == 2 else "train"
    ids = (hex_name(seed, "dsb17", index, attempt) for attempt in count())
    return next(i for i in ids if index >= FIRST_TEST_INDEX or split_of_patient(i) == wanted)


def _draw_grid(
    rng: np.random.Generator, anatomy: Anatomy, dataset: Dataset
) -> tuple[tuple[int, int, int], tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]:
    """Shape and spacing (z, y, x), world origin of the first voxel, world origin of the body's frame.

    DSB-17 slices are square with a round field of view. The LUNA-16 ones are cropped at the front and back, so
    that rows and columns differ and a mix-up of the two cannot hide.
    """
    s = anatomy.scale
    dx = round(float(rng.uniform(0.6, 0.9)), 3)
    dz = float(rng.choice(SLICE_SPACINGS_MM, p=(0.1, 0.2, 0.3, 0.2, 0.2)))
    columns = int(np.ceil(2.14 * anatomy.body_mm * s / dx))
    rows = columns if dataset == "dsb17" else int(np.ceil(0.86 * columns))
    slices = int(anatomy.height_mm / dz)
    body = tuple(round(float(c), 1) for c in rng.uniform((-20, -190, -330), (20, -110, -60)))
    first = (-(columns - 1) / 2 * dx, -(rows - 1) / 2 * dx + 14 * s, dz / 2)
    origin = tuple(round(f + b, 3) for f, b in zip(first, body, strict=True))
    return (slices, rows, columns), (dz, dx, dx), origin, body  # type: ignore[return-value]


def plan_cohort(seed: int, cohort: Cohort) -> list[ScanPlan]:
    """All scans: LUNA-16, then DSB-17 training patients, then DSB-17 test patients."""
    wanted: list[tuple[Dataset, int]] = [("luna16", i) for i in range(cohort.luna16_scans)]
    wanted += [("dsb17", i) for i in range(cohort.dsb17_train)]
    wanted += [("dsb17", FIRST_TEST_INDEX + i) for i in range(cohort.dsb17_test)]
    return [plan_scan(dataset, index, seed, cohort.anatomy_scale) for dataset, index in wanted]


def sheet_rows(plans: Sequence[ScanPlan]) -> list[dict[str, str]]:
    """Rows of `scans.csv` in its order (LUNA-16 first, then by scan); an absent fold or label is empty.

    They are what `lungline sheet` lists once the scans are written.
    """
    return [
        {name: "" if getattr(plan, name) is None else str(getattr(plan, name)) for name in SHEET_COLUMNS}
        for plan in sorted(plans, key=lambda plan: (plan.dataset != "luna16", plan.scan))
    ]


def largest_diameter_mm(plan: ScanPlan) -> float:
    """Diameter of the largest nodule of a scan: the baseline that must say little about the label."""
    return max(nodule.diameter_mm for nodule in plan.nodules)
