"""Label maps of other programs: the same labels at the same place from every format, and a line for what is none."""

from pathlib import Path

import numpy as np
import pytest

from dicom_series import write_series
from lungline.errors import LunglineError
from lungline.imaging.geometry import make_affine
from lungline.imaging.volume import Volume
from lungline.readers.label_maps import read_label_map, read_stored_labels
from lungline.storage.nifti_output import write_nifti
from lungline.storage.nrrd_output import write_nrrd
from scans import chest, write_mhd

LABELS = np.zeros((6, 7, 9), np.int16)
LABELS[1:3, 2:5, 1:4], LABELS[4, 5, 6] = 1, 2
#: Along x and z against the axes of LPS.
TURNED = make_affine((2.5, 0.7, 0.9), (-31.0, 42.5, -113.0), [[0, 0, -1.0], [0, 1.0, 0], [-1.0, 0, 0]])


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.NRRD"])
def test_labels_come_in_lps_order(tmp_path: Path, name: str) -> None:
    volume = Volume(LABELS, TURNED)
    if name.endswith("gz"):
        write_nifti(volume, tmp_path / name)
    else:
        write_nrrd(volume, tmp_path / name)
    read = read_label_map(tmp_path / name)
    np.testing.assert_array_equal(read.volume.array, LABELS[::-1, :, ::-1])
    np.testing.assert_allclose(read.volume.affine, volume.to_lps().affine, atol=1e-4)
    assert not read.is_part


def test_labels_above_255_are_read_as_the_file_orders_them(tmp_path: Path) -> None:
    labels = LABELS.astype(np.int16) * 300
    write_nrrd(Volume(labels, TURNED), tmp_path / "a.nrrd")
    read = read_stored_labels(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(read.array, labels)
    np.testing.assert_allclose(read.affine, TURNED, atol=1e-4)
    with pytest.raises(LunglineError, match="whole numbers from 0 to 255"):
        read_label_map(tmp_path / "a.nrrd")


def test_nrrd_has_the_same_bytes_each_time_and_says_what_it_is_not_for(tmp_path: Path) -> None:
    for name in ("a.nrrd", "b.nrrd"):
        write_nrrd(Volume(LABELS.astype(np.uint8), TURNED), tmp_path / name)
    assert (tmp_path / "a.nrrd").read_bytes() == (tmp_path / "b.nrrd").read_bytes()
    assert b"Research use only. Not a medical device." in (tmp_path / "a.nrrd").read_bytes()


def with_names(path: Path, labels: np.ndarray, affine: np.ndarray, names: dict[int, str]) -> Path:
    """A NIfTI that names its labels as TotalSegmentator writes them; `labels` (i, j, k), `affine` of NIfTI (RAS)."""
    import nibabel

    table = "".join(f'<Label Key="{k}" Red="0" Alpha="1"><![CDATA[{name}]]></Label>\n' for k, name in names.items())
    words = '<?xml version="1.0" encoding="UTF-8"?> <CaretExtension> <VolumeInformation Index="0"> <LabelTable>\n'
    image = nibabel.Nifti1Image(labels.astype(np.uint8), affine)
    image.header.extensions.append(
        nibabel.nifti1.Nifti1Extension(0, f"{words}{table}</LabelTable></VolumeInformation></CaretExtension>".encode())
    )
    nibabel.save(image, path)
    return path


VERSION_1 = {10: "pancreas", 13: "lung_upper_lobe_left", 14: "lung_lower_lobe_left", 15: "lung_upper_lobe_right"}
VERSION_2 = {10: "lung_upper_lobe_left", 11: "lung_lower_lobe_left", 12: "lung_upper_lobe_right", 51: "heart"}


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (VERSION_1, {10: 0, 13: 1, 14: 2, 15: 3}),
        (VERSION_2, {10: 1, 11: 2, 12: 3, 51: 0}),
        ({7: "lung_left", 9: "lung_right"}, {7: 2, 9: 1}),
        ({7: "heart"}, {7: 7}),
    ],
)
@pytest.mark.parametrize("turned", [np.diag([1.0, 1, 1]), np.diag([-1.0, -1, 1]), np.eye(3)[[2, 0, 1]]])
def test_names_in_a_nifti_count_on_whatever_axes(tmp_path: Path, name, names, numbers, turned) -> None:
    labels, affine = np.zeros((8, 9, 10)), np.eye(4)
    for place, number in enumerate(numbers, start=1):
        labels[place, place + 1, place + 2] = number
    affine[:3, :3], affine[:3, 3] = turned * [0.7, 0.8, 2.5], (-31, 42, -113)
    volume = read_label_map(with_names(tmp_path / name, labels, affine, names)).volume
    assert np.count_nonzero(volume.array) == sum(number > 0 for number in numbers.values())
    for place, number in enumerate(numbers.values(), start=1):
        x, y, z = (affine @ [place, place + 1, place + 2, 1])[:3]
        index = np.rint(np.linalg.solve(volume.affine, [-x, -y, z, 1])[:3]).astype(int)
        assert volume.array[tuple(index)] == number


@pytest.mark.parametrize("codes", [("266005", "44714003"), ("3341006", "44029006"), ("39607008", "39607008")])
def test_a_dicom_seg_is_numbered_by_its_codes(tmp_path: Path, codes: tuple[str, str]) -> None:
    hd = pytest.importorskip("highdicom")
    import pydicom
    from pydicom.sr.codedict import codes as known

    folder = write_series(tmp_path / "ct", chest())
    slices = sorted(map(pydicom.dcmread, folder.iterdir()), key=lambda one: one.ImagePositionPatient[2])
    marked = np.zeros((len(slices), 30, 40, 2), bool)
    marked[3:6, 8:20, 9:14, 0], marked[3:6, 8:20, 22:30, 1] = True, True
    sides = (known.SCT.Right, known.SCT.Left)
    described = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=f"{number}",
            segmented_property_category=known.SCT.AnatomicalStructure,
            segmented_property_type=hd.sr.CodedConcept(code, "SCT", "part of a lung"),
            algorithm_type="MANUAL",
        )
        for number, code in enumerate(codes, start=1)
    ]
    if codes[0] == codes[1]:
        for one, side in zip(described, sides, strict=True):
            modifier = [hd.sr.CodedConcept.from_code(side)]
            one.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = modifier
    names = {"manufacturer": "x", "manufacturer_model_name": "x", "software_versions": "1", "device_serial_number": "1"}
    hd.seg.Segmentation(
        source_images=slices,
        pixel_array=marked,
        segmentation_type="BINARY",
        segment_descriptions=described,
        series_instance_uid=hd.UID(),
        series_number=9,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        **names,
    ).save_as(tmp_path / "seg.dcm")
    read = read_label_map(tmp_path / "seg.dcm")
    assert read.is_part
    first, second = (5, 1) if codes[0] == "266005" else (1, 2)
    values, counts = np.unique(read.volume.array, return_counts=True)
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) | {0: 0} == {0: 0, first: 180, second: 288}
    k, _, i = (int(index.min()) for index in np.nonzero(read.volume.array == first))
    place = read.volume.affine @ [k, 0, i, 1]
    assert (place[0], place[2]) == (pytest.approx(-31 + 9 * 1.7), pytest.approx(13 + 3 * 2.5))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.nii", None, "There is none"),
        ("a.txt", b"x", "Found another file"),
        ("a.nrrd", b"NRRD0004\ntype: short\n\nxx", "SimpleITK cannot read it"),
        ("a.nrrd", b"NRRD0004\ntype: short\ndata file: /etc/passwd\n\n", "voxels in the same file"),
        ("a.nrrd", b"GIF89a", "voxels in the same file"),
        ("a.nii", b"x" * 400, "Q_BAD_NIFTI"),
        ("a.dcm", b"\0" * 128 + b"DICM" + b"\0" * 9, "a DICOM SEG"),
    ],
)
def test_what_is_no_label_map_is_one_line_without_its_name(tmp_path: Path, name, content, says) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(LunglineError) as caught:
        read_label_map(tmp_path / name)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_an_image_is_no_label_map(tmp_path: Path) -> None:
    write_mhd(tmp_path / "a.mhd", chest())
    with pytest.raises(LunglineError, match="whole numbers from 0 to 255"):
        read_label_map(tmp_path / "a.mhd")
