import numpy as np
import pytest

from lungline import geometry
from lungline.errors import LunglineError
from lungline.nodules.annotations import Nodule, draw_spheres, read_annotations

HEADER = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"


def test_spheres_have_their_volume_and_their_place():
    affine = geometry.make_affine((1, 1, 1), (-50, 20, 300))
    mask = draw_spheres((60, 50, 40), affine, [Nodule("a", (-30.3, 45.2, 330.4), 18.0)])
    assert mask.sum() == pytest.approx(4 / 3 * np.pi * 9**3, rel=0.03)
    centre = geometry.voxel_to_world(affine, np.argwhere(mask).mean(axis=0))
    np.testing.assert_allclose(centre, (-30.3, 45.2, 330.4), atol=0.1)


def test_spheres_are_drawn_in_millimetres_on_an_unequal_grid():
    affine = geometry.make_affine((2.5, 0.7, 0.6))
    mask = draw_spheres((30, 60, 70), affine, [Nodule("a", (20.0, 20.0, 37.0), 12.0)])
    assert mask.sum() * 2.5 * 0.7 * 0.6 == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.06)


def test_a_tiny_nodule_between_voxel_centres_does_not_vanish_and_one_outside_is_left_out():
    affine = geometry.make_affine((1, 1, 1))
    mask = draw_spheres((5, 5, 5), affine, [Nodule("a", (2.5, 2.5, 2.5), 0.2), Nodule("a", (99, 2, 2), 6.0)])
    assert mask.sum() == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,x\n1,2\n", "expected the columns"),
        (HEADER + "a,1,2,3,4\na,1,2,x,4\n", "line 3"),
        (HEADER + "a,1,2,3,0\n", "line 2.*diameter"),
        (HEADER + "a,1,2,nan,4\n", "line 2.*finite"),
        (HEADER + "a,1,2\n", "line 2"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(tmp_path, text, message):
    (tmp_path / "annotations.csv").write_text(text)
    with pytest.raises(LunglineError, match=message):
        read_annotations(tmp_path / "annotations.csv")


def test_a_byte_order_mark_does_no_harm(tmp_path):
    (tmp_path / "a.csv").write_text("\ufeff" + HEADER + "007,1,2,3,4\n")
    assert read_annotations(tmp_path / "a.csv") == [Nodule("007", (1, 2, 3), 4)]
