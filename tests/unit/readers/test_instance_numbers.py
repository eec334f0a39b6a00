"""The scanner's numbers of the slices, by which a PACS finds them, follow a scan through every reader."""

from __future__ import annotations

import numpy as np
import pytest

from lungline.readers.scan import read_numbered_scan
from lungline.stages import ingest
from lungline.storage import hdf5
from scans import AXIAL, chest, write_dicom, write_enhanced, write_mhd

HU = chest((12, 30, 40))
DOWN = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # columns run to the right, slices to the feet
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
OBLIQUE = (0.9397, 0.0, -0.3420, 0.1170, 0.9397, 0.3214)


def numbered(start: int, step: int = 1):
    return lambda k, dataset: setattr(dataset, "InstanceNumber", start + step * k)


@pytest.mark.parametrize(
    ("orientation", "change", "expected"),
    [
        (AXIAL, numbered(1), range(1, 13)),
        (AXIAL, numbered(12, -1), range(12, 0, -1)),  # the scanner counts from the head, as most do
        (AXIAL, numbered(0), range(12)),
        (AXIAL, numbered(101, 2), range(101, 125, 2)),
        (DOWN, numbered(1), range(12, 0, -1)),
        (OBLIQUE, numbered(7), range(7, 19)),
    ],
    ids=["from below", "from the head", "from 0", "every second", "reversed", "oblique"],
)
def test_each_slice_keeps_its_number_lowest_first(tmp_path, orientation, change, expected) -> None:
    write_dicom(tmp_path / "a", HU, orientation=orientation, change=change)
    assert read_numbered_scan(tmp_path / "a", "dicom")[2] == tuple(expected)


def test_a_series_without_numbers_or_with_one_for_all_has_none(tmp_path) -> None:
    def without(k, dataset):
        del dataset.InstanceNumber

    for name, change in (
        ("none", without),
        ("one", numbered(5, 0)),
        ("words", lambda k, d: d.add_new(0x00200013, "IS", "")),
        ("more than 32 bits", lambda k, d: d.add_new(0x00200013, "UN", str(10**10 + k).encode())),
    ):
        write_dicom(tmp_path / name, HU, change=change)
        assert read_numbered_scan(tmp_path / name, "dicom")[2] is None


def test_other_formats_have_none(tmp_path) -> None:
    assert read_numbered_scan(write_mhd(tmp_path / "a.mhd", HU), "mhd")[2] is None


def test_where_the_slices_do_not_follow_the_first_axis_there_are_none(tmp_path) -> None:
    write_dicom(tmp_path / "a", HU, orientation=SAGITTAL, spacing_kji=(2.0, 2.0, 2.0))
    assert read_numbered_scan(tmp_path / "a", "dicom")[2] is None


def test_a_slice_that_is_filled_in_has_the_number_of_a_neighbour(tmp_path) -> None:
    hu = chest((60, 30, 40))
    folder = write_dicom(tmp_path / "a", hu, change=numbered(1))
    next(path for path in sorted(folder.iterdir()) if path.stem.endswith("030")).unlink()
    numbers = read_numbered_scan(folder, "dicom")[2]
    assert numbers is not None
    assert len(numbers) == 60
    (filled,) = np.flatnonzero(np.diff(numbers) != 1)[:1]
    assert numbers[filled] == numbers[filled + 1] or numbers[filled + 1] - numbers[filled] == 2


def test_in_an_enhanced_ct_it_is_the_number_of_the_frame(tmp_path) -> None:
    path = write_enhanced(tmp_path / "a" / "one.dcm", HU)
    _, _, numbers = read_numbered_scan(path.parent, "dicom")
    assert numbers is not None
    assert sorted(numbers) == list(range(1, 13))
    assert list(numbers) != sorted(numbers)  # its frames are in another order than their places


def test_ingest_writes_them_beside_the_hu_and_leaves_them_out_where_there_are_none(tmp_path) -> None:
    write_dicom(tmp_path / "a", HU, change=numbered(12, -1))
    write_mhd(tmp_path / "b.mhd", HU)
    for name, source, fields in (("a", "dicom", ["ct", "instance_number"]), ("b.mhd", "mhd", ["ct"])):
        ingest.run(tmp_path / name, tmp_path / "out.h5", source=source)
        assert hdf5.field_names(tmp_path / "out.h5") == fields
        if "instance_number" in fields:
            field = hdf5.read_field(tmp_path / "out.h5", "instance_number")
            assert (field.array.tolist(), field.array.dtype, field.axes) == (list(range(12, 0, -1)), np.int32, "z")
