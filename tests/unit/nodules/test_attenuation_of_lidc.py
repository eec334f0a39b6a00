"""The kind of real nodules, against what their readers said of their texture (1 ground-glass .. 5 solid)."""

import csv

import nibabel
import numpy as np
import pytest

from lungline.imaging.resampling import resample
from lungline.imaging.volume import Volume
from lungline.nodules.measurements import measure

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def kinds(sample_data) -> dict[int, list[str]]:
    """Texture -> the kinds that the rule gives, on the grid of 1 mm that the table is made on."""
    folder = sample_data / "lidc-nodules"
    found: dict[int, list[str]] = {}
    with open(folder / "nodules.csv", newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            name = f"{row['patient_id']}_R_{row['nodule_id']}.nii.gz"
            image = nibabel.load(folder / "image" / name)
            affine = np.zeros((4, 4))
            affine[[2, 1, 0, 3], [0, 1, 2, 3]] = [*np.array(image.header.get_zooms()[:3])[::-1], 1]
            mask = nibabel.load(folder / "nodule_mask" / name)
            ct, inside = (resample(Volume(np.asarray(i.dataobj, np.float32).T, affine)) for i in (image, mask))
            found.setdefault(int(row["Texture_value"]), []).append(measure(ct, inside.array > 0.5).attenuation)
    return found


def test_most_nodules_that_readers_call_solid_or_ground_glass_are_called_so(kinds) -> None:
    def share(texture: int, kind: str) -> float:
        return kinds[texture].count(kind) / len(kinds[texture])

    assert share(5, "solid") > 0.9
    assert share(1, "ground-glass") > 0.6
    assert share(5, "ground-glass") < 0.02
    assert share(1, "solid") < 0.1
