"""A small scan with two nodules, oblique and unequal in everything."""

import numpy as np
import pytest

from lungline.detection.candidates import extract_candidates
from lungline.imaging import geometry
from lungline.imaging.volume import Volume
from lungline.reports.scan_figures import Subject

BEADS_ZYX = ((12, 9, 15), (20, 22, 31))


def turned_affine(spacing=(1.3, 1.0, 0.8), origin=(-20.0, 35.0, 110.0), degrees=9.0):
    """An affine turned about z, so that array axes and the world's differ."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return geometry.make_affine(spacing, origin, turn @ geometry.LPS_DIRECTION)


@pytest.fixture
def subject() -> Subject:
    rng = np.random.default_rng(0)
    hu = rng.normal(-850, 20, (32, 36, 44)).astype(np.float32)
    nodules = np.zeros(hu.shape, dtype=bool)
    for z, y, x in BEADS_ZYX:
        nodules[z - 2 : z + 3, y - 2 : y + 3, x - 2 : x + 3] = True
    hu[nodules] = 40
    ct = Volume(hu, turned_affine())
    inner, box = np.zeros(hu.shape, dtype=bool), (slice(4, 29), slice(4, 30), slice(5, 40))
    inner[6:27, 6:28, 7:38] = True
    outer = np.zeros(hu.shape, dtype=bool)
    outer[box] = True
    marked = ct.with_array(nodules).crop(box)
    probability = marked.with_array((marked.array * np.float16(0.95)).astype(np.float16))
    return Subject(
        "scan-1",
        ct,
        ct.with_array(inner),
        ct.with_array(outer),
        ct.crop(box),
        probability,
        extract_candidates(probability, threshold=0.8)[0],
        marked,
    )
