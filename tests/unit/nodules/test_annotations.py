import numpy as np
import pytest

from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.nodules.annotations import Nodule, nodules_outside, note_annotations, rasterise_spheres, read_annotations

HEADER = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"


def test_spheres_have_their_volume_and_their_place():
    affine = geometry.make_affine((1, 1, 1), (-50, 20, 300))
    mask = rasterise_spheres((60, 50, 40), affine, [Nodule("a", (-30.3, 45.2, 330.4), 18.0)])
    assert mask.sum() == pytest.approx(4 / 3 * np.pi * 9**3, rel=0.03)
    centre = geometry.voxel_to_world(affine, np.argwhere(mask).mean(axis=0))
    np.testing.assert_allclose(centre, (-30.3, 45.2, 330.4), atol=0.1)


def test_spheres_are_drawn_in_millimetres_on_an_unequal_grid():
    affine = geometry.make_affine((2.5, 0.7, 0.6))
    mask = rasterise_spheres((30, 60, 70), affine, [Nodule("a", (20.0, 20.0, 37.0), 12.0)])
    assert mask.sum() * 2.5 * 0.7 * 0.6 == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.06)


def test_a_tiny_nodule_between_voxel_centres_does_not_vanish_and_one_outside_is_left_out():
    affine = geometry.make_affine((1, 1, 1))
    mask = rasterise_spheres((5, 5, 5), affine, [Nodule("a", (2.5, 2.5, 2.5), 0.2), Nodule("a", (99, 2, 2), 6.0)])
    assert mask.sum() == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,x\n1,2\n", "expected the columns"),
        (HEADER + "a,1,2,3,4\na,1,2,x,4\n", "line 3"),
        (HEADER + 'a,1,2,3,"4,5"\n', "line 2: diameter_mm: .* decimal comma"),
        (HEADER + "a,1,2,3,4\na,1,inf,3,4\n", "line 3: coordY"),
        (HEADER + "a,1,2,3,0x4\n", "line 2: diameter_mm"),
        (HEADER + ",1,2,3,4\n", "line 2: expected a seriesuid"),
        (HEADER + "a,1,2,3,4\na,1,2,3,5\n", "line 3: the place of line 2 with another diameter"),
        (HEADER + "a,1,2,x,4\nb,1\nc,1,,3,4\n", "(?s)3 faults.*line 2.*line 3.*line 4"),
        (HEADER + "a,1,2,nan,4\n", "line 2.*finite"),
        (HEADER + "a,1,2\n", "line 2"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(tmp_path, text, message):
    (tmp_path / "annotations.csv").write_text(text)
    with pytest.raises(LunglineError, match=message):
        read_annotations(tmp_path / "annotations.csv")


def test_rows_that_no_nodule_has_are_left_out_and_noted_with_their_lines(tmp_path):
    path = tmp_path / "annotations.csv"
    path.write_text(HEADER + "a,1,2,3,4\na,1,2,3,0\na,5,5,5,-1\na,5,5,5,201\na,1,2,3,4.0\nb,1,2,3,4\n")
    assert read_annotations(path) == [Nodule("a", (1, 2, 3), 4), Nodule("b", (1, 2, 3), 4)]
    assert [(note.line, note.flag) for note in note_annotations(path, ["a"])] == [
        (3, "T_ROW_REFUSED"),
        (4, "T_ROW_REFUSED"),
        (5, "T_ROW_REFUSED"),
        (6, "T_ROW_TWICE"),
        (7, "T_UNKNOWN_SCAN"),
    ]


def test_findings_that_nobody_measured_stay(tmp_path):
    path = tmp_path / "excluded.csv"
    path.write_text(HEADER + "a,1,2,3,-1\na,1,2,3,4\n")
    assert [finding.diameter_mm for finding in read_annotations(path, measured=False)] == [-1, 4]


def test_nodules_outside_the_grid_are_known_by_their_lines():
    inside, outside = Nodule("a", (2, 2, 4.4), 3.0, line=2), Nodule("a", (2, 2, 4.6), 3.0, line=7)
    assert [n.line for n in nodules_outside((5, 5, 5), geometry.make_affine((1, 1, 1)), [inside, outside])] == [7]


def test_a_byte_order_mark_does_no_harm(tmp_path):
    (tmp_path / "a.csv").write_text("\ufeff" + HEADER + "007,1,2,3,4\n")
    assert read_annotations(tmp_path / "a.csv") == [Nodule("007", (1, 2, 3), 4)]
