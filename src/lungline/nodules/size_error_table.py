"""The error of measured sizes against readers' outlines, as `python -m experiments.size_errors` measured it.

Source: nodules of LIDC-IDRI (Armato et al., Med. Phys. 38, 2011, 915; CC BY 3.0), outlined by up to four readers,
implanted into two chests, found and outlined by the packaged detector in slices of 0.6 to 4.8 mm.
"""

from math import inf as INF

#: For each row the attenuation, the slice thickness up to which and the size below which it holds, mm (of a volume: of
#: the ball with that volume), how many were measured, and bias and standard deviation of the natural logarithm of
#: measured by true: of mean diameters, then of volumes. Last, of volumes, the part of that error which differs from
#: date to date for one nodule, as a standard deviation. The first row that fits is taken.
COLUMNS = (
    "attenuation",
    "slices_to_mm",
    "below_mm",
    "count",
    "diameter_bias",
    "diameter_sd",
    "volume_bias",
    "volume_sd",
    "volume_repeat",
)
ROWS = (
    ("solid", 2.0, 8.0, 53, -0.037, 0.178, 0.359, 0.809, 0.47),
    ("solid", 2.0, INF, 92, -0.023, 0.282, 0.33, 0.758, 0.174),
    ("solid", INF, 8.0, 50, -0.26, 0.271, -0.275, 0.998, 0.654),
    ("solid", INF, INF, 67, -0.062, 0.287, 0.136, 0.872, 0.597),
    ("other", INF, 8.0, 110, -0.16, 0.32, -0.092, 1.254, 0.704),
    ("other", INF, INF, 110, 0.215, 0.288, 1.039, 0.562, 0.522),
)
