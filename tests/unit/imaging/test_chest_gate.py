"""What can be a CT of a chest and what cannot."""

from __future__ import annotations

import numpy as np
import pytest

from lungline.errors import Quarantine
from lungline.imaging.chest_gate import check_chest
from lungline.imaging.geometry import make_affine
from lungline.imaging.volume import Volume
from scans import chest

AFFINE = make_affine((2.5, 2.1, 1.7))


def refusal(array, affine=AFFINE):
    with pytest.raises(Quarantine) as caught:
        check_chest(Volume(array, affine))
    return caught.value.flag


def test_a_chest_and_a_slab_of_one_pass():
    check_chest(Volume(chest(), AFFINE))
    check_chest(Volume(chest((5, 40, 50)), AFFINE))


def test_what_is_no_chest_is_named():
    hu = chest()
    head = np.where((hu > -950) & (hu < -600), 40, hu)
    assert refusal(head) == "Q_NOT_CHEST_CT"
    assert refusal(np.minimum(hu, -860)) == "Q_NOT_CHEST_CT"
    assert refusal(np.full_like(hu, 40)) == "Q_BAD_VOXELS"
    assert refusal(hu, make_affine((0.5, 2.1, 1.7))) == "Q_NOT_CHEST_CT"
    assert refusal((hu + 1024).astype(np.int16)) == "Q_NOT_CHEST_CT"  # stored values, not HU
