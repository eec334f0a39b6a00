"""Goal 7: the strongest clusters of nodule probability."""

from __future__ import annotations

import numpy as np

from benchmarks.speed import literal
from benchmarks.speed.measure import Check, Comparison, interleave
from benchmarks.speed.simulated_adult import THRESHOLD, Scene
from lungline.detection.candidates import extract_candidates
from lungline.imaging.volume import Volume

_COUNT = 20


def candidates(scene: Scene) -> list[Comparison]:
    """The literal way sees the whole volume; ours the lung box, as the detector writes it."""
    whole = scene.probability
    boxed = whole.crop(scene.box)
    boxed = Volume(np.ascontiguousarray(boxed.array), boxed.affine)
    first = [part.start for part in scene.box]
    taken, wanted, found = interleave(
        lambda: literal.strongest(whole.array.astype(np.float64), THRESHOLD, _COUNT),
        lambda: extract_candidates(boxed, threshold=THRESHOLD, count=_COUNT),
        scene.pairs,
    )
    sums = [abs(one.sum_probability - total) for one, (total, _) in zip(found, wanted, strict=True)]
    places = [
        np.abs(np.add((one.z, one.y, one.x), first) - place).max()
        for one, (_, place) in zip(found, wanted, strict=True)
    ]
    checks = (
        Check("largest difference of a sum", float(max(sums)), "<=", 1e-6),
        Check("of a centroid, voxels", float(max(places)), "<=", 1e-6),
    )
    what = f"the {_COUNT} strongest candidates"
    return [Comparison(7, what, "skimage label, regionprops", "extract_candidates", taken, 10, checks)]
