"""One truth in many formats: the same marks, the same CPM; and what cannot be read is named."""

from __future__ import annotations

import _codecs
import json
import os
import pickle

import numpy as np
import pydicom
import pytest
import SimpleITK

from lungline.errors import LunglineError
from lungline.evaluation import mark_formats, mark_readers, marks_in_reports
from lungline.evaluation.array_pickles import read_arrays
from lungline.evaluation.free_response import froc
from lungline.evaluation.mark_formats import FORMATS, format_of, read_predictions, read_truth
from lungline.evaluation.marks import submitted_marks
from tests.repository import REPOSITORY
from tests.scans import write_dicom
from tests.unit.evaluation import detector_files as files

SCANS = list(files.MARKS)

WRITERS = {
    "luna16": files.luna16,
    "monai-cccwhd": lambda folder: files.monai(folder, "cccwhd"),
    "monai-xyzxyz": lambda folder: files.monai(folder, "xyzxyz", tutorial=False),
    "nndetection": files.nndetection,
    "label-map": files.label_map,
    "mask": files.mask,
    "diag-json": files.diag_json,
    "diag-xml": files.diag_xml,
    "dicom-seg": files.dicom_seg,
    "dicom-sr": files.dicom_sr,
    "lungline": files.lungline,
}


def cpm_of(path, name, tmp_path):
    truth = tmp_path / "annotations.csv"
    truth.write_text(files.TRUTH)
    used, marks = read_predictions(path, name, SCANS)
    return used, froc(submitted_marks(marks, SCANS, read_truth(truth, "auto", SCANS)[0])).cpm


@pytest.mark.parametrize("name", WRITERS)
def test_each_format_is_told_by_content_and_gives_the_same_cpm(name, tmp_path):
    folder = tmp_path / "marks"
    folder.mkdir()
    used, cpm = cpm_of(WRITERS[name](folder), "auto", tmp_path)
    assert used == name
    by_hand = froc(submitted_marks(files.MARKS, SCANS, read_truth(tmp_path / "annotations.csv", "auto", SCANS)[0]))
    assert by_hand.true_positives == 4
    assert 0.4 < by_hand.cpm < 0.9
    assert cpm == pytest.approx(by_hand.cpm, abs=1e-9)


def test_every_format_has_a_writer_here_and_the_page_says_what_the_table_says():
    assert set(WRITERS) == set(FORMATS)
    page = (REPOSITORY / "docs/reference/froc-formats.md").read_text("utf-8")
    assert page == mark_formats.formats_page(), (
        "python -m lungline.evaluation.mark_formats > docs/reference/froc-formats.md"
    )


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_label_map_lies_where_it_lies_in_each_container(suffix, tmp_path):
    _, marks = read_predictions(files.label_map(tmp_path, suffix), "auto", SCANS)
    for scan, some in files.MARKS.items():
        assert np.reshape(marks[scan], (-1, 4)) == pytest.approx(np.reshape(some, (-1, 4)))


def test_an_oblique_grid_is_placed_as_itk_places_it(tmp_path):
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]) @ np.diag([-1.0, 1.0, -1.0])
    image = SimpleITK.Image(*files.SHAPE_ZYX[::-1], SimpleITK.sitkUInt8)
    image.SetDirection(turn.ravel().tolist())
    image.SetOrigin(files.ORIGIN_XYZ)
    image.SetSpacing(files.SPACING_XYZ)
    image[5, 4, 3] = 1
    SimpleITK.WriteImage(image, str(tmp_path / "1.2.1.nrrd"))
    files.nndetection(tmp_path, itk_direction=image.GetDirection())
    wanted = image.TransformContinuousIndexToPhysicalPoint((5.0, 4.0, 3.0))
    for name in ("label-map", "nndetection"):
        assert read_predictions(tmp_path, name, SCANS)[1]["1.2.1"][0][:3] == pytest.approx(wanted)


def test_a_report_that_names_segments_has_their_centroids(tmp_path):
    folder = files.dicom_sr(tmp_path, with_seg=True)
    used, marks = read_predictions(folder, "auto", SCANS)
    assert used == "dicom-sr"
    for scan, some in files.MARKS.items():
        assert np.reshape(marks.get(scan, []), (-1, 4)) == pytest.approx(np.reshape(some, (-1, 4)))
    for seg in folder.glob("[0-9].dcm"):
        seg.unlink()
    with pytest.raises(LunglineError, match=r"group 1: its DICOM SEG is not here\. Put it beside"):
        read_predictions(folder, "auto", SCANS)


def test_a_report_with_points_in_images_alone_and_one_of_dose_are_named(tmp_path):
    folder = files.dicom_sr(tmp_path, coordinates=True)
    with pytest.raises(LunglineError, match=r"expected a place in space \(SCOORD3D\) or a segment"):
        read_predictions(folder, "dicom-sr", SCANS)
    for file in folder.iterdir():
        dataset = pydicom.dcmread(file)
        dataset.ConceptNameCodeSequence[0].CodeValue = "113701"  # X-Ray Radiation Dose Report
        dataset.ContentTemplateSequence[0].TemplateIdentifier = "10011"
        dataset.save_as(file)
    with pytest.raises(LunglineError, match="no scan in the format dicom-sr"):
        read_predictions(folder, "dicom-sr", SCANS)


def test_an_outline_in_space_has_its_mean_and_damage_is_one_line(tmp_path):
    folder = files.dicom_sr(tmp_path)
    path = folder / "sr-2.dcm"
    dataset = pydicom.dcmread(path)
    (item,) = [one for one in marks_in_reports._items(dataset) if one.ValueType == "SCOORD3D"]
    item.GraphicType, item.GraphicData = "POLYGON", [0, 0, 5, 4, 0, 5, 4, 4, 5, 0, 4, 5, 0, 0, 5]
    dataset.save_as(path)
    assert read_predictions(folder, "auto", SCANS)[1]["1.2.3"] == [(2, 2, 5, pytest.approx(0.375))]
    whole = path.read_bytes()
    for end in range(1400, len(whole), 500):
        path.write_bytes(whole[:end])
        with pytest.raises(LunglineError, match="expected a DICOM SR of template TID 1500"):
            mark_formats.FORMATS["dicom-sr"].read(path, SCANS)


def test_a_ct_is_no_segmentation(tmp_path):
    write_dicom(tmp_path, np.zeros((1, 4, 4), np.int16))
    with pytest.raises(LunglineError, match="no scan in the format dicom-seg"):
        read_predictions(next(tmp_path.iterdir()), "auto", SCANS)


def test_label_maps_without_scores_have_1_and_a_json_beside_them_is_read(tmp_path):
    files.label_map(tmp_path, scores=False)
    assert read_predictions(tmp_path, "auto", SCANS)[1]["1.2.1"][0][3] == 1.0
    for scan, some in files.VOXELS.items():
        table = {str(label): {"score": score, "box": []} for label, (_, score) in enumerate(some, start=1)}
        (tmp_path / f"{scan}.json").write_text(json.dumps(table))
    assert [mark[3] for mark in read_predictions(tmp_path, "auto", SCANS)[1]["1.2.1"]] == [0.875, 0.5, 0.25]


def test_of_totalsegmentator_only_the_nodules_count(tmp_path):
    inside = np.zeros(files.SHAPE_ZYX, dtype=np.uint8)
    files.write_image(tmp_path / "1.2.1" / "lung.nii.gz", inside + np.uint8(1))
    inside[3, 4, 5] = 1
    files.write_image(tmp_path / "1.2.1" / "lung_nodules.nii.gz", inside)
    (mark,) = read_predictions(tmp_path, "mask", SCANS)[1]["1.2.1"]
    assert mark == pytest.approx((*files.world((3, 4, 5)), np.prod(files.SPACING_XYZ)))


def test_a_label_map_as_truth_has_the_diameter_of_its_volume(tmp_path):
    labels = np.zeros(files.SHAPE_ZYX, dtype=np.int16)
    labels[2:5, 2:6, 2:7] = 7
    files.write_image(tmp_path / "1.2.1.nii.gz", labels)
    ((nodule,), others) = read_truth(tmp_path, "auto", SCANS)
    assert others == []
    assert nodule.centre_xyz_mm == pytest.approx(np.array(files.ORIGIN_XYZ) + np.array([4, 3.5, 3]) * files.SPACING_XYZ)
    assert np.pi / 6 * nodule.diameter_mm**3 == pytest.approx(60 * np.prod(files.SPACING_XYZ))


def box(entry):
    return json.dumps([{"image": "1.2.1.nii.gz", "score": [0.5], "box": [[1, 2, 3, 4, 5, 6]], **entry}])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (box({}), r"Both would fit. Say --format monai-cccwhd or --format monai-xyzxyz"),
        (box({"box": [[1, 2, 3, -4, -5, -6]]}), "Neither would fit"),
        ('[{"image": "1.2.1", "box": [[0, 0, 0, -1, 9, 9], [9, 9, 9, 1, 1, 1]]}]', "Neither would fit"),
        (
            '[{"image": "1.2.1", "box": [[9, 9, 9, 1, 1, 1]]}]',
            r"x, \[0\]: expected an entry with 'score or label_scores'",
        ),
        ('[{"score": [1], "box": [[9, 9, 9, 1, 1, 1]]}]', r"x, \[0\]: expected an entry with 'image'"),
        (box({"box": [[9, 9, 9, 1, 1, 1]] * 2, "score": [1, 1]}), "two marks at"),
        (box({"box": [[9, 9, 9, 1, 1, 1]], "score": [float("nan")]}), "expected a finite score"),
        (box({"box": [[9, 9, 9, 1, 1]]}), "expected boxes of six numbers"),
        ('[{"entity": "1.2.1"}]', r"x, \[0\]: expected an entry with 'metrics'"),
        (
            '[{"entity": "1.2.1", "metrics": {"nodules": [{"x": 1, "y": 1}]}}]',
            r"nodules\[0\]: expected an entry with 'z'",
        ),
        ('{"boxes": []}', "expected a list with 'box'"),
        ("[{", "expected JSON"),
        ("<LidcReadMessage/>", "expected a LungCADReport"),
        ("<LungCADReport/>", "expected an element 'LungCAD/CoordinateSystem'"),
        ("<Lung", "expected XML"),
    ],
)
def test_what_a_file_lacks_is_named_with_its_place(text, complaint, tmp_path):
    (tmp_path / "x").write_text(text)
    with pytest.raises(LunglineError, match=complaint):
        read_predictions(tmp_path / "x", "auto", SCANS)


def test_a_folder_that_may_be_two_things_is_asked_about(tmp_path):
    files.mask(tmp_path, probabilities=False)
    with pytest.raises(LunglineError, match=r"label-map and mask would fit\. Say --format label-map, mask"):
        format_of(tmp_path)
    files.diag_xml(tmp_path)
    with pytest.raises(LunglineError, match="diag-xml and label-map and mask"):
        format_of(tmp_path)


def test_a_scan_twice_and_an_unknown_format_are_refused(tmp_path):
    files.label_map(tmp_path / "a", ".mha", scores=False)
    files.label_map(tmp_path / "b", ".mha", scores=False)
    with pytest.raises(LunglineError, match="stood there before"):
        read_predictions(tmp_path, "label-map", SCANS)
    with pytest.raises(LunglineError, match=r"no format 'label-maps'\. Did you mean 'label-map'"):
        read_predictions(tmp_path, "label-maps", SCANS)


def test_nothing_that_a_pickle_asks_for_is_called(tmp_path):
    for harmful in (os.getcwd, np.load):
        (tmp_path / "1_2_1_boxes.pkl").write_bytes(pickle.dumps({"pred_boxes": harmful}))
        with pytest.raises(LunglineError, match=r"arrays, numbers and text alone. It is refused \(UnpicklingError\)"):
            read_predictions(tmp_path, "nndetection", SCANS)


class Asks:
    """Pickles as a call that the file chooses."""

    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


def doubled(times: int) -> object:
    content: object = b"x"
    for _ in range(times):
        content = Asks(_codecs.encode, content, "hex_codec")
    return content


def repeated(times: int) -> list:
    part: list = [1.0]
    for _ in range(times):
        part = [part, part]
    return part


@pytest.mark.parametrize(
    "boxes",
    [
        doubled(3),
        repeated(3),
        [1.0] * 17,
        Asks(np.ndarray, (2, 6)),
        Asks(np.dtype, "O"),
        np.array([None]),
        np.zeros(1, dtype=[("a", "f8")]),
    ],
    ids=["doubled text", "lists in lists", "a long list", "ndarray", "objects", "array of objects", "records"],
)
def test_a_pickle_whose_values_could_grow_is_refused(tmp_path, boxes):
    files.nndetection(tmp_path, pred_boxes=boxes)
    with pytest.raises(LunglineError, match="arrays, numbers and text alone"):
        read_predictions(tmp_path, "nndetection", SCANS)


@pytest.mark.parametrize("protocol", [2, 4])
def test_arrays_and_numbers_of_a_pickle_are_what_numpy_reads(tmp_path, protocol):
    case = {
        "f": np.arange(6, dtype="<f4").reshape(2, 3),
        "order": np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)),
        "none": np.zeros((0, 6)),
        "bool": np.array([True]),
        "scalar": np.float32(0.5),
        "flag": True,
    }
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(case, protocol))
    found = read_arrays(tmp_path / "a.pkl")
    assert list(found) == list(case)
    for name, value in case.items():
        assert np.array_equal(found[name], value)
        assert np.asarray(found[name]).shape == np.shape(value)


def test_probabilities_that_would_fill_the_memory_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(mark_readers, "_MOST_ARRAY_BYTES", 100)
    with pytest.raises(LunglineError, match=r"There is none \(ValueError\)"):
        read_predictions(files.mask(tmp_path), "mask", SCANS)


def test_a_label_map_of_an_impossible_size_is_refused_before_it_is_read(tmp_path):
    header = "ObjectType = Image\nNDims = 3\nDimSize = 60000 60000 60000\nElementType = MET_SHORT\n"
    (tmp_path / "1.2.1.mhd").write_text(f"{header}ElementDataFile = 1.2.1.raw\n")
    (tmp_path / "1.2.1.raw").touch()
    with pytest.raises(LunglineError, match="the image claims 60000 x 60000 x 60000"):
        read_predictions(tmp_path, "label-map", SCANS)


def test_boxes_that_were_not_restored_are_refused(tmp_path):
    with pytest.raises(LunglineError, match="Predict again with restore"):
        read_predictions(files.nndetection(tmp_path, restore=False), "auto", SCANS)


def test_a_number_that_no_float_holds_is_one_line(tmp_path):
    (tmp_path / "m.json").write_text(
        json.dumps([{"image": "1.2.1", "box": [[1, 2, 3, 4, 5, 10**400]], "label_scores": [1]}])
    )
    with pytest.raises(LunglineError, match="expected JSON"):
        read_predictions(tmp_path / "m.json", "monai-cccwhd", ["1.2.1"])
