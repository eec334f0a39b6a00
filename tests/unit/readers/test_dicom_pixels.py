"""DICOM pixels: lossless syntaxes give every bit, and stored bits become HU whatever their form."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from lungline.errors import Quarantine
from lungline.readers.dicom_headers import quiet, read_folder
from lungline.readers.dicom_pixels import (
    SUPPORTED,
    DamagedSliceError,
    _shifted,
    slice_hu,
    stops_within_a_row,
    stored_values,
    stream_size,
)
from lungline.readers.scan import read_scan
from scans import chest, write_dicom

HU = chest((4, 12, 14))
LOSSLESS = {"1.2", "1.2.1", "1.2.2", "1.2.1.99", "1.2.4.57", "1.2.4.70", "1.2.4.80", "1.2.4.90", "1.2.5"}


def header_of(path):
    return read_folder([path]).slices[0]


@pytest.mark.data
def test_lossless_transfer_syntaxes_are_equal_bit_by_bit(sample_data):
    folder = sample_data / "malformed" / "transfer_syntaxes"
    original = pydicom.dcmread(folder / "CTImage.dcm").pixel_array
    seen = set()
    with quiet():
        for path in sorted(folder.glob("CTImage.dcm_*")):
            item = header_of(path)
            short = item.syntax.removeprefix("1.2.840.10008.")
            if short in LOSSLESS:
                seen.add(short)
                np.testing.assert_array_equal(stored_values(item)[0], original)
                assert slice_hu(item).min() == -1024
    assert seen == LOSSLESS


@pytest.mark.data
def test_monochrome1_touches_no_stored_value_whatever_decodes_it(sample_data, tmp_path):
    folder = sample_data / "malformed" / "transfer_syntaxes"
    seen = set()
    with quiet():
        for path in sorted(folder.glob("CTImage.dcm_*")):
            dataset = pydicom.dcmread(path)
            if dataset.file_meta.TransferSyntaxUID.removeprefix("1.2.840.10008.") in LOSSLESS:
                plain = slice_hu(header_of(path))
                dataset.PhotometricInterpretation = "MONOCHROME1"
                dataset.save_as(tmp_path / path.name)
                np.testing.assert_array_equal(slice_hu(header_of(tmp_path / path.name)), plain)
                seen.add(dataset.file_meta.TransferSyntaxUID)
    assert len(seen) == len(LOSSLESS)


@pytest.mark.data
def test_lossy_transfer_syntaxes_are_close_and_say_so(sample_data):
    folder = sample_data / "malformed" / "transfer_syntaxes"
    with quiet():
        original = slice_hu(header_of(folder / "CTImage.dcm")).astype(int)
        for name in (
            "JPEG2000TransferSyntax_1.2.840.10008.1.2.4.91",
            "JPEGLSLossyTransferSyntax_1.2.840.10008.1.2.4.81",
        ):
            item = header_of(folder / f"CTImage.dcm_{name}.dcm")
            assert np.abs(slice_hu(item) - original).mean() < 10


@pytest.mark.data
def test_a_file_that_decodes_to_a_gigabyte_is_refused_by_its_header(sample_data):
    with pytest.raises(Quarantine, match="Q_LIMIT: the image claims 16384 x 16384"):
        read_scan(sample_data / "malformed" / "bombs" / "j16384.dcm", "dicom")


@pytest.mark.data
def test_a_stream_that_is_larger_than_its_header_is_not_decoded(sample_data, tmp_path):
    dataset = pydicom.dcmread(sample_data / "malformed" / "bombs" / "j16384.dcm")
    frame = pydicom.encaps.get_frame(dataset.PixelData, 0, number_of_frames=1)
    assert stream_size(frame) == (16384, 16384)
    dataset.Rows = dataset.Columns = 512
    dataset.save_as(tmp_path / "a.dcm")
    with quiet(), pytest.raises(DamagedSliceError, match="another size"):
        slice_hu(header_of(tmp_path / "a.dcm"))


@pytest.mark.data
def test_the_size_is_read_off_every_kind_of_compressed_stream(sample_data):
    for path in sorted((sample_data / "malformed" / "transfer_syntaxes").glob("CTImage.dcm_JPEG*")):
        dataset = pydicom.dcmread(path)
        frame = pydicom.encaps.get_frame(dataset.PixelData, 0, number_of_frames=1)
        assert stream_size(frame) == (dataset.Rows, dataset.Columns), path.name


def test_a_stream_without_a_size_has_none():
    for frame in (b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x04ab", b"junk" * 9, b"\xff\xd8" + b"\xff" * 40):
        assert stream_size(frame) is None


def stored(hu, intercept):
    return hu.astype(np.int32) - intercept


@pytest.mark.parametrize(
    "form",
    ["unsigned", "12 of 16 bits", "upper 12 of 16 bits", "8 bits", "overlay in the high bits", "steps of a half"],
)
def test_stored_bits_become_hu_whatever_their_form(tmp_path, form):
    hu = np.clip(HU, -1000, 800)

    def change(k, dataset):
        pixels = stored(hu[k], -1024)
        if form == "unsigned":
            dataset.PixelRepresentation = 0
            pixels, dataset.RescaleIntercept = pixels + 40000, -41024
        elif form == "12 of 16 bits":
            dataset.BitsStored, dataset.HighBit = 12, 11
        elif form == "upper 12 of 16 bits":
            dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 0, 12, 15
            pixels = pixels << 4
        elif form == "overlay in the high bits":
            dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 0, 12, 11
            pixels = pixels | 0x8000
        elif form == "8 bits":
            dataset.PixelRepresentation = 0
            dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
            pixels, dataset.RescaleSlope = (pixels // 8), 8
            dataset.PixelData = pixels.astype(np.uint8).tobytes()
            return
        else:
            pixels, dataset.RescaleSlope = pixels * 2, 0.5
        dataset.PixelData = pixels.astype("<u2" if dataset.PixelRepresentation == 0 else "<i2").tobytes()

    ct, flags = read_scan(write_dicom(tmp_path, hu, change=change), "dicom")
    assert flags == []
    expected = (hu + 1024) // 8 * 8 - 1024 if form == "8 bits" else hu
    np.testing.assert_array_equal(ct.array, expected)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32])
@pytest.mark.parametrize("by", [0, 7, -1024, 32767, -32767])
def test_the_intercept_is_added_exactly_whatever_the_type(kind, by):
    limits = np.iinfo(kind)
    for values in ([limits.min, 0, limits.max], [0, min(limits.max, 60000)], [max(limits.min, -30000), 5]):
        stored = np.array([values], dtype=kind)
        assert _shifted(stored, by).tolist() == [[value + by for value in values]]


def test_signed_values_of_twelve_bits_keep_their_sign(tmp_path):
    hu = np.clip(HU, -1000, 800)

    def change(k, dataset):
        dataset.BitsStored, dataset.HighBit, dataset.RescaleIntercept = 12, 11, 0
        dataset.PixelData = (hu[k].astype("<i2") & 0x0FFF).tobytes()  # the high bits are left empty

    ct, _ = read_scan(write_dicom(tmp_path, hu, change=change), "dicom")
    np.testing.assert_array_equal(ct.array, hu)


def test_padding_becomes_air_and_a_wrong_padding_value_destroys_nothing(tmp_path):
    hu = HU.copy()
    hu[:, 0, 0], hu[:, 0, 1], hu[:, 5, 5] = -2000, 9000, 40

    def padded(value):
        return lambda k, dataset: dataset.add_new("PixelPaddingValue", "SS", value)

    far, _ = read_scan(write_dicom(tmp_path / "far", hu, change=padded(9000 + 1024)), "dicom")
    assert far.array[0, 0, :2].tolist() == [-1024, -1024]
    wrong, _ = read_scan(write_dicom(tmp_path / "wrong", hu, change=padded(40 + 1024)), "dicom")
    assert wrong.array[0, 5, 5] == 40
    assert wrong.array[0, 0, :2].tolist() == [-1024, 9000]


def test_every_slice_has_its_own_rescale(tmp_path):
    def change(k, dataset):
        dataset.RescaleIntercept = -1024 - 10 * k

    ct, _ = read_scan(write_dicom(tmp_path, np.maximum(HU, -900), change=change), "dicom")
    np.testing.assert_array_equal(ct.array[3], np.maximum(HU, -900)[3] - 30)


@pytest.mark.parametrize(
    ("slope", "intercept", "flag"),
    [
        ("0", "0", "Q_BAD_RESCALE"),
        ("-1", "0", "Q_BAD_RESCALE"),
        ("nan", "0", "Q_BAD_RESCALE"),
        ("1", "inf", "Q_BAD_RESCALE"),
    ],
)
def test_a_senseless_rescale_is_refused(tmp_path, slope, intercept, flag):
    def change(k, dataset):
        if k == 2:
            dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept

    with quiet():
        write_dicom(tmp_path, HU, change=change)
    with pytest.raises(Quarantine, match=flag):
        read_scan(tmp_path, "dicom")


def test_without_a_rescale_only_values_that_prove_hu_are_taken(tmp_path):
    def without(shift, *keys, only=None):
        def change(k, dataset):
            dataset.PixelData = (HU[k] + np.int16(shift)).astype("<i2").tobytes()
            for key in keys if only in (None, k) else ():
                delattr(dataset, key)

        return change

    both = ("RescaleSlope", "RescaleIntercept")
    ct, flags = read_scan(write_dicom(tmp_path / "hu", HU, change=without(0, *both)), "dicom")
    assert [flag.flag for flag in flags] == ["W_ASSUMED_HU"]
    np.testing.assert_array_equal(ct.array, HU)
    for name, change in {
        "stored": without(1024, *both),
        "half": without(0, "RescaleSlope"),
        "some": without(0, *both, only=2),
    }.items():
        with pytest.raises(Quarantine, match="Q_NO_RESCALE"):
            read_scan(write_dicom(tmp_path / name, HU, change=change), "dicom")


def test_a_transfer_syntax_that_cannot_be_decoded_is_named(tmp_path):
    mpeg = "1.2.840.10008.1.2.4.100"
    assert mpeg not in SUPPORTED
    for path in write_dicom(tmp_path, HU).iterdir():
        dataset = pydicom.dcmread(path)
        dataset.PixelData = pydicom.encaps.encapsulate([b"\0" * 40])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(mpeg)
        dataset.save_as(path)
    with pytest.raises(Quarantine, match=f"Q_UNSUPPORTED_SYNTAX.*{mpeg}"):
        read_scan(tmp_path, "dicom")


def test_lossy_pixels_are_said_to_be_so(tmp_path):
    write_dicom(tmp_path, HU, change=lambda k, d: setattr(d, "LossyImageCompression", "01"))
    assert [flag.flag for flag in read_scan(tmp_path, "dicom")[1]] == ["W_LOSSY"]


def test_a_deflated_file_that_grows_without_end_is_refused(tmp_path):
    def change(k, dataset):
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
        if k == 0:
            dataset.add_new(0x00091001, "OB", bytes(1 << 27))

    with pytest.raises(Quarantine, match="Q_LIMIT: a deflated file"):
        read_scan(write_dicom(tmp_path, HU, change=change), "dicom")


def test_nothing_of_a_header_is_printed_or_warned(tmp_path, capfd, recwarn, caplog):
    def change(k, dataset):
        dataset.PatientName = "Doe^Jane" * 20
        dataset.add_new(0x00080020, "DA", "Doe^Jane was here")

    with quiet():  # writing warns, too
        write_dicom(tmp_path, HU, change=change)
    read_scan(tmp_path, "dicom")
    assert "Doe" not in "".join(capfd.readouterr()) + caplog.text
    assert not recwarn.list


def _round_body(columns: int = 128) -> np.ndarray:
    """Stored values (rows, columns): a body on black, as a segmented or round field of view leaves it."""
    y, x = np.mgrid[:columns, :columns]
    return np.where((y - 60.5) ** 2 + (x - 63.5) ** 2 < 50**2, 1040, 0)


@pytest.mark.parametrize("row", [20, 40, 60, 90])
@pytest.mark.parametrize("column", [40, 60, 80])
def test_pixels_that_turn_to_zero_within_a_row_are_damaged(row, column):
    full = np.full((128, 128), 900)
    full.ravel()[128 * row + column :] = 0
    assert stops_within_a_row(full)


def test_a_copy_that_stopped_in_the_body_is_damaged():
    body = _round_body()
    body.ravel()[128 * 60 + 70 :] = 0
    assert stops_within_a_row(body)


@pytest.mark.parametrize(
    "image",
    [
        _round_body(),
        np.zeros((128, 128), int),
        np.full((128, 128), 7),
        np.pad(np.full((90, 128), 7), ((0, 38), (0, 0))),
        np.random.default_rng(1).integers(0, 2, (128, 128)),
    ],
    ids=["round body", "all zero", "no zero", "cut between rows", "noise about zero"],
)
def test_zeros_that_a_scanner_writes_are_no_damage(image):
    assert not stops_within_a_row(image)
