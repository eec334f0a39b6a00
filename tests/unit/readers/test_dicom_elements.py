"""A header that says nothing new is read the short way, and that way says what pydicom says of every file."""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from lungline.readers import dicom_elements, dicom_headers
from lungline.readers.dicom_elements import Known, walk
from lungline.readers.dicom_headers import _TAGS, _understand, quiet, read_folder, regular_files
from lungline.readers.dicom_pixels import DamagedSliceError, stored_values
from scans import chest, write_dicom

HU = chest((4, 12, 14))
real = dicom_headers.read_dataset


@pytest.fixture
def files(tmp_path):
    return regular_files(write_dicom(tmp_path / "raw", HU))


def pixels_of(item):
    try:
        stored, padding = stored_values(item)
    except (DamagedSliceError, OSError):
        return "damaged"
    return stored.dtype.str, stored.tobytes(), padding.mask.tobytes()


def header_of(path, known=None):
    """What a file is, beside others that are known, or to pydicom alone."""
    try:
        if known:
            return dicom_headers._read_one(path, known)
        return _understand(path) if dicom_headers.is_dicom(path) else "not_dicom"
    except OSError as error:
        return str(error)


def test_headers_of_a_series_are_understood_once(files, monkeypatch):
    read = []

    def noted(path, **options):
        read.append(path)
        return real(path, **options)

    monkeypatch.setattr(dicom_headers, "read_dataset", noted)
    with quiet():
        found = read_folder(files).slices
        alone = [_understand(path)[0] for path in files]
    assert read == [files[0], *files]
    assert found == alone
    assert [item.position_xyz_mm for item in found] == [item.position_xyz_mm for item in alone]


def test_pixels_of_a_series_are_decoded_once_by_pydicom(files, monkeypatch):
    with quiet():
        found = read_folder(files).slices
        alone = [pixels_of(replace(item, place=None)) for item in found]
        first = pixels_of(found[0])
        monkeypatch.setattr(pydicom.pixels, "pixel_array", None)
        assert [first, *map(pixels_of, found[1:])] == alone
        assert pixels_of(replace(found[1], place=None)) == "damaged"  # without the short way


def test_a_file_that_has_changed_since_is_read_anew(files):
    with quiet():
        found = read_folder(files).slices
        pixels_of(found[0])
        before = pixels_of(found[1])
        shutil.copyfile(files[2], files[1])
        os.utime(files[1], (1, 1))
        assert pixels_of(found[1]) == pixels_of(found[2]) != before


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_damaged_files_are_what_pydicom_says_they_are(files, tmp_path, syntax):
    """Bytes anywhere in the header are changed, left out or doubled: beside a sound file, each is read as alone."""
    sound, other = tmp_path / "a.dcm", tmp_path / "b.dcm"
    for source, target in ((files[0], sound), (files[1], other)):
        with quiet():
            dataset = pydicom.dcmread(source)
            dataset.add_new(0x00081140, "SQ", [pydicom.Dataset(), pydicom.Dataset()])
            dataset[0x00081140].is_undefined_length = True
            dataset.InstitutionName, dataset.StudyDescription = "x" * 64, "y" * 64  # which do not matter
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
            dataset.save_as(target, implicit_vr=syntax == "1.2.840.10008.1.2", little_endian=True)
    content, draw = other.read_bytes(), random.Random(0)
    end = len(content) - 2 * HU[0].size
    short = damaged = 0
    for _ in range(100):
        at, changed = draw.randrange(128, end), bytearray(content)
        kind = draw.randrange(4)
        if kind < 2:
            changed[at] = draw.randrange(256)
        elif kind == 2:
            del changed[at : at + draw.choice((1, 2, 8))]
        else:
            changed[at:at] = changed[at : at + draw.choice((1, 2, 8))]
        other.write_bytes(changed)
        with quiet():
            known = Known(_TAGS)
            first = dicom_headers._read_one(sound, known)[0]
            found = header_of(other, known)
            unaided = header_of(other)
            assert found == unaided
            pixels_of(first)
            if isinstance(found, list):
                assert [pixels_of(one) for one in found] == [pixels_of(replace(one, place=None)) for one in unaided]
                short += bool(found[0].place and found[0].place.alike is first.place.alike)
            else:
                damaged += 1
    assert short > 3
    assert damaged > 5


def test_what_is_unusual_is_left_to_pydicom(files):
    content = files[0].read_bytes()
    found = walk(content)
    assert found is not None
    assert walk(content[: found.pixels_start - 20]) is None
    assert walk(content[128:]) is None  # no preamble
    assert walk(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0")) is None  # big endian
    at = content.index(b"\x28\x00\x10\x00US")
    assert walk(content[:at] + content[at : at + 10] + content[at:]) is None  # an element twice
    assert walk(content[:at] + content[at:].replace(b"US", b"??", 1)) is None


@pytest.mark.data
def test_jpeg_lossless_is_the_same_either_way(sample_data, tmp_path):
    folder = sample_data / "malformed" / "transfer_syntaxes"
    (original,) = folder.glob("CTImage.dcm_JPEGProcess14SV1*.4.70.dcm")
    dataset = pydicom.dcmread(original)
    for number in (1, 2):
        dataset.InstanceNumber, dataset.ImagePositionPatient = number, [0, 0, number]
        dataset.save_as(tmp_path / f"{number}.dcm")
    with quiet():
        first, second = read_folder(regular_files(tmp_path)).slices
        assert pixels_of(first) == pixels_of(second) == pixels_of(replace(second, place=None))
        assert second.place.alike.stored
    wanted = pydicom.dcmread(folder / "CTImage.dcm").pixel_array
    np.testing.assert_array_equal(stored_values(second)[0], wanted)


def test_a_position_of_many_digits_is_left_to_pydicom_at_once() -> None:
    """A pattern that can match one text in two ways took 43 s for 200 digits thrice; DICOM allows 16."""
    many = b"1" * 5000
    values = {0x00200032: (b"DS", b"\\".join([many] * 3) + b"x")}
    assert dicom_elements._position(dicom_elements.Elements("", values, 0, 0)) is None
    assert dicom_elements._POINT.match(b"\\".join([many] * 3) + b"x") is None
