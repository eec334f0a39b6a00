"""Hand-crafted features of a candidate (volume, density), combined with the network's logit by a classifier.

Size and density are what readers judge a nodule by, and calcification is a sign of a benign one (MacMahon et al.,
Radiology 284, 2017, 228). A few hundred nodules teach a network to see much, but hardly to count.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lungline.imaging.intensity import WINDOW_HU, scale_hu

NAMES = ("log volume in mm3", "mean HU, scaled", "standard deviation of HU, scaled", "root of the calcified share")


def features(
    volume_mm3: ArrayLike, mean_hu: ArrayLike, sd_hu: ArrayLike, calcified_share: ArrayLike
) -> NDArray[np.float32]:
    """The four features `NAMES` (n, 4) of n candidates, from their measurements (n,).

    They are those of the nodule table (`lungline.nodules.measurements`), brought to comparable ranges.
    """
    low, high = WINDOW_HU
    mean, sd = scale_hu(np.asarray(mean_hu)), np.divide(sd_hu, high - low)
    return np.stack([np.log(volume_mm3), mean, sd, np.sqrt(calcified_share)], axis=-1).astype(np.float32)
