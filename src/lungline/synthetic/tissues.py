"""Hounsfield units of the substances that the phantom is made of."""

from __future__ import annotations

#: Table 1 of Zhang et al. 2017, as (lowest, highest) HU.
TABLE_1_HU: dict[str, tuple[float, float]] = {
    "air": (-1000, -1000),
    "lung": (-500, -500),
    "fat": (-120, -90),
    "chyle": (-30, -30),
    "water": (0, 0),
    "bile": (-5, 15),
    "lymph node": (10, 20),
    "cerebrospinal fluid": (15, 15),
    "white matter": (20, 30),
    "kidney": (20, 45),
    "blood": (30, 45),
    "muscle": (35, 55),
    "grey matter": (37, 45),
    "liver": (40, 60),
    "soft tissue with contrast": (100, 300),
    "bone": (700, 3000),
}

#: Table 1 gives one figure for the lung, -500 HU, which is lung tissue. A lung held in full inspiration is nearer
#: to -850 HU, heavier towards the back, and that is what a screening CT shows and what the phantom draws.
INFLATED_LUNG_HU = (-880.0, -820.0)


def middle_hu(substance: str) -> float:
    """Middle of the range of one substance of Table 1."""
    low, high = TABLE_1_HU[substance]
    return (low + high) / 2
