"""The written trees: read back by independent readers, with the oddities of the real sets."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from lungline.config.loading import config_text, read_config
from lungline.config.models import Cohort
from lungline.errors import LunglineError
from lungline.stages import ingest, manifest, simulate_scan, write_cohort_tables
from lungline.storage.hdf5 import read_header, read_volume
from lungline.synthetic.cohort import (
    COMPRESSED_PATIENT_INDEX,
    DAMAGED_PATIENT_INDEX,
    FLIPPED_LUNA_INDEX,
    ScanPlan,
    plan_cohort,
    plan_scan,
)
from lungline.synthetic.phantom import simulate_scan_hu
from lungline.synthetic.writers import round_field_of_view

COHORT = Cohort(luna16_scans=2, dsb17_train=4, dsb17_test=0, anatomy_scale=0.3)
SEED = 6


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    (folder / "config.json").write_text(config_text(read_config({"seed": SEED, "cohort": COHORT.model_dump()})))
    write_cohort_tables.run(folder, config=folder / "config.json")
    for plan in plan_cohort(SEED, COHORT):
        draw(folder, plan)
    return folder


def manifest_rows(plans: list[ScanPlan]) -> list[dict[str, str]]:
    """What the manifest says of planned scans: LUNA-16 first, then by scan; an absent fold or label is empty."""
    names = ("scan", "source", "dataset", "split", "fold", "label")
    return [
        {name: "" if getattr(plan, name) is None else str(getattr(plan, name)) for name in names}
        for plan in sorted(plans, key=lambda plan: (plan.dataset != "luna16", plan.scan))
    ]


def draw(folder: Path, plan: ScanPlan) -> Path:
    target = folder / plan.path
    simulate_scan.run(target, dataset=plan.dataset, index=plan.index, seed=SEED, anatomy_scale=COHORT.anatomy_scale)
    return target


def planned(dataset: str, index: int) -> ScanPlan:
    return plan_scan(dataset, index, SEED, COHORT.anatomy_scale)  # type: ignore[arg-type]


def read_series(folder: Path) -> list[pydicom.Dataset]:
    slices = [pydicom.dcmread(file) for file in sorted(folder.iterdir())]
    return sorted(slices, key=lambda s: float(s.ImagePositionPatient[2]))


def digest(path: Path) -> dict[str, str]:
    files = sorted(path.iterdir()) if path.is_dir() else [path, path.with_suffix(".zraw")]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.parametrize(("dataset", "index"), [("luna16", 1), ("dsb17", 0), ("dsb17", 2), ("dsb17", 3)])
def test_the_same_seed_writes_the_same_bytes(tree: Path, tmp_path: Path, dataset: str, index: int) -> None:
    plan = planned(dataset, index)
    assert digest(draw(tmp_path, plan)) == digest(tree / plan.path)


@pytest.mark.parametrize("index", [0, FLIPPED_LUNA_INDEX])
def test_annotations_point_at_nodules_in_the_written_file(tree: Path, index: int) -> None:
    plan = planned("luna16", index)
    image = sitk.ReadImage(str(tree / plan.path))
    array = sitk.GetArrayFromImage(image)
    with open(tree / "luna16" / "annotations.csv", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["seriesuid"] == plan.scan]
    assert len(rows) == len(plan.nodules)
    for row, nodule in zip(rows, plan.nodules, strict=True):
        voxel = image.TransformPhysicalPointToIndex([float(row[f"coord{axis}"]) for axis in "XYZ"])
        assert float(row["diameter_mm"]) == pytest.approx(nodule.diameter_mm)
        assert array[voxel[::-1]] > (-100 if nodule.diameter_mm >= 5 else -500)


def test_one_luna_scan_is_flipped_and_its_world_is_not(tree: Path) -> None:
    plan = planned("luna16", FLIPPED_LUNA_INDEX)
    text = (tree / plan.path).read_text()
    assert "TransformMatrix = -1 0 0 0 -1 0 0 0 1\n" in text
    assert "TransformMatrix = 1 0 0 0 1 0 0 0 1\n" in (tree / planned("luna16", 0).path).read_text()
    image = sitk.ReadImage(str(tree / plan.path))
    upright = sitk.GetArrayFromImage(sitk.Flip(image, [True, True, False]))
    ct = simulate_scan_hu(plan)
    assert np.array_equal(upright, ct.array)
    corner = image.TransformIndexToPhysicalPoint([n - 1 if k < 2 else 0 for k, n in enumerate(image.GetSize())])
    assert corner == pytest.approx(plan.origin_xyz_mm, abs=2e-3)


def test_luna_rows_and_columns_differ(tree: Path) -> None:
    columns, rows, _ = sitk.ReadImage(str(tree / planned("luna16", 0).path)).GetSize()
    assert rows < columns


def test_dicom_slices_hold_the_drawn_hu_in_their_place(tree: Path) -> None:
    plan = planned("dsb17", 0)
    slices, ct = read_series(tree / plan.path), simulate_scan_hu(plan)
    assert len(slices) == ct.shape_zyx[0]
    inside = slices[0].pixel_array != -2000
    for k, image in enumerate(slices):
        hu = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
        assert np.array_equal(hu[inside], ct.array[k][inside])
        assert [float(c) for c in image.ImagePositionPatient] == pytest.approx(ct.affine[:3, :] @ [k, 0, 0, 1])
    first = slices[0]
    assert first.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert [float(s) for s in first.PixelSpacing] == pytest.approx(plan.spacing_zyx_mm[1:])
    assert list(first.ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]
    assert first.Modality == "CT"
    assert first.PatientID == str(first.PatientName) == plan.scan
    assert len({image.SOPInstanceUID for image in slices}) == len(slices)
    assert len({image.SeriesInstanceUID for image in slices}) == 1


def test_truth_points_at_nodules_in_the_dicom_world(tree: Path) -> None:
    plan = planned("dsb17", 0)
    ct = simulate_scan_hu(plan)
    with open(tree / "ground_truth.csv", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["scan"] == plan.scan]
    first = read_series(tree / plan.path)[0]
    for row, nodule in zip(rows, plan.nodules, strict=True):
        offset = [float(row[f"{a}_mm"]) - float(c) for a, c in zip("xyz", first.ImagePositionPatient, strict=True)]
        x, y, z = np.rint(np.array(offset) / plan.spacing_zyx_mm[::-1]).astype(int)
        assert ct.array[z, y, x] > (-100 if nodule.diameter_mm >= 5 else -500)
        assert row["kind"] == nodule.kind
        assert row["malignant"] == str(int(nodule.malignant))


def test_names_of_slices_tell_no_order(tree: Path) -> None:
    by_name = [pydicom.dcmread(f, stop_before_pixels=True) for f in sorted((tree / planned("dsb17", 0).path).iterdir())]
    height = [float(image.ImagePositionPatient[2]) for image in by_name]
    assert height not in (sorted(height), sorted(height, reverse=True))


def test_outside_the_round_field_of_view_is_padding(tree: Path) -> None:
    pixels = read_series(tree / planned("dsb17", 0).path)[0].pixel_array
    n = len(pixels)
    assert pixels[0, 0] == pixels[-1, -1] == -2000
    assert pixels[n // 2, 1] != -2000
    assert (pixels == -2000).mean() == pytest.approx(1 - np.pi / 4, abs=0.02)


def test_one_patient_is_compressed_without_loss(tree: Path) -> None:
    plan = planned("dsb17", COMPRESSED_PATIENT_INDEX)
    slices, ct = read_series(tree / plan.path), simulate_scan_hu(plan)
    assert {image.file_meta.TransferSyntaxUID for image in slices} == {RLELossless}
    middle = len(slices) // 2
    pixels = slices[middle].pixel_array
    inside = pixels != -2000
    assert np.array_equal(pixels[inside] + plan.intercept_hu, ct.array[middle][inside])


def test_one_patient_is_too_damaged_to_use(tree: Path) -> None:
    cut = lost = 0
    files = sorted((tree / planned("dsb17", DAMAGED_PATIENT_INDEX).path).iterdir())
    for file in files:
        image = pydicom.dcmread(file)
        cut += len(image.get("PixelData", b"")) < image.Rows * image.Columns * 2
        lost += "ImagePositionPatient" not in image
    assert cut > 0.6 * len(files)
    assert 0.15 * len(files) < lost < 0.55 * len(files)


def test_a_second_drawing_replaces_the_first(tree: Path, tmp_path: Path) -> None:
    plan = planned("dsb17", 0)
    folder = tmp_path / plan.path
    folder.mkdir(parents=True)
    (folder / "left-over.dcm").write_bytes(b"old")
    assert digest(draw(tmp_path, plan)) == digest(tree / plan.path)
    assert [p.name for p in folder.parent.iterdir()] == [plan.scan]


def test_a_name_that_is_not_the_scans_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LunglineError, match=planned("luna16", 0).scan):
        simulate_scan.run(
            tmp_path / "my-scan.mhd", dataset="luna16", index=0, seed=SEED, anatomy_scale=COHORT.anatomy_scale
        )


def test_the_planned_manifest_is_the_one_that_the_written_trees_give(tree: Path, tmp_path: Path) -> None:
    manifest.run("luna16", tree / "luna16", tmp_path)
    manifest.run("dsb17", tree / "dsb17", tmp_path)
    with open(tmp_path / "manifest.csv", newline="") as handle:
        assert list(csv.DictReader(handle)) == manifest_rows(plan_cohort(SEED, COHORT))


@pytest.mark.parametrize(
    ("dataset", "index"),
    [("luna16", 0), ("luna16", FLIPPED_LUNA_INDEX), ("dsb17", 1), ("dsb17", COMPRESSED_PATIENT_INDEX)],
)
def test_ingest_gives_back_what_was_drawn(tree: Path, tmp_path: Path, dataset: str, index: int) -> None:
    plan = planned(dataset, index)
    ingest.run(tree / plan.path, tmp_path / "scan.h5", source=plan.source)  # type: ignore[arg-type]
    read, drawn = read_volume(tmp_path / "scan.h5", "ct"), simulate_scan_hu(plan)
    assert np.allclose(read.affine, drawn.affine, atol=1e-3)
    inside = np.ones(drawn.shape_zyx[1:], bool) if dataset == "luna16" else round_field_of_view(*drawn.shape_zyx[1:])
    assert np.array_equal(read.array[:, inside], drawn.array[:, inside])


def test_ingest_quarantines_the_damaged_patient(tree: Path, tmp_path: Path) -> None:
    ingest.run(tree / planned("dsb17", DAMAGED_PATIENT_INDEX).path, tmp_path / "scan.h5", source="dicom")
    assert any(flag.flag.startswith("Q_") for flag in read_header(tmp_path / "scan.h5").flags)
