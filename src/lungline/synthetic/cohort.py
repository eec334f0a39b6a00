"""Who is in the synthetic cohort: every scan's identity, geometry and nodules, without simulating a voxel.

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
from lungline.synthetic.anatomy import Anatomy, sample_anatomy
from lungline.synthetic.phantom_nodules import Nodule, detection_profile, patient_profile, place_nodules
from lungline.synthetic.seeds import hex_name, random_stream, uid

if TYPE_CHECKING:  # simulating one scan does not wait for pydantic
    from lungline.config.models import Cohort

Dataset = Literal["luna16", "dsb17"]

FIRST_TEST_INDEX = 10_000
FLIPPED_LUNA_INDEX = 1
COMPRESSED_PATIENT_INDEX = 2
DAMAGED_PATIENT_INDEX = 3

#: Subset of LUNA-16 scan i % 10. Subsets 8 (validation) and 9 (test) come early, so that four scans have each.
LUNA_SUBSETS = (0, 1, 8, 9, 2, 3, 4, 5, 6, 7)

SLICE_SPACINGS_MM = (1.0, 1.25, 1.5, 2.0, 2.5)
Rows = list[tuple[str, ...]]  # of a table, its header first


@dataclass(frozen=True)
class ScanPlan:
    """Everything that decides one scan of the synthetic cohort.

    Voxel (0, 0, 0) is the right, front, lower one whatever way the file stores it.
    """

    dataset: Dataset
    index: int
    seed: int
    scan: str  # series UID (LUNA-16) or patient id (DSB-17)
    split: Split
    fold: int | None  # LUNA-16 subset
    label: int | None  # DSB-17: 1 when a nodule is malignant
    source: str  # `mhd` or `dicom`
    path: str  # of the raw file or folder, relative to the cohort's folder
    shape_zyx: tuple[int, int, int]
    spacing_zyx_mm: tuple[float, float, float]
    origin_xyz_mm: tuple[float, float, float]  # world point (LPS) of the centre of voxel (0, 0, 0)
    body_xyz_mm: tuple[float, float, float]  # world point of the origin of the body's frame
    anatomy: Anatomy
    nodules: tuple[Nodule, ...]  # in the body's frame
    flipped: bool  # these three: the oddities that real sets have
    compressed: bool
    damaged: bool
    intercept_hu: int  # rescale intercept of the DICOM files

    def world_xyz_mm(self, nodule: Nodule) -> tuple[float, float, float]:
        """Centre of a nodule in the scanner's world, mm, LPS."""
        x, y, z = (c + b for c, b in zip(nodule.centre_xyz_mm, self.body_xyz_mm, strict=True))
        return x, y, z


def plan_scan(dataset: Dataset, index: int, seed: int, anatomy_scale: float) -> ScanPlan:
    """One scan; `anatomy_scale` is the size of the chest, 1 = adult."""
    if dataset not in ("luna16", "dsb17") or index < 0:
        raise LunglineError(f"expected data set luna16 or dsb17 and an index >= 0. Got {dataset}, {index}.")
    anatomy = sample_anatomy(random_stream(seed, dataset, index, "anatomy"), anatomy_scale)
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
        *_sample_grid(random_stream(seed, dataset, index, "grid"), anatomy, dataset),
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


def _sample_grid(
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


def nodule_annotations(plans: Sequence[ScanPlan]) -> Rows:
    """Every nodule of these scans in the form of LUNA-16's `annotations.csv`, world mm."""
    rows: Rows = [("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")]
    return rows + [(plan.scan, *_millimetres(plan, nodule)) for plan in plans for nodule in plan.nodules]


def stage1_labels(plans: Sequence[ScanPlan]) -> Rows:
    """DSB-17 `stage1_labels.csv`: the labels of the training patients."""
    known = [p for p in plans if p.dataset == "dsb17" and p.split != "test"]
    return [("id", "cancer"), *((p.scan, str(p.label)) for p in known)]


def stage1_solution(plans: Sequence[ScanPlan]) -> Rows:
    """DSB-17 `stage1_solution.csv`: the labels of the test patients."""
    test = [p for p in plans if p.dataset == "dsb17" and p.split == "test"]
    return [("id", "cancer", "Usage"), *((p.scan, str(p.label), "Private") for p in test)]


def ground_truth(plans: Sequence[ScanPlan]) -> Rows:
    """Every nodule of both sets: centre in world mm as the files are written, kind, whether it is malignant."""
    rows: Rows = [("dataset", "scan", "nodule", "x_mm", "y_mm", "z_mm", "diameter_mm", "kind", "malignant")]
    for plan in plans:
        for k, nodule in enumerate(plan.nodules):
            where = _millimetres(plan, nodule)
            rows.append((plan.dataset, plan.scan, str(k), *where, nodule.kind, str(int(nodule.malignant))))
    return rows


def _millimetres(plan: ScanPlan, nodule: Nodule) -> tuple[str, ...]:
    return tuple(f"{value:.4f}" for value in (*plan.world_xyz_mm(nodule), nodule.diameter_mm))
