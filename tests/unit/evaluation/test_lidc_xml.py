"""LIDC's XML as ground truth: the outline, the readers, and what counts neither way."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
import SimpleITK

from lungline.errors import LunglineError
from lungline.evaluation.lidc_xml import inside
from lungline.evaluation.mark_formats import read_truth
from tests.scans import write_dicom
from tests.unit.evaluation.detector_files import lidc, roi, write_image

#: The border of the pixels x 5 to 7, y 9 to 10.
BORDER = [*((x, 8) for x in range(4, 9)), (8, 9), (8, 10), *((x, 11) for x in range(8, 3, -1)), (4, 10), (4, 9)]


def nodule(*rois: str) -> str:
    return f"<unblindedReadNodule><noduleID>1</noduleID>{''.join(rois)}</unblindedReadNodule>"


POINT = nodule(roi(46, [(3, 3)]))
NON_NODULE = (
    "<nonNodule><imageZposition>50</imageZposition><locus><xCoord>1</xCoord><yCoord>2</yCoord></locus></nonNodule>"
)


@pytest.fixture
def truth(tmp_path):
    """The truth of an XML with these sessions, in an image of 1.5 x 1.25 x 2 mm."""

    def read(agreement, **sessions):
        write_image(tmp_path / "images" / "1.2.1.mha", np.zeros((20, 24, 28), np.int16))
        path = lidc(tmp_path / "a.xml", "1.2.1", sessions)
        return read_truth(path, "auto", ["1.2.1"], images=tmp_path / "images", agreement=agreement)

    return read


def test_the_outline_is_not_part_of_the_nodule():
    assert sorted(inside(np.array(BORDER))) == [(x, y) for x in (5, 6, 7) for y in (9, 10)]
    corners = np.array([(4, 8), (8, 8), (8, 11), (4, 11)])  # what lies between points is drawn
    assert sorted(inside(corners)) == sorted(inside(np.array(BORDER)))
    assert inside(np.array([(4, 4), (5, 4)])) == []


def test_agreement_decides_what_is_to_be_found(truth):
    one = nodule(roi(46, BORDER), roi(48, BORDER))
    sessions = {"a": [one], "b": [one, POINT], "c": [one, NON_NODULE], "d": []}
    (found,), others = truth(3, **sessions)
    assert found.centre_xyz_mm == pytest.approx((-30 + 6 * 1.5, -12.5 + 9.5 * 1.25, 47))
    assert np.pi / 6 * found.diameter_mm**3 == pytest.approx(12 * 1.5 * 1.25 * 2)
    assert [(o.centre_xyz_mm, o.diameter_mm) for o in others] == [((-25.5, -8.75, 46), -1), ((-28.5, -10, 50), -1)]
    none, more = truth(4, **sessions)
    assert (none, len(more)) == ([], 3)


def test_readings_of_one_reader_count_once_and_place_and_size_are_means(truth):
    small, large = nodule(roi(46, BORDER)), nodule(roi(46, BORDER), roi(48, BORDER))
    assert truth(2, a=[small, large])[0] == []
    ((found,), _) = truth(2, a=[small], b=[large])
    assert found.centre_xyz_mm[2] == pytest.approx((46 + 47) / 2)


def test_what_is_excluded_is_cut_out(truth):
    whole = truth(1, a=[nodule(roi(46, BORDER))])[0][0]
    hole = roi(46, [(5, 8), (7, 8), (7, 10), (5, 10)], "FALSE")  # encloses (6, 9)
    left = truth(1, a=[nodule(hole, roi(46, BORDER))])[0][0]
    assert (left.diameter_mm / whole.diameter_mm) ** 3 == pytest.approx(5 / 6)


def test_dicom_headers_serve_as_well(tmp_path):
    write_dicom(tmp_path / "ct", np.zeros((3, 20, 20), np.int16), origin=(-31, -42, 13), spacing_kji=(2.5, 2.1, 1.7))
    path = lidc(tmp_path / "a.xml", "1.2.3.4", {"a": [nodule(roi(15.5, BORDER))]})
    ((found,), _) = read_truth(path, "auto", ["1.2.3.4"], images=tmp_path / "ct", agreement=1)
    assert found.centre_xyz_mm == pytest.approx((-31 + 6 * 1.7, -42 + 9.5 * 2.1, 15.5))
    assert np.pi / 6 * found.diameter_mm**3 == pytest.approx(6 * 1.7 * 2.1 * 2.5)


def test_a_dicom_header_of_others_costs_only_itself(tmp_path):
    write_dicom(tmp_path / "ct", np.zeros((3, 20, 20), np.int16), origin=(-31, -42, 13), spacing_kji=(2.5, 2.1, 1.7))
    one = sorted(path for path in (tmp_path / "ct").rglob("*") if path.is_file())[0]
    header = pydicom.dcmread(one)
    header.ImagePositionPatient = [1, 2]
    header.save_as(tmp_path / "ct" / "bad.dcm")
    path = lidc(tmp_path / "a.xml", "1.2.3.4", {"a": [nodule(roi(15.5, BORDER))]})
    ((found,), _) = read_truth(path, "auto", ["1.2.3.4"], images=tmp_path / "ct", agreement=1)
    assert found.centre_xyz_mm == pytest.approx((-31 + 6 * 1.7, -42 + 9.5 * 2.1, 15.5))


@pytest.mark.parametrize(
    ("sessions", "agreement", "complaint"),
    [
        ({"a": [nodule()]}, 1, "session 1, nodule 1: expected a roi"),
        ({"a": [], "b": [POINT, nodule(roi(46, []))]}, 1, "session 2, nodule 2: expected an edgeMap"),
        ({"a": [nodule(roi(46, [(3, 4), (3, 99_999)]))]}, 1, "expected pixels from 0 to 2047 in an edgeMap"),
        ({"a": [nodule("<roi><edgeMap/></roi>")]}, 1, "expected an element 'xCoord'"),
        ({}, 5, "expected 1 to 4 readers"),
    ],
)
def test_what_is_missing_is_named(truth, sessions, agreement, complaint):
    with pytest.raises(LunglineError, match=complaint):
        truth(agreement, **sessions)


def test_xml_of_radiographs_and_of_other_scans_is_passed_over(tmp_path):
    write_image(tmp_path / "images" / "1.2.1.mha", np.zeros((20, 24, 28), np.int16))
    lidc(tmp_path / "a.xml", "1.2.1", {"a": [nodule(roi(46, BORDER))]})
    lidc(tmp_path / "b.xml", "1.2.9", {"a": [nodule()]})
    (tmp_path / "c.xml").write_text('<IdriReadMessage xmlns="http://www.nih.gov/idri"/>')
    nodules, _ = read_truth(tmp_path, "lidc-xml", ["1.2.1"], images=tmp_path / "images", agreement=1)
    assert [one.scan for one in nodules] == ["1.2.1"]
    with pytest.raises(LunglineError, match="expected LIDC's XML of a CT"):
        read_truth(tmp_path / "c.xml", "auto", ["1.2.1"], images=tmp_path)


def test_a_flipped_header_is_refused(tmp_path):
    image = SimpleITK.GetImageFromArray(np.zeros((4, 4, 4), np.int16))
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    SimpleITK.WriteImage(image, str(tmp_path / "1.2.1.mha"))
    with pytest.raises(LunglineError, match="rows or columns do not run to the patient's left and back"):
        read_truth(lidc(tmp_path / "a.xml", "1.2.1", {}), "auto", ["1.2.1"], images=tmp_path, agreement=1)


def test_the_scans_are_needed(tmp_path):
    path = lidc(tmp_path / "a.xml", "1.2.1", {})
    with pytest.raises(LunglineError, match="name the folder of the scans with --images"):
        read_truth(path, "auto", ["1.2.1"])
    with pytest.raises(LunglineError, match="There is none with its SeriesInstanceUID"):
        read_truth(path, "auto", ["1.2.1"], images=tmp_path, agreement=1)
