"""The figures of one scan by name, and the page that explains them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from lungline import NOTICE
from lungline.reports.canvas import text_figure
from lungline.reports.figures import Subject, draw_candidates, draw_masked_slice, draw_nodule_slice, draw_three_planes
from lungline.reports.flag_words import explain
from lungline.reports.network_figure import Row, draw_unet
from lungline.storage.hdf5 import Code

#: A figure, or the reason why it is not drawn.
Drawn = Mapping[str, Figure | str]

CAPTIONS = {
    "figure1": "Figure 1: axial, coronal and sagittal slice through the strongest candidate (or the middle), in HU.",
    "figure2": "Figure 2: the slice with the largest annotated nodule, outlined, and the mask of the annotations.",
    "figure3": "Figure 3: a slice, its lung mask with the margin, and what the networks see of it.",
    "figure4": "Figure 4: the U-Net as built, for an input of 128 x 128.",
    "figure5": "Figure 5: a slice, its nodule probability with all centroids projected, and the sum along z.",
    "not_used": "This scan could not be used.",
}


def draw_scan(subject: Subject, layers: Sequence[Row], slices: int) -> Drawn:
    """Figures 1 to 5 by name."""
    drawn: dict[str, Figure | str] = {
        "figure1": draw_three_planes(subject.ct, subject.focus_xyz_mm, subject.scan),
        "figure3": draw_masked_slice(subject),
        "figure4": draw_unet(layers, slices),
        "figure5": draw_candidates(subject),
    }
    if subject.nodules is None:
        drawn["figure2"] = "not drawn: this scan has no annotations."
    elif not subject.nodules.array.any():
        drawn["figure2"] = "not drawn: no annotated nodule lies in this scan's lung box."
    else:
        drawn["figure2"] = draw_nodule_slice(subject)
    return dict(sorted(drawn.items()))


def draw_unusable(scan: str, codes: Sequence[Code]) -> Drawn:
    """The reason why a scan was quarantined, as a picture of words."""
    return {"not_used": text_figure(f"{scan}: quarantined", [explain(code) for code in codes])}


def page(scan: str, figures: Drawn, codes: Sequence[Code]) -> str:
    """A README of the folder with the figures."""
    lines = [f"# Figures of {scan}", "", NOTICE, ""]
    for name, figure in figures.items():
        lines.append(
            f"- {name}, {figure}" if isinstance(figure, str) else f"- [{name}.png]({name}.png): {CAPTIONS[name]}"
        )
    if codes:
        lines += ["", "What the scan carries:", "", *(f"- {explain(code)}" for code in codes)]
    return "\n".join(lines) + "\n"
