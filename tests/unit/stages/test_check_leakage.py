"""One patient in two splits stops everything; in one split he is only a warning."""

from __future__ import annotations

import pytest

from lungline.cli import main
from lungline.errors import LunglineError
from lungline.privacy.identity import Identity, write_identity
from lungline.stages import check_leakage
from lungline.storage.scan_rows import ScanRow, write_manifest
from lungline.storage.tables import read_rows

KINDS = {
    "PatientID": "patient id",
    "StudyInstanceUID": "study",
    "SeriesInstanceUID": "series",
    "FrameOfReferenceUID": "frame of reference",
    "raw_sha256": "raw files",
    "hu_sha256": "pixels",
    "histogram_sha256": "pixels in another order",
}


def row(scan, split, label=None):
    return ScanRow(scan, "dicom", "dsb17", split, None, label)


def checked(tmp_path, *cases):
    """`cases`: (row, fingerprints[, usable]); every scan has fingerprints of its own beside the given ones."""
    write_manifest(tmp_path / "manifest.csv", [case[0] for case in cases])
    for listed, fingerprints, *usable in cases:
        own = {kind: (f"{listed.scan} {kind}",) for kind in KINDS}
        given = {kind: value if isinstance(value, tuple) else (value,) for kind, value in fingerprints.items()}
        write_identity(tmp_path / "identity" / f"{listed.scan}.json", Identity(*(usable or [True]), own | given))
    check_leakage.run(tmp_path / "out.csv", manifest=tmp_path / "manifest.csv", identities=tmp_path / "identity")
    return [(w["flag"], w["scans"], w["split"], w["shared"]) for _, w in read_rows(tmp_path / "out.csv", ("flag",))]


def test_different_patients_pass(tmp_path):
    assert checked(tmp_path, (row("a", "train", 0), {}), (row("b", "valid", 1), {}), (row("c", "test", 1), {})) == []


@pytest.mark.parametrize(("kind", "word"), KINDS.items())
@pytest.mark.parametrize("splits", [("train", "valid"), ("train", "test"), ("valid", "test")])
def test_whatever_two_splits_share_is_refused_in_one_line_with_its_name(tmp_path, kind, word, splits):
    cases = [(row("a", splits[0], 1), {kind: "x"}), (row("b", splits[1], 1), {kind: "x"}), (row("c", "train", 0), {})]
    with pytest.raises(LunglineError) as caught:
        checked(tmp_path, *cases)
    told = str(caught.value)
    assert f"a ({splits[0]}, label 1), b ({splits[1]}, label 1): same {word}. Nothing is trained." in told
    assert "\n" not in told
    assert not (tmp_path / "out.csv").exists()


def test_a_chain_of_scans_is_one_patient(tmp_path):
    cases = [
        (row("a", "train", 1), {"PatientID": "p"}),
        (row("b", "train", 1), {"PatientID": ("p", "q")}),
        (row("c", "test", 1), {"PatientID": "q", "hu_sha256": "h"}),
        (row("d", "test", 0), {"hu_sha256": "h"}),
    ]
    with pytest.raises(LunglineError, match=r"^1 patients .*a .*b .*c .*d .*: same patient id, pixels"):
        checked(tmp_path, *cases)


def test_one_patient_with_two_labels_is_refused(tmp_path):
    cases = [(row("a", "train", 1), {"hu_sha256": "h"}), (row("b", "train", 0), {"hu_sha256": "h"})]
    with pytest.raises(LunglineError, match=r"two labels: a .train, label 1., b .train, label 0.: same pixels"):
        checked(tmp_path, *cases)


def test_a_copy_within_a_split_is_a_warning(tmp_path, capsys):
    copies = {"hu_sha256": "h", "histogram_sha256": "g"}
    found = checked(tmp_path, (row("a", "train", 1), copies), (row("b", "train", 1), copies), (row("c", "test", 1), {}))
    assert found == [("T_SAME_SPLIT", "a;b", "train", "pixels")]
    assert "T_SAME_SPLIT: a;b (train) same pixels" in capsys.readouterr().err


def test_scans_that_nothing_is_measured_on_and_quarantined_ones_take_no_part(tmp_path):
    same = {"hu_sha256": "h"}
    assert (
        checked(tmp_path, (row("a", "train", 1), same), (row("b", "test"), same), (row("c", "test", 1), same, False))
        == []
    )


def test_an_id_of_half_of_the_scans_names_no_patient_but_pixels_always_count(tmp_path):
    shared = {"PatientID": "CT-PSEUDO"}
    cases = [(row(f"s{k}", "test" if k % 2 else "train", k % 2), shared if k < 10 else {}) for k in range(19)]
    assert checked(tmp_path, *cases) == [("T_PLACEHOLDER", "", "", "patient id")]
    with pytest.raises(LunglineError, match="patient id"):  # half, and not more
        checked(tmp_path, *cases, (row("t", "test", 0), {}))
    pixels = [(listed, {"hu_sha256": "h"}) for listed, _ in cases]
    with pytest.raises(LunglineError, match="same pixels"):
        checked(tmp_path, *pixels)


def test_many_leaks_are_counted_and_five_are_named(tmp_path):
    cases = [(row(f"{split}{k}", split, 1), {"PatientID": f"p{k}"}) for k in range(8) for split in ("train", "test")]
    with pytest.raises(LunglineError, match=r"^8 patients .*train4.*; and 3 more"):
        checked(tmp_path, *cases)


def test_the_command_says_it_in_one_line(tmp_path, capsys):
    cases = [(row("a", "train", 1), {"hu_sha256": "h"}), (row("b", "test", 1), {"hu_sha256": "h"})]
    with pytest.raises(LunglineError):
        checked(tmp_path, *cases)
    words = ["--manifest", str(tmp_path / "manifest.csv"), "--identities", str(tmp_path / "identity")]
    assert main(["check-leakage", str(tmp_path / "out.csv"), *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1
