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
    ("solid", INF, INF, 0, 0.0, 0.1, 0.0, 0.3),
    ("other", INF, INF, 0, 0.0, 0.1, 0.0, 0.3),
)
