"""The error of measured sizes against readers' outlines, as `python -m experiments.size_errors` measured it.

Source: nodules of LIDC-IDRI (Armato et al., Med. Phys. 38, 2011, 915; CC BY 3.0), outlined by up to four readers,
implanted into two chests, found and outlined by the packaged detector in slices of 0.6 to 4.8 mm.
"""

from math import inf as INF

#: For each row the attenuation, the slice thickness up to which and the size below which it holds, mm (of a volume: of
#: the ball with that volume), how many were measured, and bias and standard deviation of the natural logarithm of
#: measured by true: of mean diameters, then of volumes. The first row that fits is taken.
COLUMNS = (
    "attenuation",
    "slices_to_mm",
    "below_mm",
    "count",
    "diameter_bias",
    "diameter_sd",
    "volume_bias",
    "volume_sd",
)
ROWS = (
    ("solid", 2.0, 8.0, 30, -0.093, 0.233, -0.0, 0.75),
    ("solid", 2.0, INF, 48, -0.024, 0.264, 0.305, 0.744),
    ("solid", INF, 8.0, 28, -0.253, 0.242, -0.178, 0.801),
    ("solid", INF, INF, 36, -0.058, 0.237, 0.109, 0.635),
    ("other", INF, 8.0, 42, -0.177, 0.338, -0.085, 1.286),
    ("other", INF, INF, 46, 0.217, 0.31, 0.941, 0.593),
)
