"""Real chests, at 2 mm to be quick. The volumes were measured once, with the masks judged by eye."""

import csv

import numpy as np
import pytest

from lungline.imaging import geometry
from lungline.imaging.lungs import add_margin, judge, segment_lungs
from lungline.imaging.resampling import resample
from lungline.readers.scan import read_scan

pytestmark = pytest.mark.data


def segment(path, source, spacing_mm=2.0):
    ct = resample(read_scan(path, source)[0], spacing_mm=spacing_mm)
    return ct, *segment_lungs(ct)


@pytest.mark.parametrize(
    ("folder", "left_ml", "right_ml"),
    [
        ("cptac-c3n-00247", 1926, 2678),
        ("lung-dx-a0002", 1627, 1166),
        ("ricord1a-001012", 1522, 1356),
        ("cip-ct64", 2240, 2540),
    ],
)
def test_a_whole_chest_gives_both_lungs_and_no_warning(sample_data, folder, left_ml, right_ml):
    ct, lungs, quality = segment(sample_data / "chest-ct" / folder, "dicom")
    assert judge(quality) == []
    assert quality.left_ml == pytest.approx(left_ml, rel=0.03)
    assert quality.right_ml == pytest.approx(right_ml, rel=0.03)
    assert quality.lower_end_share < 0.1
    assert quality.upper_end_share == 0  # the windpipe in the neck is not lung
    assert np.mean(ct.array[lungs] < -960) < 0.12  # nor is the room, nor bowel gas


def test_the_apices_alone_are_a_slab(sample_data):
    _, _, quality = segment(sample_data / "chest-ct" / "lungfcp-0001-upper.mhd", "mhd")
    assert [flag for flag, _ in judge(quality)] == ["W_LUNG_SLAB"]
    assert quality.left_ml == pytest.approx(609, rel=0.03)
    assert quality.right_ml == pytest.approx(698, rel=0.03)


def test_annotated_nodules_of_slabs_lie_inside_the_mask(sample_data):
    folder = sample_data / "luna16-format"
    with open(folder / "annotations.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 2
    for row in rows:
        ct, lungs, _ = segment(folder / f"{row['seriesuid']}.mhd", "mhd", spacing_mm=1.0)
        centre = geometry.world_to_voxel(ct.affine, [float(row[f"coord{axis}"]) for axis in "XYZ"])
        axes = np.ogrid[tuple(slice(n) for n in ct.shape_zyx)]
        distance2 = sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True))
        nodule = distance2 <= (float(row["diameter_mm"]) / 2) ** 2
        assert nodule.sum() > 1000
        assert add_margin(lungs, ct)[nodule].all()
