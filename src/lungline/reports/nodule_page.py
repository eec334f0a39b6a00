"""The page of one scan: quality, answer, viewer, nodule table, pictures for print, in one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

import numpy as np

from lungline.imaging import geometry
from lungline.nodules.table import NoduleRow, read_nodules
from lungline.reports.html import as_data, as_json, code_box, document, percent
from lungline.reports.packed import LEVELS_HU, Packed
from lungline.storage.hdf5 import Code

_PICTURES = 6  # candidates with pictures for print: those that the system takes most seriously

_KEYS = (
    ("n / b", "next, previous candidate"), ("up, down", "slice towards head, feet"), ("page up, down", "ten slices"),
    ("left, right", "towards the patient's right, left"), ("a / p", "towards the front, the back"),
    ("1, 2, 3", "lung, soft tissue, bone"), ("o", "probability on or off"), ("+ / -", "closer, farther"),
    ("0", "the whole scan"),
)  # fmt: skip

_VIEWER = """<section id="viewer" tabindex="0" aria-label="Slices of the scan; see the keys below">
<h2>Slices</h2>
<div class="tools">
<span role="group" aria-label="Window">
<button type="button" data-window="lung">Lung</button>
<button type="button" data-window="soft tissue">Soft tissue</button>
<button type="button" data-window="bone">Bone</button>
</span>
<span>
<button type="button" data-key="-" aria-label="farther">−</button>
<button type="button" data-key="+" aria-label="closer">+</button>
<button type="button" data-key="0">Whole</button>
</span>
<span>
<button type="button" data-key="b">‹ Candidate</button>
<button type="button" data-key="n">Candidate ›</button>
</span>
<span><label for="opacity">Probability</label> <input id="opacity" type="range" min="0" max="100" value="40"></span>
</div>
<div id="views">
{views}
</div>
<div id="where" role="status" aria-live="off">Unpacking the scan ...</div>
<details class="no-print"><summary>Keys</summary><dl>{keys}</dl></details>
<noscript><p>The slices need JavaScript. The table below does not.</p></noscript>
</section>"""


def nodule_page(table: Mapping[str, Any], packed: Packed | None) -> str:
    """The page as text.

    Parameters
    ----------
    table : mapping
        What `describe-nodules` wrote.
    packed : Packed or None
        The volumes; None for a quarantined scan.
    """
    nodules = read_nodules(table)
    body = ['<div class="two">', _quality(table), _answer(table), "</div>"]
    if packed is None:
        return document(f"Scan {table['scan']}", body)
    views = "\n".join(map(_view, ("axial", "coronal", "sagittal")))
    keys = "".join(f"<dt><kbd>{escape(key)}</kbd></dt><dd>{escape(what)}</dd>" for key, what in _KEYS)
    body += [_VIEWER.format(views=views, keys=keys), _table(table, nodules), _pictures(nodules, _name_of_answer(table))]
    about, data = _data(table, nodules, packed)
    return document(f"Scan {table['scan']}", body, script="viewer.js", data="\n".join([as_json("about", about), *data]))


def _view(name: str) -> str:
    return (
        f'<figure class="view" id="{name}"><canvas role="img" aria-label="{name} slice"></canvas>'
        f'<label>{name} <input type="range" min="0" max="1" step="1" aria-label="{name} slice"></label></figure>'
    )


def _quality(table: Mapping[str, Any]) -> str:
    """First of all: can this scan be trusted?"""
    boxes = [code_box(Code(c["code"], c["detail"])) for c in table["codes"]]
    heading = {
        "ok": "Nothing in this scan speaks against using it.",
        "warned": "The scan was used, with reservations:",
        "quarantined": "This scan was not used. It has no answer.",
    }[table["status"]]
    facts = ""
    if quality := table["quality"]:
        sides = f"left {quality['left_ml']:.0f}, right {quality['right_ml']:.0f}"
        facts = _facts(
            {
                "Lungs": f"{quality['volume_ml']:.0f} ml ({sides})",
                "Typical lung": f"{quality['median_hu']:.0f} HU",
                "Source": _source(table),
            }
        )
    return f'<section id="quality"><h2>Quality</h2><p>{heading}</p>{"".join(boxes)}{facts}</section>'


def _source(table: Mapping[str, Any]) -> str:
    grid = table["source_grid"]
    spacing = geometry.spacing_zyx_mm(np.array(grid["affine_zyx_to_lps_xyz_mm"]))
    return f"{grid['shape_zyx'][0]} slices, {spacing[0]:.2f} mm apart, pixels of {spacing[2]:.2f} mm"


def _facts(facts: Mapping[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items()) + "</dl>"


def _answer(table: Mapping[str, Any]) -> str:
    """The probability, and what it does and does not mean."""
    patient = table["patient"]
    said = patient["probability"]
    if said is None:
        why = "The scan was not used." if table["status"] == "quarantined" else "No system answered for this scan."
        return f'<section id="answer"><h2>Probability of lung cancer</h2><p class="big">none</p><p>{why}</p></section>'
    if patient.get("learned_from") == "nodules":
        return _opinion(table, float(said))
    words = (
        f"If the system is well calibrated for patients like this one, about {_of_hundred(said)} of 100 patients "
        "with this answer have lung cancer. Whether it is, its report on test patients says; for patients unlike those "
        "it was trained on nobody has measured it."
    )
    lines = [f'<p class="big">{percent(said)}</p>', f"<p>{words}</p>"]
    facts = {"Exactly": f"{said:.4f}"} | _interval(patient) | _decided(table)
    heading = "Probability of lung cancer"
    return f'<section id="answer"><h2>{heading}</h2>{"".join(lines)}{_facts(facts)}</section>'


def _opinion(table: Mapping[str, Any], said: float) -> str:
    """What a system says that has learned from nodules and has never seen what became of a patient."""
    words = (
        "So sure would readers of CT be, as far as the system has learned from their ratings of nodules, that a "
        "candidate of this scan is malignant. It is an opinion of nodules, not a patient's risk: nobody's outcome was "
        "learned. On inflamed or scarred lungs it can be high without a cancer."
    )
    facts = {"Exactly": f"{said:.4f}"} | _interval(table["patient"]) | _decided(table)
    heading = "Suspicion, as readers rate nodules"
    lines = f'<p class="big">{percent(said)}</p><p>{words}</p>{_facts(facts)}'
    return f'<section id="answer"><h2>{heading}</h2>{lines}</section>'


def _interval(patient: Mapping[str, Any]) -> dict[str, str]:
    """From where to where, and of what that is the interval; or why there is none."""
    reason = patient["interval_reason"]
    if not patient["interval"]:
        return {"Interval": f"not given: {reason}"}
    low, high = patient["interval"]
    return {"Interval": f"{low:.3f} to {high:.3f}: {reason}"}


def _decided(table: Mapping[str, Any]) -> dict[str, str]:
    """Which candidate decided, of how many, and who says so."""
    patient, facts = table["patient"], {}
    if patient["n_candidates"] is not None:
        facts["Candidates"] = str(patient["n_candidates"])
        decided = patient["deciding_rank"]
        facts["Strongest"] = "none was found" if decided is None else f"candidate {decided}"
    if table["system"]:
        facts["System"] = str(table["system"])
    return facts


def _of_hundred(probability: float) -> str:
    if probability < 0.005:
        return "0"
    return f"{100 * probability:.0f}"


def _table(table: Mapping[str, Any], nodules: Sequence[NoduleRow]) -> str:
    if table["nodules"] is None:
        words = "<p>This system looks at the lungs as a whole: there are no candidates.</p>"
        return f'<section id="nodules"><h2>Nodule candidates</h2>{words}</section>'
    if not nodules:
        words = "<p>Nothing was found that looks like a nodule.</p>"
        return f'<section id="nodules"><h2>Nodule candidates</h2>{words}</section>'
    name = _name_of_answer(table)
    heads = ("#", "", "Place", "Slice", "Longest axial", "Volume", "Density", "Kind", "Nodule", name.capitalize())
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    note = (
        "Click a row to go there. Slice: number in the source series, 1 is the lowest. Density: mean and spread over "
        "the outline. Nodule: what the detector says, its mean over the outline. "
        f"{name.capitalize()}: the answer to this one alone."
    )
    return (
        f'<section id="nodules" class="long"><h2>Nodule candidates</h2><p class="faint">{note}</p>'
        f'<div class="scroll"><table class="cards"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(_row(nodule, name) for nodule in nodules)}</tbody></table></div></section>"
    )


def _name_of_answer(table: Mapping[str, Any]) -> str:
    """What the answer to one candidate is called; see `ANSWER_NAMES`."""
    return "suspicion" if table["patient"].get("learned_from") == "nodules" else "cancer"


def _row(n: NoduleRow, name: str) -> str:
    decided = ' <span class="tag">strongest</span>' if n.decided else ""
    cancer = "not shown" if n.cancer_probability is None else percent(n.cancer_probability)
    cells = (
        ("", f'<button type="button" aria-label="Go to candidate {n.rank}">{n.rank}</button>'),
        ("", f'<canvas class="thumb" width="144" height="144" data-rank="{n.rank}" data-plane="axial" role="img"'
             f' aria-label="axial, candidate {n.rank}"></canvas>'),
        ("place", f"{n.side}, {n.third} third<br><small>{n.x_mm:.1f}, {n.y_mm:.1f}, {n.z_mm:.1f} mm</small>"),
        ("slice", f"{n.slice}"),
        ("longest", f"{n.longest_axial_mm:.1f} mm"),
        ("volume", f"{n.volume_mm3:,.0f} mm³".replace(",", " ")),
        ("density", f"{n.mean_hu:.0f} ± {n.spread_hu:.0f} HU".replace("-", "−")),
        ("kind", n.kind),
        ("nodule", percent(n.nodule_probability)),
        (name, f"{cancer}{decided}"),
    )  # fmt: skip
    tds = "".join(f'<td data-name="{head}"><span>{cell}</span></td>' for head, cell in cells)
    return f'<tr data-rank="{n.rank}">{tds}</tr>'


def _pictures(nodules: Sequence[NoduleRow], name: str) -> str:
    """Three slices through the candidates that matter most, which a printer takes along."""
    if not nodules:
        return ""
    chosen = sorted(nodules, key=lambda n: (-(n.cancer_probability or 0.0), n.rank))[:_PICTURES]
    figures = []
    for n in chosen:
        canvases = "".join(
            f'<canvas width="240" height="240" data-rank="{n.rank}" data-plane="{plane}" role="img"'
            f' aria-label="{plane}, candidate {n.rank}"></canvas>'
            for plane in ("axial", "coronal", "sagittal")
        )
        says = "" if n.cancer_probability is None else f", {name} {percent(n.cancer_probability)}"
        caption = f"Candidate {n.rank}: {n.side} {n.third} third, {n.longest_axial_mm:.1f} mm, {n.kind}{says}"
        figures.append(f"<figure><div>{canvases}</div><figcaption>{caption}</figcaption></figure>")
    note = "Axial, coronal, sagittal through the middle of each, 60 mm wide, in the window chosen above."
    return (
        f'<section id="pictures" class="long"><h2>Pictures</h2><p class="faint">{note}</p>'
        f'<div class="pictures">{"".join(figures)}</div></section>'
    )


def _data(table: Mapping[str, Any], nodules: Sequence[NoduleRow], packed: Packed) -> tuple[dict[str, Any], list[str]]:
    """What the script reads: numbers as JSON, volumes as text of their own."""
    layers = {"ct": packed.ct, **{f"crop{i}": crop for i, crop in enumerate(packed.crops)}}
    if packed.probability is not None:
        layers["probability"] = packed.probability
    named = {
        name: {"id": f"layer-{name}", **{key: value for key, value in asdict(layer).items() if key != "text"}}
        for name, layer in layers.items()
    }
    source = table["source_grid"]
    to_index = np.linalg.inv(np.array(source["affine_zyx_to_lps_xyz_mm"]))[0]
    about = {
        "shape_zyx": packed.shape_zyx,
        "affine": packed.affine.tolist(),
        "levels_hu": LEVELS_HU.tolist(),
        "source_slices": source["shape_zyx"][0],
        "slice_of_mm": [*to_index[:3].tolist(), float(to_index[3]) + 1],
        "candidates": [
            {
                "rank": n.rank,
                "point": geometry.world_to_voxel(packed.affine, (n.x_mm, n.y_mm, n.z_mm)).tolist(),
                "diameter_mm": n.longest_axial_mm,
                "decided": n.decided,
            }
            for n in nodules
        ],
        "layers": {
            "ct": named["ct"],
            "crops": [named[f"crop{i}"] for i in range(len(packed.crops))],
            "probability": named.get("probability"),
        },
    }
    data = [as_data(f"layer-{name}", "application/octet-stream", layer.text) for name, layer in layers.items()]
    return about, data
