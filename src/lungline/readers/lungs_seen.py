"""A quick look at slices: how much lung they show, to choose between series before one is read."""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from lungline.errors import Quarantine
from lungline.imaging.body_air import air_in_body, average_blocks
from lungline.readers.dicom_headers import Slice
from lungline.readers.dicom_pixels import DamagedSliceError, slice_hu
from lungline.readers.raw import check_size

_MOST_SLICES = 24  # more are not looked at
_PIXEL_MM = 2.0
_AIR_HU = -320.0
_LUNG_HU = (-970.0, -500.0)


def litres_of_lung(slices: Sequence[Slice], extent_mm: float) -> float:
    """Litres of air that looks like lung within the body, in slices that span `extent_mm`; call inside `quiet`.

    At most 24 slices are decoded, spread evenly, and looked at in blocks of about 2 mm. Slices that cannot be decoded
    are passed over. It is good enough to compare series of one patient, and leaves stomach and bowel out only as far
    as their gas is darker than lung.
    """
    at = np.unique(np.linspace(0, len(slices) - 1, min(len(slices), _MOST_SLICES)).round().astype(int))
    planes = []
    for item in (slices[k] for k in at):
        with suppress(DamagedSliceError, Quarantine):
            check_size(item.columns, item.rows, 1)
            planes.append(slice_hu(item))
    if not planes:
        return 0.0
    first = slices[0]
    assert first.spacing_ji_mm
    blocks = average_blocks(np.stack(planes), np.array([2 * _PIXEL_MM, *first.spacing_ji_mm]))
    air, _, _ = air_in_body(blocks, _AIR_HU)
    lung = air & (blocks.mean_hu > _LUNG_HU[0]) & (blocks.mean_hu < _LUNG_HU[1])
    return float(np.count_nonzero(lung)) / len(lung) * blocks.section_mm2 * extent_mm / 1e6
