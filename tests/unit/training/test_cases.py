from pathlib import Path

import numpy as np
import pytest

from lungline.config.entries import CandidateClassifier
from lungline.config.settings import read_settings
from lungline.errors import LunglineError
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field, Header
from lungline.storage.scan_rows import ScanRow
from lungline.training.cases import RatedNodule, gather_nodules, read_rated_nodules

ENTRY = {"detector": "d", "supervision": "nodules", "candidates": 1, "training": {"steps": 1, "batch": 1},
         "network": {"shape_zyx": [8, 8, 8]}}  # fmt: skip


def write_patches(path: Path, centroids: list[list[float]]) -> None:
    """A patch file with a cube around each centroid, and an absent slot after them."""
    n = len(centroids)
    cubes = np.arange(n + 1, dtype=np.float16)[:, None, None, None, None] * np.ones((1, 2, 8, 8, 8), np.float16) / 10
    fields = {
        "patches": Field(cubes, "candidate,channel,z,y,x", "1", "cubes"),
        "valid": Field(np.arange(n + 1) < n, "candidate", "1", "valid"),
        "centroid_xyz_mm": Field(np.array([*centroids, [np.nan] * 3]), "candidate,xyz", "mm", "centroid"),
        "score": Field(np.linspace(1, 0, n + 1), "candidate", "1", "score"),
    }
    hdf5.write_file(path, Header(quantity="patches", stage="crop_patches"), fields)


def row(scan: str, split: str) -> ScanRow:
    return ScanRow(scan, "mhd", "luna16", split, 0, None)


def test_each_candidate_is_a_case_labelled_by_the_nodule_around_it(tmp_path: Path) -> None:
    write_patches(tmp_path / "a.h5", [[0, 0, 0], [20, 0, 0], [40, 0, 0]])
    write_patches(tmp_path / "b.h5", [[0, 0, 0]])
    nodules = [
        RatedNodule("a", (1, 1, 1), 6, 1),
        RatedNodule("a", (20, 0, 1), 4, 0),
        RatedNodule("a", (40, 3, 0), 6, 1),
        RatedNodule("b", (0, 0, 0), 4, 1),
    ]
    rows = [row("a", "train"), row("b", "valid"), row("c", "test")]
    cohort = gather_nodules(read_settings(CandidateClassifier, ENTRY, "classifier"), rows, tmp_path, nodules)
    train, valid = cohort.patients["train"], cohort.patients["valid"]
    assert [case.label for case in train] == [1, 0, 0]  # a radius is not reached by what lies on it
    assert [float(case.cubes.mean()) for case in train] == pytest.approx([0, 0.1, 0.2], abs=1e-3)
    assert [case.label for case in valid] == [1]
    assert cohort.card["training_patients"] == {"all": 3, "cancer": 1, "without_candidates": 0}


def test_the_table_of_rated_nodules_has_a_column_more(tmp_path: Path) -> None:
    table = tmp_path / "nodules.csv"
    table.write_text("seriesuid,coordX,coordY,coordZ,diameter_mm,malignant\na,1,2,3,4.5,1\n")
    assert read_rated_nodules(table) == [RatedNodule("a", (1, 2, 3), 4.5, 1)]
    table.write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\na,1,2,3,4.5\n")
    with pytest.raises(LunglineError, match="malignant"):
        read_rated_nodules(table)


def test_another_teacher_is_refused() -> None:
    with pytest.raises(LunglineError, match="'patients' or 'nodules'"):
        read_settings(CandidateClassifier, {**ENTRY, "supervision": "readers"}, "classifier")
