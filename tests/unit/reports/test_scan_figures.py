"""The paper's figures show what they should, where it is."""

import numpy as np
import pytest
from matplotlib.text import Text

from lungline import NOTICE
from lungline.imaging import geometry
from lungline.reports import scan_figures
from lungline.reports.plotting import new_figure, on_plane, plot_mm, save_png, text_figure
from lungline.reports.scan_figures import (
    render_candidates,
    render_masked_slice,
    render_nodule_slice,
    render_three_planes,
)
from lungline.storage.hdf5 import Flag

from .conftest import BEADS_ZYX

LAYERS = [
    ("down1", 4, 8, 8, 10),
    ("down2", 8, 4, 4, 20),
    ("up1", 4, 8, 8, 3),
    ("merge1", 4, 8, 8, 30),
    ("logit", 1, 8, 8, 5),
]


def words(figure):
    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_every_figure_carries_the_notice(subject):
    drawn = scan_figures.render_scan(subject, LAYERS, 1)
    assert list(drawn) == ["figure1", "figure2", "figure3", "figure4", "figure5"]
    for name, figure in drawn.items():
        assert NOTICE in words(figure), name


def test_figure_1_crosses_at_the_point(subject):
    bead = geometry.voxel_to_world(subject.ct.affine, BEADS_ZYX[1])
    figure = render_three_planes(subject.ct, bead)
    for axis, panel in enumerate(figure.axes[:3]):
        x, y = on_plane(axis, plot_mm(subject.ct.affine, bead))
        vertical, horizontal = panel.lines
        assert vertical.get_xdata()[0] == pytest.approx(x)
        assert horizontal.get_ydata()[0] == pytest.approx(y)
        image = panel.images[0]
        left, right, bottom, top = image.get_extent()
        shown = image.get_array()
        column = int((x - left) / (right - left) * shown.shape[1])
        row = int((y - top) / (bottom - top) * shown.shape[0])
        assert shown[row, column] == 40  # the bead, not lung
    assert "HU" in words(figure)


def test_figure_2_shows_the_slice_of_the_nodule_in_ct_and_mask(subject):
    figure = render_nodule_slice(subject)
    left, right = figure.axes
    assert left.get_xlim() == right.get_xlim()
    mask, ct = right.images[0].get_array(), left.images[0].get_array()
    assert mask.sum() == 25
    assert (np.asarray(ct) == 40).sum() == 25
    outline = np.concatenate([path.vertices for path in left.collections[0].get_paths()])
    nearest = min(
        np.linalg.norm(outline.mean(axis=0) - on_plane(0, plot_mm(subject.ct.affine, world)))
        for world in geometry.voxel_to_world(subject.ct.affine, BEADS_ZYX)
    )
    assert nearest < 0.5


def test_figure_3_shows_lungs_margin_and_what_is_kept(subject):
    panels = render_masked_slice(subject).axes
    shades = np.unique(panels[1].images[0].get_array())
    assert shades.tolist() == [0, 1, 2]
    assert len({panel.get_xlim() for panel in panels[:3]}) == 1
    assert panels[2].images[0].get_array().shape == subject.cached.shape_zyx[1:]


def test_figure_5_projects_the_centroids_onto_the_beads(subject):
    assert len(subject.candidates) == 2
    panels = render_candidates(subject).axes
    wanted = {
        tuple(np.round(on_plane(0, plot_mm(subject.ct.affine, w)), 6))
        for w in geometry.voxel_to_world(subject.ct.affine, BEADS_ZYX)
    }
    for panel in panels[1:3]:
        found = {tuple(np.round(point, 6)) for point in panel.collections[0].get_offsets().data}
        assert found == wanted
    total = panels[2].images[0].get_array()
    assert total.max() == pytest.approx(5 * 0.95, abs=0.01)


def test_a_scan_without_candidates_is_looked_at_in_the_middle(subject):
    from dataclasses import replace

    empty = replace(subject, candidates=[])
    middle = geometry.world_to_voxel(empty.cached.affine, empty.focus_xyz_mm)
    np.testing.assert_allclose(middle, (np.array(empty.cached.shape_zyx) - 1) / 2)
    assert "0 candidates" in words(render_candidates(empty))


@pytest.mark.parametrize("nodules", ["none", "empty"])
def test_without_annotated_nodules_figure_2_is_named_not_drawn(subject, nodules):
    from dataclasses import replace

    empty = subject.nodules.with_array(np.zeros_like(subject.nodules.array))
    drawn = scan_figures.render_scan(replace(subject, nodules=None if nodules == "none" else empty), LAYERS, 1)
    assert isinstance(drawn["figure2"], str)
    page = scan_figures.page("scan-1", drawn, [Flag("W_TILT", "3 degrees")])
    assert "figure2, not drawn" in page
    assert "[figure1.png](figure1.png)" in page
    assert "W_TILT: the gantry was tilted" in page


def test_a_quarantined_scan_is_told_in_words():
    drawn = scan_figures.render_unusable("scan-2", [Flag("Q_NO_GEOMETRY", "no position"), Flag("Q_UNHEARD_OF")])
    assert "Found: no position" in words(drawn["not_used"])
    assert "Q_UNHEARD_OF" in words(drawn["not_used"])


def test_the_same_figure_gives_the_same_bytes_without_date(tmp_path, subject):
    for name in ("a.png", "b.png"):
        save_png(render_candidates(subject), tmp_path / name)
    first = (tmp_path / "a.png").read_bytes()
    assert first == (tmp_path / "b.png").read_bytes()
    assert b"matplotlib" not in first.lower()
    assert b"tEXt" not in first


def test_words_are_drawn_when_there_is_no_picture():
    assert "nothing here" in words(text_figure("title", ["nothing here"]))
    assert "note" in words(new_figure(2, 2, "title", "note"))
