"""The page of one scan: quality, score, viewer, nodule table, pictures for print, in one HTML file."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lungline.imaging import geometry
from lungline.imaging.lung_density import NOISY_HU
from lungline.names import SCORE_NAMES
from lungline.nodules.table import NoduleRow, read_nodules
from lungline.reports.html import render
from lungline.reports.packed import FADE_MM, LEVELS_HU, Layer, Packed, crop_radius_mm

_PICTURES = 6  # candidates with pictures for print
_SCORES = {
    "fpr": "the probability that the network of the second stage gives it of being a nodule",
    "sum": "the sum of the detector's probability over its outline",
    "mean": "the mean of the detector's probability over its outline",
    "max": "the largest probability of the detector in its outline",
    None: "what the candidates are ranked by",
}


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
    opinion = table["patient"].get("supervision") == "nodules"
    layers = {} if packed is None else _layers(packed)
    return render(
        "nodule_page.html",
        title=f"Scan {table['scan']}",
        table=table,
        patient=table["patient"],
        quality=_quality(table),
        answer=_answer(table, nodules),
        patient_score=_score(table),
        score_name="malignancy score" if opinion else "cancer probability",
        opinion=opinion,
        findings=[n for n in nodules if n.finding],
        others=[n for n in nodules if not n.finding],
        ranked_by=_SCORES[table["ranked_by"]],
        pictures=[n for n in nodules if n.finding or n.decided][:_PICTURES],
        about=None if packed is None else _about(table, nodules, packed, layers),
        layers={name: layer.text for name, layer in layers.items()},
        coarse_mm=None
        if packed is None or not packed.crops
        else float(max(packed.ct.step_zyx * geometry.spacing_zyx_mm(packed.affine))),
    )


def with_categories(page: str, result: Mapping[str, Any]) -> str:
    """The page with the categories of its findings, in place of those that it may have; as it is if it has no findings.

    RESULT is what `categories` makes (layout categories/1).
    """
    begin, end = "<!-- categories -->", "<!-- end of categories -->"
    before, found, rest = page.partition(begin)
    if not found:
        return page
    section = render("categories.html", result=result)
    return f"{before}{begin}{section}{end}{rest.partition(end)[2]}"


def _quality(table: Mapping[str, Any]) -> dict[str, str]:
    """Whether this scan can be trusted: its lungs, and how it was made."""
    quality, grid = table["quality"], table["source_grid"]
    if not quality:
        return {}
    spacing = geometry.spacing_zyx_mm(np.array(grid["affine_zyx_to_lps_xyz_mm"]))
    sides = f"left {quality['left_ml']:.0f}, right {quality['right_ml']:.0f}"
    slices = f"{grid['shape_zyx'][0]} slices, {spacing[0]:.2f} mm apart"
    return {
        "Lungs": f"{quality['volume_ml']:.0f} ml ({sides})",
        **_lungs(table.get("lungs") or {}),
        "Typical lung": f"{quality['median_hu']:.0f} HU",
        "Source": f"{slices}, pixels of {spacing[2]:.2f} mm",
    }


def _lungs(numbers: Mapping[str, float | None]) -> dict[str, str]:
    """Mass of the lungs and their share below -950 HU; of a noisy scan the one after averaging alone."""

    def each(name: str, pattern: str) -> str:
        values = [numbers[f"{side}{name}"] for side in ("", "left_", "right_")]
        both, left, right = ("none" if value is None else pattern % value for value in values)
        return f"{both} (left {left}, right {right})"

    if not numbers:
        return {}
    averaged = each("below_950_averaged_percent", "%.1f %%")
    noisy = (numbers["noise_hu"] or 0) >= NOISY_HU
    noise = f"voxel by voxel noise of {numbers['noise_hu']:.0f} HU (sharp kernel, low dose) makes it too large"
    return {
        "Mass": each("mass_g", "%.0f g"),
        "Below −950 HU": "not given: " + noise if noisy else each("below_950_percent", "%.1f %%"),
        "The same, means over 2 mm": averaged,
    }


def _score(table: Mapping[str, Any]) -> float | None:
    """The patient's cancer probability or malignancy score."""
    return next((table["patient"][name] for name in SCORE_NAMES.values() if table["patient"][name] is not None), None)


def _answer(table: Mapping[str, Any], nodules: Sequence[NoduleRow]) -> dict[str, str]:
    """Facts of the answer: score, its interval or why there is none, deciding candidate of how many, classifier."""
    patient, score = table["patient"], _score(table)
    if score is None:
        return {}
    facts = {"Exactly": f"{score:.4f}", "Interval": f"not given: {patient['interval_reason']}"}
    if patient["interval"]:
        low, high = patient["interval"]
        facts["Interval"] = f"{low:.3f} to {high:.3f}: {patient['interval_reason']}"
    if patient["n_candidates"] is not None:
        facts["Judged"] = f"{patient['n_candidates']} of {len(nodules)}, the highest scores first"
        decided = next((n for n in nodules if n.decided), None)
        facts["Decided by"] = "none was found" if decided is None else f"number {decided.rank}"
        if decided is not None and not decided.finding:
            facts["Decided by"] += ", which is no finding"
    if table["classifier"]:
        facts["Classifier"] = str(table["classifier"])
    return facts


def _layers(packed: Packed) -> dict[str, Layer]:
    crops = {f"crop{i}": crop for i, crop in enumerate(packed.crops)}
    return {"ct": packed.ct, **crops, **({"probability": packed.probability} if packed.probability else {})}


def _about(
    table: Mapping[str, Any], nodules: Sequence[NoduleRow], packed: Packed, layers: Mapping[str, Layer]
) -> dict[str, Any]:
    """The numbers that the script reads, ready for JSON; the voxels of the layers are text of their own."""
    named = {
        name: {"id": f"layer-{name}"} | {key: value for key, value in vars(layer).items() if key != "text"}
        for name, layer in layers.items()
    }
    spacing = geometry.spacing_zyx_mm(packed.affine)
    points = [geometry.world_to_voxel(packed.affine, (n.x_mm, n.y_mm, n.z_mm)).tolist() for n in nodules]
    axes = {one["rank"]: one for one in table.get("axes") or []}
    source = table["source_grid"]
    to_index = np.linalg.inv(np.array(source["affine_zyx_to_lps_xyz_mm"]))[0]
    return {
        "shape_zyx": packed.shape_zyx,
        "affine": packed.affine.tolist(),
        "levels_hu": LEVELS_HU.tolist(),
        "source_slices": source["shape_zyx"][0],
        "instance_numbers": source["instance_numbers"],
        "half_slice": float(
            max(geometry.spacing_zyx_mm(np.array(source["affine_zyx_to_lps_xyz_mm"]))[0] / spacing[0], 1.0) / 2
        ),
        "slice_of_mm": [*to_index[:3].tolist(), float(to_index[3]) + 1],
        "candidates": [
            {
                "rank": n.rank,
                "point": point,
                "diameter_mm": n.long_axis_mm,
                "decided": n.decided,
                "finding": n.finding,
                "axes": _axes(axes[n.rank], n, packed.affine) if n.rank in axes else None,
            }
            for n, point in zip(nodules, points, strict=True)
        ],
        "fade_mm": FADE_MM,
        "layers": {
            "ct": named["ct"],
            "crops": [
                named[f"crop{i}"] | {"centre": points[i], "radius_mm": crop_radius_mm(nodules[i])}
                for i in range(len(packed.crops))
            ],
            "probability": named.get("probability"),
        },
    }


def _axes(ends: Mapping[str, Any], nodule: NoduleRow, affine: geometry.Affine) -> dict[str, Any]:
    """The axes of a nodule: their slice and ends as indices (z, y, x) on the page's grid, and their words."""
    long, short = (geometry.world_to_voxel(affine, ends[f"{name}_axis_xyz_mm"]) for name in ("long", "short"))
    return {
        "slice": float(long[:, 0].mean()),
        "long": long.tolist(),
        "short": short.tolist(),
        "words": f"{nodule.long_axis_mm:.1f} × {nodule.short_axis_mm:.1f} mm",
    }
