"""Leakage passport: one hash for a scan in any container, and what `check` says."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from lungline.cli import main
from lungline.errors import LunglineError
from lungline.stages import passport
from tests.scans import chest, write_dicom, write_mhd, write_nifti


@pytest.fixture
def containers(tmp_path):
    """One scan three times; the DICOM is stored from the top down, the NIfTI turned."""
    hu = chest()
    write_dicom(tmp_path / "dicom", hu)
    write_mhd(tmp_path / "mhd" / "a.mhd", hu)
    write_nifti(tmp_path / "nifti" / "a.nii.gz", hu)
    return tmp_path, hu


def test_one_scan_has_one_hash_in_every_container_and_it_is_that_of_the_specification(containers):
    folder, hu = containers
    wanted = hashlib.sha256(b"(12, 30, 40)" + np.maximum(hu, -1024).astype("<i2").tobytes()).hexdigest()
    for name in ("dicom", "mhd", "nifti"):
        assert passport.run("make", folder / name, folder / f"{name}.json") == 0
        content = json.loads((folder / f"{name}.json").read_text())
        assert content == {"format": "ct-hu-sha256", "version": 1, "scans": [wanted]}


def flipped_mhd(path, hu):
    """Rows and columns reversed, as some headers of LUNA-16 say; the offset is that of the new first voxel."""
    first = f"{-31 + 1.7 * (hu.shape[2] - 1)} {-42 + 2.1 * (hu.shape[1] - 1)} 13"
    matrix = {"TransformMatrix": "-1 0 0 0 -1 0 0 0 1", "Offset": first}
    write_mhd(path.with_suffix(".mhd"), np.ascontiguousarray(hu[:, ::-1, ::-1]), **matrix)


def feet_last_mhd(path, hu):
    first = f"-31 -42 {13 + 2.5 * (hu.shape[0] - 1)}"
    matrix = {"TransformMatrix": "1 0 0 0 1 0 0 0 -1", "Offset": first}
    write_mhd(path.with_suffix(".mhd"), np.ascontiguousarray(hu[::-1]), **matrix)


def sagittal_mhd(path, hu):
    """Slices along x: the file's axes are y, z, x."""
    turned = {"TransformMatrix": "0 1 0 0 0 1 1 0 0", "ElementSpacing": "2.1 2.5 1.7"}
    write_mhd(path.with_suffix(".mhd"), np.ascontiguousarray(hu.transpose(2, 0, 1)), **turned)


def float_mhd(path, hu):
    write_mhd(path.with_suffix(".mhd"), hu + np.float32(0.25), ElementType="MET_FLOAT")


def big_endian_mhd(path, hu):
    swapped = {"BinaryDataByteOrderMSB": "True", "ElementType": "MET_INT"}
    write_mhd(path.with_suffix(".mhd"), hu.astype(">i4"), **swapped)


def float_nifti(path, hu):
    write_nifti(path.with_suffix(".nii"), hu.astype(np.float64) - 0.25)


def scaled_nifti(path, hu):
    write_nifti(path.with_suffix(".nii.gz"), (hu + 1024).astype(np.uint16), scl_slope=1, scl_inter=-1024)


def padded_nifti(path, hu):
    """What lies below -1024 is padding, whatever a program writes there."""
    write_nifti(path.with_suffix(".nii.gz"), np.where(hu <= -1024, -3024, hu).astype(np.int16), endian=">")


@pytest.mark.parametrize(
    "write",
    [flipped_mhd, feet_last_mhd, sagittal_mhd, float_mhd, big_endian_mhd, float_nifti, scaled_nifti, padded_nifti],
    ids=lambda write: write.__name__,
)
def test_type_scaling_and_order_of_the_axes_do_not_count(write, tmp_path):
    hu = np.maximum(chest(), -1024)
    hu[0, 0, :5] = -1024
    write(tmp_path / "scan" / "a", hu)
    wanted = hashlib.sha256(b"(12, 30, 40)" + hu.astype("<i2").tobytes()).hexdigest()
    passport.run("make", tmp_path / "scan", tmp_path / "p.json")
    assert json.loads((tmp_path / "p.json").read_text())["scans"] == [wanted]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mirrored_scan_is_another(axis, tmp_path):
    hu = chest()
    write_mhd(tmp_path / "a" / "a.mhd", hu)
    write_mhd(tmp_path / "b" / "b.mhd", np.ascontiguousarray(np.flip(hu, axis)))
    passport.run("make", tmp_path / "a", tmp_path / "p.json")
    assert passport.run("check", tmp_path / "b", tmp_path / "p.json") == 0


def test_check_finds_a_scan_again_and_no_other(containers, capsys):
    folder, hu = containers
    passport.run("make", folder / "nifti", folder / "p.json")
    assert main(["passport", "check", str(folder / "dicom"), str(folder / "p.json")]) == 1
    hu[5, 5, 5] += 1
    write_mhd(folder / "other" / "b.mhd", hu)
    capsys.readouterr()
    assert passport.run("check", folder / "other", folder / "p.json") == 0
    assert capsys.readouterr().out == "0 of 1 scans are among the 1 of the passport\n"


def test_a_model_card_serves_as_passport(containers):
    folder, hu = containers
    digest = hashlib.sha256(b"(12, 30, 40)" + np.maximum(hu, -1024).astype("<i2").tobytes()).hexdigest()
    (folder / "card.json").write_text(json.dumps({"case_hu_sha256": {"train": {"scan": digest}}}))
    assert passport.run("check", folder / "mhd", folder / "card.json") == 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[]", "expected a JSON object"),
        ("{", "expected JSON"),
        ('{"case_hu_sha256": [1]}', "expected hashes by split and case"),
        ('{"format": "ct-hu-sha256", "version": 2, "scans": []}', "expected the format ct-hu-sha256, version 1"),
        ('{"format": "ct-hu-sha256", "version": 1}', "expected 'scans'"),
        ('{"format": "ct-hu-sha256", "version": 1, "scans": ["AB"]}', "expected 'scans'"),
    ],
)
def test_what_is_no_passport_is_refused(text, complaint, tmp_path):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(LunglineError, match=complaint):
        passport.run("check", tmp_path, tmp_path / "p.json")


def test_a_passport_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LunglineError, match="no such file"):
        passport.run("check", tmp_path, tmp_path / "p.json")
