"""The pixels of one DICOM slice: decoded bit by bit as they were stored, then as HU."""

import struct
import tempfile
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
from lungline.readers.dicom_headers import CT, DEFLATED, Slice, check_inflated_size, read_dataset
from lungline.readers.raw import AIR_HU, hu_int16

_NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", DEFLATED}
_RLE = {"1.2.840.10008.1.2.5"}
_JPEG = {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 53, 55, 57, 70)}
_JPEG_LS = {f"1.2.840.10008.1.2.4.{n}" for n in (80, 81)}
_JPEG_2000 = {f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203)}  # the last three: high throughput
SUPPORTED = _NATIVE | _RLE | _JPEG | _JPEG_LS | _JPEG_2000
LOSSY = {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 53, 55, 81, 91, 203)}  # 91 and 203 may be
_BIT_WORDS = ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
_MAX_SLICE_BYTES = limits.MAX_SLICE_BYTES
_MAX_FRAMES_BYTES = limits.MAX_FRAMES_BYTES
_MAX_CT_HU = 3071  # the highest HU of a 12-bit scanner


class DamagedSliceError(Exception):
    """The pixels of one slice cannot be decoded."""


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
        state = item.path.stat()
        dataset = _dataset(item.path, state.st_size, state.st_mtime_ns)
        array = np.asarray(_decode(dataset, item))
        if array.shape != (item.rows, item.columns) or array.dtype.kind not in "iu":
            raise DamagedSliceError("the pixels have another shape or type than the header says")
        if stops_within_a_row(array):
            raise DamagedSliceError("the pixels turn to zero within a row and stay so")
        signed = dataset.PixelRepresentation == 1
        used = _used_bits(array, int(dataset.BitsStored), int(dataset.HighBit), signed)
        return used, _padding(used, dataset)
    except (DamagedSliceError, Quarantine, OSError, MemoryError):
        raise
    except Exception as error:  # pydicom and its decoders raise about nine kinds of exception
        raise DamagedSliceError(type(error).__name__) from None


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
        if stream_size(stream) != (item.rows, item.columns):
            raise DamagedSliceError("the compressed stream has another size than the header says")
        if item.syntax in _JPEG:
            return _decode_by_itk(dataset, stream)
    return pydicom.pixels.pixel_array(dataset, index=item.frame, raw=True, correct_unused_bits=False)


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


def _decode_by_itk(dataset: Dataset, stream: bytes) -> NDArray:
    """Decode JPEG through SimpleITK, which sees a new file with nothing in it but the pixels.

    Stored values are wanted, which the photometric interpretation does not touch; ITK would invert MONOCHROME1.
    """
    import SimpleITK as sitk

    bare = Dataset()
    for key in ("Rows", "Columns", "SamplesPerPixel", *_BIT_WORDS):
        bare[key] = dataset[key]
    bare.PhotometricInterpretation = "MONOCHROME2"
    bare.PixelData = pydicom.encaps.encapsulate([stream])
    bare["PixelData"].VR = "OB"
    bare["PixelData"].is_undefined_length = True
    bare.SOPClassUID, bare.SOPInstanceUID, bare.Modality = UID(CT), UID("1.2.3"), "CT"
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    bare.file_meta.MediaStorageSOPClassUID = UID(CT)
    bare.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slice.dcm"
        bare.save_as(path, enforce_file_format=True)
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        array = sitk.GetArrayFromImage(reader.Execute())
    return array[0] if array.ndim == 3 else array


def stops_within_a_row(array: NDArray) -> bool:
    """Whether stored pixels (rows, columns) read like a file that was copied in part and filled up with zeros.

    The last row that is not zero ends well before the three rows above it, which end at one place. A round field of
    view or a body on black does not look so: there the rows above end further and further out.
    """
    last = int(np.flatnonzero(array.any(axis=1)).max(initial=-1))
    if last < 3 or last > len(array) - 3:
        return False
    filled = array[last - 3 : last + 1] != 0
    if not filled.any(axis=1).all():
        return False
    columns = filled.shape[1]
    *above, end = (columns - 1 - np.argmax(row[::-1]) for row in filled)
    first = np.argmax(filled, axis=1)
    return bool(np.ptp(above) <= 2 and np.ptp(first) <= 2 and min(above) - end > columns // 32)


def _padding(array: NDArray, dataset: Dataset) -> Padding:
    """Where the stored pixels equal PixelPaddingValue (signed or not), or lie in its range."""
    value, limit = dataset.get("PixelPaddingValue"), dataset.get("PixelPaddingRangeLimit")
    if not isinstance(value, int):
        return Padding(np.zeros(array.shape, dtype=bool), False)
    modulus = 1 << int(dataset.BitsAllocated)
    unsigned = value % modulus
    if not isinstance(limit, int):
        return Padding((array == unsigned) | (array == unsigned - modulus), False)
    signed = dataset.PixelRepresentation == 1
    ends = [end - modulus * (signed and 2 * end >= modulus) for end in (unsigned, limit % modulus)]
    return Padding((array >= min(ends)) & (array <= max(ends)), True)


def _from_corners(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The parts of a mask (rows, columns) that reach a corner: around a field of view, and not within the body."""
    from scipy import ndimage

    parts, _ = ndimage.label(mask)
    corners = {int(parts[j, i]) for j in (0, -1) for i in (0, -1)} - {0}
    found: NDArray[np.bool_] = np.isin(parts, list(corners))
    return found


def _used_bits(array: NDArray, bits_stored: int, high_bit: int, signed: bool) -> NDArray:
    """The stored bits alone, sign extended; what lies above them may be an overlay."""
    low_bit = high_bit - bits_stored + 1
    if not 1 <= bits_stored <= 32 or low_bit < 0:
        raise DamagedSliceError("BitsStored and HighBit contradict one another")
    lowest = -(1 << (bits_stored - 1)) if signed else 0
    if low_bit == 0 and lowest <= array.min() and array.max() < lowest + (1 << bits_stored):
        return array
    values = (array.astype(np.int64) >> low_bit) & ((1 << bits_stored) - 1)
    return np.where(values >= lowest + (1 << bits_stored), values - (1 << bits_stored), values)
