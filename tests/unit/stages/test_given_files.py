"""`lungline predict` with masks written for others, and with masks and points that others give."""

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from dicom_series import write_series
from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.imaging.volume import Volume
from lungline.stages import collect_lungs, export, predict, score_points, write_masks
from lungline.storage import hdf5
from lungline.storage.nifti_output import write_nifti
from lungline.storage.scan_rows import ScanRow, write_manifest
from phantoms import Chest, make_chest
from untrained import untrained_bundle

LESION = ((60.0, 60.0, 36.0), 6.0, 40.0)  # (z, y, x) mm, radius, HU: in the right lung
POINTS = "x_mm,y_mm,z_mm\n36,60,60\n4,4,60\n36,60,999\n"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return untrained_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> Chest:
    return make_chest(spacing_mm=2.0, lesions=[LESION], windpipe=False)


def as_stored(volume: Volume) -> Volume:
    """The same voxels in another order of the file: x and z reversed."""
    affine = volume.affine.copy()
    affine[:3, 3] += sum((volume.shape_zyx[k] - 1) * affine[:3, k] for k in (0, 2))
    affine[:3, [0, 2]] *= -1
    return Volume(volume.array[::-1, :, ::-1], affine)


def lobes_of(chest: Chest) -> np.ndarray:
    """Lobes as lungmask numbers them: left upper and lower, right upper, middle and lower."""
    z, _, x = np.indices(chest.lungs.shape)
    third = z * 3 // z.shape[0]
    return np.where(chest.lungs, np.where(x * 2 > 88, 2 - (third > 0), 5 - third), 0).astype(np.uint8)


@pytest.fixture(scope="module")
def answered(tmp_path_factory, bundle, given) -> Path:
    """The folder of the answer for a NIfTI, whose axes run against those of LPS."""
    folder = tmp_path_factory.mktemp("nifti")
    hu = given.ct.with_array(given.ct.array.round().astype(np.int16))
    write_nifti(as_stored(hu), folder / "scan.nii.gz")
    write_nifti(as_stored(given.ct.with_array(given.lungs)), folder / "lungs.nii.gz")
    write_nifti(given.ct.with_array(lobes_of(given)), folder / "lobes.nii.gz")
    (folder / "points.csv").write_text(POINTS)
    files = {name: folder / f"{name}.nii.gz" for name in ("lungs", "lobes")}
    options = {"bundle": bundle, "pages": False, "masks": True, "device": "cpu", "points": folder / "points.csv"}
    assert predict.run(folder / "scan.nii.gz", out=folder / "out", **files, **options) == 0
    return folder


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_masks_have_the_voxels_of_the_scans_file_in_nifti_and_nrrd(answered, given) -> None:
    scan, masks = nibabel.load(answered / "scan.nii.gz"), only(answered, "out/masks/*")
    for name in ("lungs", "nodules"):
        mask, nrrd = nibabel.load(masks / f"{name}.nii.gz"), sitk.ReadImage(masks / f"{name}.nrrd")
        np.testing.assert_allclose(mask.affine, scan.affine, atol=1e-4)
        image = sitk.ReadImage(answered / "scan.nii.gz")
        np.testing.assert_allclose(nrrd.GetOrigin(), image.GetOrigin(), atol=1e-4)
        np.testing.assert_allclose(nrrd.GetDirection(), image.GetDirection(), atol=1e-6)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(nrrd), np.asarray(mask.dataobj).T)
    lungs = np.asarray(nibabel.load(masks / "lungs.nii.gz").dataobj).T[::-1, :, ::-1]  # as LPS
    np.testing.assert_array_equal(lungs > 0, given.lungs)
    x_mm = given.ct.affine[0, 3] + 2.0 * np.arange(given.lungs.shape[2])
    assert x_mm[(lungs == 1).any(axis=(0, 1))].max() < x_mm[(lungs == 2).any(axis=(0, 1))].min()  # 1 is the right one


def test_given_lungs_are_the_ones_that_are_searched_and_measured(answered, given) -> None:
    table = json.loads(only(answered, "out/nodules/*.json").read_text())
    assert "W_LUNGS_GIVEN" in [flag["flag"] for flag in table["flags"]]
    (row,) = rows_of(answered / "out/lungs.csv")
    assert float(row["volume_ml"]) == pytest.approx(given.lungs.sum() * 8 / 1000, rel=0.01)
    assert table["lungs"]["volume_ml"] == float(row["volume_ml"])


def test_each_candidate_gets_the_lobe_in_which_it_lies(answered, given) -> None:
    names = ("left upper", "left lower", "right upper", "right middle", "right lower")
    lobes, rows = lobes_of(given), rows_of(only(answered, "out/nodules/*.csv"))
    assert rows
    for row in rows:
        z, y, x = (round(float(row[f"{axis}_mm"]) / 2) for axis in "zyx")
        if lobes[z, y, x]:
            assert row["lobe"] == names[lobes[z, y, x] - 1]


def test_every_point_gets_a_row_and_what_cannot_be_scored_a_flag(answered) -> None:
    rows = rows_of(only(answered, "out/points/*.csv"))
    assert [(row["line"], row["flag"]) for row in rows] == [("2", ""), ("3", "outside-lungs"), ("4", "outside-scan")]
    assert [bool(row["cancer_probability"]) for row in rows] == [True, False, False]
    assert all(row["nearest_rank"] for row in rows)


def test_radiomics_get_image_and_mask_of_each_finding_on_one_grid_and_their_parameters(answered, tmp_path) -> None:
    export.run(answered / "out", out=tmp_path / "e", dicom=False, radiomics=True)
    folder = tmp_path / "e/radiomics"
    findings = [row for row in rows_of(only(answered, "out/nodules/*.csv")) if row["finding"] == "true"]
    pairs = rows_of(folder / "pairs.csv")
    assert [pair["Label"] for pair in pairs] == [row["rank"] for row in findings] != []
    image, mask = nibabel.load(folder / pairs[0]["Image"]), nibabel.load(folder / pairs[0]["Mask"])
    np.testing.assert_array_equal(image.affine, mask.affine)
    np.testing.assert_array_equal(image.dataobj, nibabel.load(answered / "scan.nii.gz").dataobj)
    assert set(np.unique(mask.dataobj)) == {0, *(int(pair["Label"]) for pair in pairs)}
    assert {path.name for path in folder.iterdir() if path.is_file()} == {"pairs.csv", "mirp.xml", "pyradiomics.yaml"}
    assert folder.stat().st_mode & 0o077 == 0


@pytest.fixture(scope="module")
def scored_at(tmp_path_factory, bundle):
    """The one candidate of a chest and its lungs, and a function that scores points (mm) there."""
    folder = tmp_path_factory.mktemp("kept")
    ct = make_chest(spacing_mm=2.0, sides=("right",), windpipe=False).ct  # of two lungs the middle lies in none
    write_nifti(ct, folder / "scan.nii.gz")
    out = folder / "out"
    predict.run(folder / "scan.nii.gz", out=out, bundle=bundle, pages=False, device="cpu", keep=True)
    (own,) = rows_of(only(out, "nodules/*.csv"))
    scan, stages = own["scan"], out / "stages"
    steps = {"cache": "cache_volume", "detected": "detect", "lungs": "segment_lungs"}
    files = {name: stages / step / f"{scan}.h5" for name, step in steps.items()}
    files |= {"labels": out / "candidates" / f"{scan}.h5", "candidates": out / "candidates" / f"{scan}.csv"}
    models = {"model": bundle.parent / "classifier", "supervision": "patients", "device": "cpu"}

    def score(*places, **options) -> list[dict[str, str]]:
        points = folder / "points.csv"
        points.write_text("coordX;coordY;coordZ\n" + "".join(";".join(map(str, place)) + "\n" for place in places))
        score_points.run(folder / "scored.csv", scan=scan, points=points, **files, **models, **options)
        return rows_of(folder / "scored.csv")

    return own, hdf5.read_volume(files["lungs"], "mask"), score


def test_a_point_at_a_candidate_has_its_score(scored_at) -> None:
    own, _, score = scored_at
    (row,) = score([own[f"{axis}_mm"] for axis in "xyz"])
    assert (row["logit"], row["outline"], row["nearest_rank"]) == (own["logit"], "candidate", "1")
    assert (row["volume_mm3"], float(row["nearest_mm"])) == (own["volume_mm3"], pytest.approx(0, abs=1e-3))


def test_a_point_near_the_lungs_is_scored_at_their_nearest_voxel_if_that_is_asked_for(scored_at) -> None:
    _, mask, score = scored_at
    edge_zyx = np.argwhere(mask.array)[np.argmax(np.argwhere(mask.array)[:, 2])]  # farthest to the left
    edge = geometry.voxel_to_world(mask.affine, edge_zyx)
    beside, far = edge + np.array([4.0, 0, 0]), edge + np.array([4.6, 0, 0])
    (at_edge,) = score(edge)
    (moved, lost), (unmoved, _) = score(beside, far, reach_mm=4.5), score(beside, far)
    assert (at_edge["flag"], moved["flag"], unmoved["flag"]) == ("", "outside-lungs", "outside-lungs")
    assert moved["logit"] == at_edge["logit"] != ""
    assert (lost["logit"], unmoved["logit"]) == ("", "")
    assert float(moved["x_mm"]) == pytest.approx(beside[0])


def test_a_mask_of_dicom_is_the_seg_and_lies_as_dcm2niix_would_put_it(tmp_path, bundle, given) -> None:
    pydicom = pytest.importorskip("pydicom")
    pytest.importorskip("highdicom")
    hu = given.ct.array.round().astype(np.int16)
    series = write_series(tmp_path / "series", hu, spacing_kji=(2.0, 2.0, 2.0), origin=(0.0, 0.0, 0.0))
    predict.run(series, out=tmp_path / "out", bundle=bundle, pages=False, masks=True, device="cpu")
    masks, seg = only(tmp_path, "out/masks/*"), pydicom.dcmread(only(tmp_path, "out/private/dicom/*/seg.dcm"))
    marked = sitk.ReadImage(masks / "nodules.nrrd")
    found = np.zeros(sitk.GetArrayFromImage(marked).shape, np.uint8)
    for pixels, frame in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        position = [float(word) for word in frame.PlanePositionSequence[0].ImagePositionPatient]
        found[round(marked.TransformPhysicalPointToContinuousIndex(position)[2])][pixels > 0] = (
            1  # there is one finding
        )
    np.testing.assert_array_equal(sitk.GetArrayFromImage(marked), found)
    assert found.any()
    nifti = nibabel.load(masks / "nodules.nii.gz")
    np.testing.assert_array_equal(np.sign(np.diag(nifti.affine)[:3]), (-1, 1, 1))  # rows from back to front
    np.testing.assert_array_equal(np.asarray(nifti.dataobj).T[:, ::-1], found)
    before = {path.name: path.read_bytes() for path in masks.iterdir()}
    write_masks.forget(masks)
    predict.run(series, out=tmp_path / "out", bundle=bundle, pages=False, masks=True, device="cpu")
    assert {path.name: path.read_bytes() for path in masks.iterdir()} == before


@pytest.mark.parametrize("name", ["lungs", "points"])
def test_a_file_about_one_scan_is_refused_where_there_are_two(tmp_path, bundle, name) -> None:
    for scan in ("a", "b"):
        write_nifti(make_chest(spacing_mm=4.0).ct, tmp_path / "raw" / f"{scan}.nii.gz")
    (tmp_path / "file").write_text("x")
    with pytest.raises(LunglineError, match=rf"--{name}: expected one scan .* Found 2"):
        predict.run(tmp_path / "raw", out=tmp_path / "out", bundle=bundle, **{name: tmp_path / "file"})


def test_a_file_that_is_not_there_is_named(tmp_path, bundle) -> None:
    write_nifti(make_chest(spacing_mm=4.0).ct, tmp_path / "a.nii.gz")
    with pytest.raises(LunglineError, match=r"--lobes: .*none\.nrrd: expected a file"):
        predict.run(tmp_path / "a.nii.gz", out=tmp_path / "out", bundle=bundle, lobes=tmp_path / "none.nrrd")


def test_the_table_of_lungs_has_a_row_for_each_scan_also_a_quarantined_one(tmp_path) -> None:
    from lungline.storage.hdf5 import Flag, Header

    numbers = {"volume_ml": 1.5, "noise_hu": 25.0}
    for scan, header in {
        "good": Header("lung_mask", "segment_lungs", provenance={"lungs": numbers}),
        "lost": Header("lung_mask", "segment_lungs", (Flag("Q_LUNGS_EMPTY"),)),
    }.items():
        hdf5.write_file(tmp_path / "lungs" / f"{scan}.h5", header, {})
    write_manifest(tmp_path / "m.csv", [ScanRow(scan, "mhd", "folder", "test") for scan in ("good", "lost")])
    collect_lungs.run(tmp_path / "lungs.csv", manifest=tmp_path / "m.csv", lungs=tmp_path / "lungs")
    good, lost = rows_of(tmp_path / "lungs.csv")
    assert (good["volume_ml"], good["noisy"], lost["scan"], lost["volume_ml"]) == ("1.5", "true", "lost", "")
