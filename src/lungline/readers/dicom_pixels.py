"""The pixels of one DICOM slice: decoded bit by bit as they were stored, then as HU."""

import io
import os
import struct
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from lungline import limits
from lungline.errors import Quarantine
from lungline.readers.deflated import DEFLATED, check_inflated_size
from lungline.readers.dicom_headers import CT, Slice, read_dataset
from lungline.readers.raw import AIR_HU, hu_int16

_NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", DEFLATED}
_LITTLE_ENDIAN = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}
_RLE = {"1.2.840.10008.1.2.5"}
_JPEG = {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 53, 55, 57, 70)}
_JPEG_LS = {f"1.2.840.10008.1.2.4.{n}" for n in (80, 81)}
_JPEG_2000 = {f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203)}  # the last three: high throughput
SUPPORTED = _NATIVE | _RLE | _JPEG | _JPEG_LS | _JPEG_2000
LOSSY = {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 53, 55, 81, 91, 203)}  # 91 and 203 may be
_BIT_WORDS = ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
_MAX_SLICE_BYTES = limits.MAX_SLICE_BYTES
_MAX_FRAMES_BYTES = limits.MAX_FRAMES_BYTES
_DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"  # where encapsulated pixels end
_MAX_CT_HU = 3071  # the highest HU of a 12-bit scanner


class DamagedSliceError(Exception):
    """The pixels of one slice cannot be decoded."""


class Coding(NamedTuple):
    """What a header says of stored pixels; padding values are None where it names none."""

    bits_allocated: int
    bits_stored: int
    high_bit: int
    pixel_representation: int
    padding: int | None
    padding_limit: int | None


class Padding(NamedTuple):
    """Which pixels (rows, columns) the header calls padding, and whether it names a range of values."""

    mask: NDArray[np.bool_]
    is_range: bool


def slice_hu(item: Slice) -> NDArray[np.int16]:
    """HU (rows, columns) of one slice, padding set to -1024; call inside `dicom_headers.quiet`.

    A missing rescale counts as slope 1 and intercept 0; whether that is allowed is the caller's question.
    `DamagedSliceError` if the pixels are missing, truncated or not what the header says.
    """
    stored, padding = stored_values(item)
    slope = 1.0 if item.slope is None else item.slope
    intercept = 0.0 if item.intercept is None else item.intercept
    if slope == 1.0 and intercept.is_integer() and abs(intercept) < 2**15:
        hu: NDArray = _shifted(stored, int(intercept))
    else:
        hu = stored * slope + intercept
    if padding.is_range:
        hu = np.where(_from_corners(padding.mask), AIR_HU, hu)
    if padding.mask.any() and hu.max() > _MAX_CT_HU:
        # a padding value that is no plausible HU; below -1024 all is padding anyway
        hu = np.where(padding.mask & np.greater(hu, _MAX_CT_HU), AIR_HU, hu)
    return hu_int16(hu)


def _shifted(stored: NDArray, by: int) -> NDArray:
    """Whole numbers plus `by`: in int16, which counts modulo 2^16, if every sum fits there, else in int64."""
    fits = int(stored.min()) + by >= -(2**15) and int(stored.max()) + by < 2**15
    moved: NDArray = stored.astype(np.int16 if fits else np.int64)
    moved += moved.dtype.type(by)
    return moved


def stored_values(item: Slice) -> tuple[NDArray, Padding]:
    """The stored integers (rows, columns), signed as the header says, and where they are said to be padding."""
    try:
        array, coding = _decoded(item)
        if array.shape != (item.rows, item.columns) or array.dtype.kind not in "iu":
            raise DamagedSliceError("the pixels have another shape or type than the header says")
        if stops_within_a_row(array):
            raise DamagedSliceError("the pixels turn to zero within a row and stay so")
        used = _used_bits(array, coding)
        return used, _padding(used, coding)
    except (DamagedSliceError, Quarantine, OSError, MemoryError):
        raise
    except Exception as error:  # pydicom and its decoders raise about nine kinds of exception
        raise DamagedSliceError(type(error).__name__) from None


def _decoded(item: Slice) -> tuple[NDArray, Coding]:
    """The pixels as they are stored, and what the header says of them.

    By pydicom; once both have agreed on one of several slices that are alike, the others go the short way.
    """
    alike = item.place.alike if item.place else None
    if alike and alike.stored and (array := _short_way(item, alike.stored)) is not None:
        return array, alike.stored
    state = item.path.stat()
    dataset = _dataset(item.path, state.st_size, state.st_mtime_ns)
    coding = _coding(dataset)
    array = np.asarray(_decode(dataset, item))
    if alike and alike.stored is None and (short := _short_way(item, coding)) is not None:
        alike.stored = coding if short.dtype == array.dtype and np.array_equal(short, array) else None
    return array, coding


def _coding(dataset: Dataset) -> Coding:
    words = (int(dataset[key].value) for key in _BIT_WORDS)
    value, limit = dataset.get("PixelPaddingValue"), dataset.get("PixelPaddingRangeLimit")
    return Coding(*words, *(one if isinstance(one, int) else None for one in (value, limit)))


def _short_way(item: Slice, coding: Coding) -> NDArray | None:
    """The pixels straight from where they lie in the file; None where that is not simple or the file has changed."""
    place = item.place
    assert place
    plain = item.syntax in _LITTLE_ENDIAN and coding.bits_allocated == 16
    if not (plain or item.syntax in _JPEG) or place.end - place.start > _MAX_SLICE_BYTES:
        return None
    with open(item.path, "rb") as file:
        state = os.fstat(file.fileno())
        if (state.st_size, state.st_mtime_ns) != (place.end, place.mtime_ns):
            return None
        file.seek(place.start)
        if plain:
            if place.end - place.start != 2 * item.rows * item.columns:
                return None
            array = np.fromfile(file, "<i2" if coding.pixel_representation == 1 else "<u2")
            return array.reshape(item.rows, item.columns) if array.size == item.rows * item.columns else None
        content = file.read()
    if content.find(_DELIMITER) != len(content) - len(_DELIMITER):
        return None
    return _of_jpeg(item, coding, pydicom.encaps.get_frame(content, 0, number_of_frames=1))


@lru_cache(maxsize=1)
def _dataset(path: Path, n_bytes: int, _mtime_ns: int) -> Dataset:
    """A whole file, kept for the next frame of it."""
    if n_bytes > _MAX_FRAMES_BYTES:
        raise Quarantine("Q_LIMIT", f"a DICOM file of {n_bytes} bytes; at most {_MAX_FRAMES_BYTES}")
    check_inflated_size(path)
    dataset = read_dataset(path)
    if n_bytes > _MAX_SLICE_BYTES and (dataset.get("NumberOfFrames") or 1) == 1:
        raise DamagedSliceError(f"a slice of more than {_MAX_SLICE_BYTES} bytes")
    return dataset


def _decode(dataset: Dataset, item: Slice) -> NDArray:
    """The pixels as the decoder gives them; the size in the compressed stream is checked before it is decoded."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    if item.syntax in _JPEG | _JPEG_LS | _JPEG_2000:
        stream = pydicom.encaps.get_frame(dataset.PixelData, item.frame, number_of_frames=frames)
        if item.syntax in _JPEG:
            return _of_jpeg(item, _coding(dataset), stream)
        _check_stream(item, stream)
    return pydicom.pixels.pixel_array(dataset, index=item.frame, raw=True, correct_unused_bits=False)


def _check_stream(item: Slice, stream: bytes) -> None:
    if stream_size(stream) != (item.rows, item.columns):
        raise DamagedSliceError("the compressed stream has another size than the header says")


def stream_size(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) that a JPEG, JPEG-LS or JPEG 2000 stream announces; None if it announces none."""
    if frame[:4] == b"\xff\x4f\xff\x51":  # JPEG 2000: SOC, SIZ
        x1, y1, x0, y0 = struct.unpack(">4I", frame[8:24])
        return y1 - y0, x1 - x0
    at = 2
    while frame[:2] == b"\xff\xd8" and at + 9 <= len(frame) and frame[at] == 0xFF:
        marker, length = frame[at + 1], int.from_bytes(frame[at + 2 : at + 4], "big")
        if marker == 0xFF:  # a fill byte
            at += 1
        elif (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            return struct.unpack(">HH", frame[at + 5 : at + 9])
        else:
            at += 2 + length
    return None


def _of_jpeg(item: Slice, coding: Coding, stream: bytes) -> NDArray:
    """Decode JPEG through SimpleITK, which sees a new file in memory with nothing in it but the pixels."""
    import SimpleITK as sitk

    _check_stream(item, stream)
    odd = b"\0" * (len(stream) % 2)
    parts = _bare_header(item.rows, item.columns, item.syntax, coding), _item(b""), _item(stream + odd), _DELIMITER
    descriptor = os.memfd_create("slice")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(b"".join(parts))
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(f"/proc/self/fd/{descriptor}")
        array = sitk.GetArrayFromImage(reader.Execute())
    finally:
        os.close(descriptor)
    return array[0] if array.ndim == 3 else array


def _item(value: bytes) -> bytes:
    """An item of encapsulated pixels (PS3.5, A.4)."""
    return b"\xfe\xff\x00\xe0" + struct.pack("<L", len(value)) + value


@lru_cache(maxsize=8)
def _bare_header(rows: int, columns: int, syntax: str, coding: Coding) -> bytes:
    """A file up to its encapsulated pixels.

    Stored values are wanted, which the photometric interpretation does not touch; ITK would invert MONOCHROME1.
    """
    bare = Dataset()
    bare.Rows, bare.Columns, bare.SamplesPerPixel, bare.PhotometricInterpretation = rows, columns, 1, "MONOCHROME2"
    for key, word in zip(_BIT_WORDS, coding[: len(_BIT_WORDS)], strict=True):
        setattr(bare, key, word)
    bare.SOPClassUID, bare.SOPInstanceUID, bare.Modality = UID(CT), UID("1.2.3"), "CT"
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = UID(syntax)
    bare.file_meta.MediaStorageSOPClassUID = UID(CT)
    bare.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    content = io.BytesIO()
    bare.save_as(content, enforce_file_format=True)
    return content.getvalue() + b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"


def stops_within_a_row(array: NDArray) -> bool:
    """Whether stored pixels (rows, columns) read like a file that was copied in part and filled up with zeros.

    The last row that is not zero ends well before the three rows above it, which end at one place. A round field of
    view or a body on black does not look so: there the rows above end further and further out.
    """
    last = next((row for row in range(len(array) - 1, -1, -1) if array[row].any()), -1)
    if last < 3 or last > len(array) - 3:
        return False
    filled = array[last - 3 : last + 1] != 0
    if not filled.any(axis=1).all():
        return False
    columns = filled.shape[1]
    *above, end = (columns - 1 - np.argmax(row[::-1]) for row in filled)
    first = np.argmax(filled, axis=1)
    return bool(np.ptp(above) <= 2 and np.ptp(first) <= 2 and min(above) - end > columns // 32)


def _padding(array: NDArray, coding: Coding) -> Padding:
    """Where the stored pixels equal PixelPaddingValue (signed or not), or lie in its range."""
    value, limit = coding.padding, coding.padding_limit
    if value is None:
        return Padding(np.zeros(array.shape, dtype=bool), False)
    modulus = 1 << coding.bits_allocated
    unsigned = value % modulus
    if limit is None:
        return Padding((array == unsigned) | (array == unsigned - modulus), False)
    signed = coding.pixel_representation == 1
    ends = [end - modulus * (signed and 2 * end >= modulus) for end in (unsigned, limit % modulus)]
    return Padding((array >= min(ends)) & (array <= max(ends)), True)


def _from_corners(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The parts of a mask (rows, columns) that reach a corner: around a field of view, and not within the body."""
    from scipy import ndimage

    parts, _ = ndimage.label(mask)
    corners = {int(parts[j, i]) for j in (0, -1) for i in (0, -1)} - {0}
    found: NDArray[np.bool_] = np.isin(parts, list(corners))
    return found


def _used_bits(array: NDArray, coding: Coding) -> NDArray:
    """The stored bits alone, sign extended; what lies above them may be an overlay."""
    bits_stored, signed = coding.bits_stored, coding.pixel_representation == 1
    low_bit = coding.high_bit - bits_stored + 1
    if not 1 <= bits_stored <= 32 or low_bit < 0:
        raise DamagedSliceError("BitsStored and HighBit contradict one another")
    lowest = -(1 << (bits_stored - 1)) if signed else 0
    if low_bit == 0 and lowest <= array.min() and array.max() < lowest + (1 << bits_stored):
        return array
    values = (array.astype(np.int64) >> low_bit) & ((1 << bits_stored) - 1)
    return np.where(values >= lowest + (1 << bits_stored), values - (1 << bits_stored), values)
