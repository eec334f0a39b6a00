"""What a scan is recognised by: whatever the container, and without a word that identifies."""

from __future__ import annotations

import stat

import numpy as np
import pytest

from lungline.errors import CorruptFileError
from lungline.privacy.identity import age_and_sex, identifiers, read_identity
from lungline.stages import ingest
from lungline.storage import hdf5
from scans import chest, write_dicom, write_mhd

HU = chest()
UID = "1.3.6.1.4.1.14519.5.2.1"


def identified(raw, source="dicom"):
    out = raw.parent / "made"
    ingest.run(raw, out / f"{raw.name}.h5", source=source, identity=out / "private" / f"{raw.name}.json")
    return read_identity(out / "private" / f"{raw.name}.json")


def named(patient, study="1.2.3.4.5", **more):
    def change(_, dataset):
        dataset.PatientID, dataset.StudyInstanceUID = patient, study
        for key, value in more.items():
            setattr(dataset, key, value)

    return change


def test_the_same_scan_as_dicom_as_mhd_and_flipped_in_its_file_has_the_same_pixels(tmp_path):
    dicom = identified(write_dicom(tmp_path / "a", HU))
    mhd = identified(write_mhd(tmp_path / "b.mhd", HU), "mhd")
    offset = np.array((-31.0, -42.0, 13.0)) + np.array((1.7, 2.1, 0)) * (HU.shape[2] - 1, HU.shape[1] - 1, 0)
    turned = {"TransformMatrix": "-1 0 0 0 -1 0 0 0 1", "Offset": " ".join(map(str, offset))}
    flipped = identified(write_mhd(tmp_path / "c.mhd", np.ascontiguousarray(HU[:, ::-1, ::-1]), **turned), "mhd")
    padded = identified(write_mhd(tmp_path / "d.mhd", np.where(HU < -990, HU - 2000, HU).astype(np.int16)), "mhd")
    assert dicom.fingerprints["hu_sha256"] == mhd.fingerprints["hu_sha256"] == flipped.fingerprints["hu_sha256"]
    assert dicom.fingerprints["raw_sha256"] != mhd.fingerprints["raw_sha256"]
    assert padded.fingerprints["hu_sha256"] != dicom.fingerprints["hu_sha256"]


def test_a_mirrored_copy_has_other_pixels_and_the_same_histogram(tmp_path):
    one = identified(write_mhd(tmp_path / "a.mhd", HU), "mhd")
    mirrored = identified(write_mhd(tmp_path / "b.mhd", np.ascontiguousarray(HU[:, :, ::-1])), "mhd")
    other = identified(write_mhd(tmp_path / "c.mhd", chest(seed=1)), "mhd")
    assert one.fingerprints["hu_sha256"] != mirrored.fingerprints["hu_sha256"]
    assert (
        one.fingerprints["histogram_sha256"]
        == mirrored.fingerprints["histogram_sha256"]
        != other.fingerprints["histogram_sha256"]
    )


def test_every_identifier_of_the_folder_counts_and_stands_nowhere_in_clear(tmp_path):
    raw = write_dicom(tmp_path / "a", HU, change=named("Doe-4711", FrameOfReferenceUID="1.2.77.7"))
    fingerprints = identified(raw).fingerprints
    assert all(len(fingerprints[kind]) == 1 for kind in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID"))
    other = write_dicom(tmp_path / "b", HU, change=lambda k, d: named(f"Doe-{4711 + k % 2}")(k, d))
    both = identified(other).fingerprints["PatientID"]
    assert len(both) == 2
    assert set(fingerprints["PatientID"]) < set(both)
    made = [path for path in (tmp_path / "made").rglob("*") if path.is_file()]
    assert not any(word in path.read_bytes() for path in made for word in (b"Doe", b"4711", b"1.2.77"))


def test_hashes_of_identifiers_stay_out_of_the_file_that_is_shared(tmp_path):
    fingerprints = identified(write_dicom(tmp_path / "a", HU, change=named("007"))).fingerprints
    assert stat.S_IMODE((tmp_path / "made/private/a.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "made/private").stat().st_mode) == 0o700
    provenance = hdf5.read_header(tmp_path / "made" / "a.h5").provenance
    assert provenance["hu_sha256"] == fingerprints["hu_sha256"][0]
    assert fingerprints["PatientID"][0] not in (tmp_path / "made" / "a.h5").read_bytes().decode("latin-1")


@pytest.mark.parametrize("word", ["", " ", "ANONYMOUS", "Anonymized", "0", "None", "unknown"])
def test_a_word_for_nobody_is_no_patient(tmp_path, word):
    raw = write_dicom(tmp_path / "a", HU, change=named(word))
    assert "PatientID" not in identifiers(raw, "dicom")


def test_a_file_named_by_its_series_is_known_as_that_series(tmp_path):
    series = f"{UID}.99"
    dicom = write_dicom(tmp_path / "a", HU, change=lambda _, d: setattr(d, "SeriesInstanceUID", series))
    mhd = write_mhd(tmp_path / f"{series}.mhd", HU)
    assert identifiers(mhd, "mhd") == {"SeriesInstanceUID": identifiers(dicom, "dicom")["SeriesInstanceUID"]}
    assert identifiers(write_mhd(tmp_path / "1.2.mhd", HU), "mhd") == {}


def test_a_scan_that_cannot_be_used_says_so(tmp_path):
    identity = identified(write_mhd(tmp_path / "a.mhd", np.full_like(HU, -700)), "mhd")
    assert not identity.usable
    assert set(identity.fingerprints) == {"raw_sha256"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"usable": true, "fingerprints": 3}'])
def test_a_damaged_identity_is_named(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(CorruptFileError, match="not an identity"):
        read_identity(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("header", "age", "sex"),
    [
        ({"PatientAge": "067Y", "PatientSex": "F"}, 67, "female"),
        ({"PatientAge": "030M", "PatientSex": "M"}, 2, "male"),
        ({"PatientAge": "000Y", "PatientSex": "O"}, None, None),  # placeholders of an anonymisation
        ({"PatientBirthDate": "19530229", "StudyDate": "20200228"}, None, None),  # no such day
        ({"PatientBirthDate": "19530301", "StudyDate": "20200228"}, 66, None),
        ({"PatientBirthDate": "19530228", "StudyDate": "20200228"}, 67, None),
        ({"PatientBirthDate": "19530228"}, None, None),
        ({}, None, None),
    ],
)
def test_age_and_sex_are_those_of_the_header(tmp_path, header, age, sex):
    def change(_, dataset):
        for key, value in header.items():
            setattr(dataset, key, value)

    assert age_and_sex(write_dicom(tmp_path / "a", HU[:3], change=change)) == (age, sex)


def test_headers_that_differ_say_nothing(tmp_path):
    def change(k, dataset):
        dataset.PatientAge, dataset.PatientSex = ("067Y", "F") if k else ("066Y", "M")

    assert age_and_sex(write_dicom(tmp_path / "a", HU[:3], change=change)) == (None, None)


def test_the_sex_of_another_kind_of_image_does_not_count(tmp_path):
    def change(_, dataset):
        dataset.Modality, dataset.PatientSex = "SR", "F"

    assert age_and_sex(write_dicom(tmp_path / "a", HU[:3], change=change)) == (None, None)
