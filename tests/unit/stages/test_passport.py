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
