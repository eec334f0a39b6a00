"""The tables that come with the embedded cohort: annotations, labels and the whole truth."""

from __future__ import annotations

from collections.abc import Sequence

from lungline.synthetic.cohort import ScanPlan

Rows = list[tuple[str, ...]]

TRUTH_COLUMNS = ("dataset", "scan", "nodule", "x_mm", "y_mm", "z_mm", "diameter_mm", "kind", "malignant")


def nodule_annotations(plans: Sequence[ScanPlan]) -> Rows:
    """Every nodule of these scans in the form of LUNA-16's `annotations.csv`, world mm."""
    rows: Rows = [("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")]
    for plan in plans:
        rows += [(plan.scan, *_millimetres(plan, k)) for k in range(len(plan.nodules))]
    return rows


def stage1_labels(plans: Sequence[ScanPlan]) -> Rows:
    """DSB-17 `stage1_labels.csv`: the labels of the training patients."""
    known = [p for p in plans if p.dataset == "dsb17" and p.split != "test"]
    return [("id", "cancer"), *((p.scan, str(p.label)) for p in known)]


def stage1_solution(plans: Sequence[ScanPlan]) -> Rows:
    """DSB-17 `stage1_solution.csv`: the labels of the test patients."""
    test = [p for p in plans if p.dataset == "dsb17" and p.split == "test"]
    return [("id", "cancer", "Usage"), *((p.scan, str(p.label), "Private") for p in test)]


def truth(plans: Sequence[ScanPlan]) -> Rows:
    """Every nodule of both sets: centre in world mm as the files are written, kind, whether it is malignant."""
    rows: Rows = [TRUTH_COLUMNS]
    for plan in plans:
        for k, nodule in enumerate(plan.nodules):
            where = _millimetres(plan, k)
            rows.append((plan.dataset, plan.scan, str(k), *where, nodule.kind, str(int(nodule.malignant))))
    return rows


def _millimetres(plan: ScanPlan, k: int) -> tuple[str, ...]:
    nodule = plan.nodules[k]
    return tuple(f"{value:.4f}" for value in (*plan.world_xyz_mm(nodule), nodule.diameter_mm))
