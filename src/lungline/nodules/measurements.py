"""Size and density of a nodule, measured over its voxels in the label map.

Readers judge a nodule by these, and calcification is a sign of a benign one (MacMahon et al., Radiology 284, 2017,
228). The nodule table, and with it page and report, measures the unmasked scan; the classifier's hand-crafted features
are the same measurements of the cached volume, in which the few voxels outside the lung mask hold air.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.imaging.volume import Volume
from lungline.nodules.outlines import margin
from lungline.nodules.sizes import Sizes, axes_of, measure_sizes, volume_of

#: A voxel this dense or denser is calcified: soft tissue, with or without contrast agent, stays below.
CALCIFIED_HU = 340

Attenuation = Literal["solid", "part-solid", "ground-glass", "indeterminate"]
#: Voxels of a nodule below this are aerated lung.
AERATED_HU = -750
#: From here on a voxel hides the vessels behind it: solid. Ground glass lies below.
SOLID_HU = -400
#: Of the core, which `attenuation_model.py` reads.
CORE_PERCENTILES = (10, 50, 90)
#: Share of solid voxels in the core, from which on a nodule is part-solid, and solid.
PART_SOLID_SHARE, SOLID_SHARE = 0.25, 0.75


@dataclass(frozen=True)
class Measurements:
    """Measurements of one nodule, over its voxels."""

    volume_mm3: float
    long_axis_mm: float  # in the axial slice where it is longest; `sizes.py` defines it
    mean_hu: float
    sd_hu: float  # standard deviation
    calcified_share: float  # of voxels of `CALCIFIED_HU` or more
    solid_share: float  # of voxels of -400 HU or more in its core; see `attenuation`
    core_hu: float = math.nan  # mean of the core; of what is too thin for one, of all of its tissue
    core_voxels: int = 0  # 0 where it is too thin, or where the core was not looked at
    core_percentiles_hu: tuple[float, ...] = ()  # at `CORE_PERCENTILES`, of the same voxels as `core_hu`

    @property
    def attenuation(self) -> Attenuation:
        """Solid, part-solid or ground-glass; indeterminate where nothing is left of it but its outermost layer.

        The names are those of MacMahon et al. (Radiology 284, 2017, 228); the rule is ours. Aerated lung among the
        voxels is left out, then the outermost layer of voxels, in which nodule and lung are mixed. Of this core the
        share of voxels of -400 HU or more decides: below 0.25 ground-glass, from 0.75 on solid. Against the readers of
        742 nodules of LIDC-IDRI, outlined by them (`tests/unit/nodules/test_attenuation_of_lidc.py`): of 625 that they
        rate solid 94 % are, of 50 that they rate ground-glass 66 % are, and of 67 in between only 21 % are part-solid,
        most are solid. The mean over a whole outline says little of it: it is below -400 HU in one of six that are
        solid by rule and readers, since an outline takes in lung; the mean of the core is below -300 HU in one of a
        hundred.

        Other limits of HU and shares, chosen on half of the patients for the mean over the three kinds, find
        63 % of those in between there but 22 % in the other half, and call 15 % of the solid ones something else: not
        taken.
        """
        if not self.core_voxels:
            return "indeterminate"
        share = self.solid_share
        return "solid" if share >= SOLID_SHARE else "part-solid" if share >= PART_SOLID_SHARE else "ground-glass"


#: The measurements that are kept beside the cubes of a classifier, in this order.
KEPT = ("volume_mm3", "long_axis_mm", "mean_hu", "sd_hu", "calcified_share", "solid_share")


def measure_candidates(ct: Volume, labels: NDArray, wanted: Sequence[int]) -> list[Measurements]:
    """Measure the candidates with the labels `wanted`, in that order.

    `ct` is HU; `labels` (Z, Y, X) is the label map of `extract_candidates` on its grid.
    """
    return [measure(part, mask) for part, mask in _candidates(ct, labels, wanted)]


def size_candidates(ct: Volume, labels: NDArray, wanted: Sequence[int], scan: Volume | None = None) -> list[Sizes]:
    """Sizes of the candidates with the labels `wanted`, in that order; `ct` and `labels` as in `measure_candidates`.

    Axes are measured in `scan`, HU on the scan's own grid (its array may be a field of an open file), where its pixels
    are finer than those of `ct`; else in `ct`.
    """
    finer = scan is not None and scan.spacing_zyx_mm[1:].max() < ct.spacing_zyx_mm[1:].min()
    source = scan if finer and scan is not None else ct
    return [
        measure_sizes(part, mask, calcified_hu=CALCIFIED_HU, scan=_around(source, part))
        for part, mask in _candidates(ct, labels, wanted)
    ]


def _around(scan: Volume, part: Volume) -> Volume:
    """The part of `scan` around a part of another volume that an outline needs."""
    corners = geometry.voxel_to_world(part.affine, list(product(*((0, n - 1) for n in part.shape_zyx))))
    index, wider = geometry.world_to_voxel(scan.affine, corners), margin(scan.spacing_zyx_mm)
    low = np.maximum(np.floor(index.min(axis=0)).astype(np.int64) - wider, 0)
    high = np.maximum(np.ceil(index.max(axis=0)).astype(np.int64) + wider + 1, low + 1)
    first = np.minimum(low, np.array(scan.shape_zyx) - 1)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(first, high, strict=True))
    return scan.crop((z, y, x))


def _candidates(ct: Volume, labels: NDArray, wanted: Sequence[int]) -> Iterator[tuple[Volume, NDArray[np.bool_]]]:
    """The box around each candidate, a voxel wider, and which voxels of it are the candidate's."""
    from scipy import ndimage  # here and below: whoever only reads measurements need not wait for scipy

    boxes = ndimage.find_objects(labels)
    for label in wanted:
        box = boxes[label - 1] if 0 < label <= len(boxes) else None
        if box is None:
            raise LunglineError(
                f"no voxel of the label map has the label {label}. Name the label map of the same candidates."
            )
        z, y, x = (slice(max(s.start - 1, 0), s.stop + 1) for s in box)
        yield ct.crop((z, y, x)), labels[z, y, x] == label


def measure(ct: Volume, mask: NDArray[np.bool_]) -> Measurements:
    """Measure one nodule with the voxels `mask` (Z, Y, X), not empty, in HU whose first axis runs through slices."""
    from scipy import ndimage

    hu = ct.array[mask].astype(np.float64)
    tissue = mask & (ct.array > AERATED_HU)
    core = ndimage.binary_erosion(tissue)  # by faces
    inside = next(part for part in (core, tissue, mask) if part.any())
    return Measurements(
        volume_mm3=volume_of(mask, ct.affine),
        long_axis_mm=axes_of(mask, ct.affine).long_mm,
        mean_hu=float(hu.mean()),
        sd_hu=float(hu.std()),
        calcified_share=float(np.mean(hu >= CALCIFIED_HU)),
        solid_share=float(np.mean(ct.array[inside] >= SOLID_HU)),
        core_hu=float(ct.array[inside].mean(dtype=np.float64)),
        core_voxels=int(np.count_nonzero(core)),
        core_percentiles_hu=tuple(float(value) for value in np.percentile(ct.array[inside], CORE_PERCENTILES)),
    )
