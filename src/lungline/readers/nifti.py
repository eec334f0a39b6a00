"""NIfTI files. Their world is RAS (x to the right, y to the front); ours is LPS.

nibabel reads the header, strictly. The voxels are read here, so that the file is read to its very end: only
there stands the checksum of a compressed one.
"""

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np
from numpy.typing import NDArray

from lungline import limits
from lungline.errors import Quarantine
from lungline.readers.raw import RawImage, check_affine, check_size
from lungline.scan_formats import is_sniffed, scan_suffix

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_UNITS = {1: "metres", 3: "micrometres"}
_MM_OR_UNKNOWN = (0, 2)  # flags of the spatial unit
_REPAIRED = 30  # nibabel's level of faults in a header that it would mend by itself
_SIZES = {348: 1, 540: 2}  # bytes of a header, and the version of NIfTI that has it
_COUNT_AT = {348: slice(40, 42), 540: slice(16, 24)}  # bytes of dim[0] in either
_ALONE, _PAIR = (b"n+1\0", b"n+2\0"), (b"ni1\0", b"ni2\0")
_LONGEST = 120  # characters of what nibabel says
_MAX_OFFSET = limits.MAX_NIFTI_OFFSET
_SAME_SPACING = 0.01  # part by which pixdim and the affine may differ
_SAME_PLACE_MM = 0.1  # by which the corners of sform and qform may differ


@dataclass(frozen=True)
class NiftiHeader:
    """nibabel's header, the type of the voxels, and where they lie."""

    fields: Any
    kind: np.dtype
    #: Bytes of the header itself.
    size: int
    #: Whether the voxels lie in an .img beside it.
    is_pair: bool


def read_nifti(path: Path) -> RawImage:
    """Read a .nii or .nii.gz, or a .hdr with its .img, of NIfTI-1 or NIfTI-2, with its scale applied.

    `Quarantine` with `Q_BAD_NIFTI` not readable, damaged, not three-dimensional or not of numbers; `Q_NO_GEOMETRY`
    neither sform nor qform, or not the same in both, or not in mm; `Q_BAD_RESCALE`, `Q_LIMIT`, `Q_BAD_SPACING`,
    `Q_BAD_DIRECTION`.
    """
    path = Path(path).resolve()
    with _opened(path) as stream:
        header = _read_header(stream)
        fields, kind = header.fields, header.kind
        shape = [int(n) for n in fields.get_data_shape()]
        if len(shape) < 3 or any(n != 1 for n in shape[3:]) or kind.kind not in "iuf":
            raise Quarantine("Q_BAD_NIFTI", f"expected one volume of numbers. Got shape {shape}")
        columns, rows, slices = shape[:3]
        slope, intercept = _scale(fields)
        scaled = (slope, intercept) != (1.0, 0.0)
        check_size(columns, rows, slices, max(kind.itemsize, 4 if scaled else 0))
        affine = _affine(fields, shape[:3])
        check_affine(affine)
        count = columns * rows * slices
        if not header.is_pair:
            array = _read_voxels(stream, header, header.size, count)
    if header.is_pair:
        with _opened(_image_beside(path)) as stream:
            array = _read_voxels(stream, header, 0, count)
    voxels = array.reshape(slices, rows, columns)
    if scaled:
        voxels = voxels.astype(np.float64 if kind.itemsize > 4 else np.float32)
        voxels *= slope
        voxels += intercept
    return RawImage(voxels.astype(voxels.dtype.newbyteorder("="), copy=False), affine)


def files_of(path: Path) -> list[Path]:
    """The file itself, and the .img that belongs to a .hdr."""
    path = Path(path).resolve()
    try:
        return [path, _image_beside(path)] if is_sniffed(path.name) else [path]
    except Quarantine:
        return [path]


def begins_as_nifti(start: bytes) -> bool:
    """Whether these are the first bytes, unpacked, of a header of NIfTI, or of the older Analyze."""
    return len(start) >= 4 and any(int.from_bytes(start[:4], order) in _SIZES for order in ("little", "big"))


def image_names(path: Path) -> list[str]:
    """What the file of the voxels may be called that belong to a header NAME.hdr or NAME.hdr.gz."""
    suffix = scan_suffix(path.name)
    stem = path.name[: len(path.name) - len(suffix)]
    image, packed = (".IMG", ".GZ") if suffix[:4].isupper() else (".img", ".gz")
    ends = [f"{image}{suffix[4:]}", image, f"{image}{packed}", f"{image}.gz", ".img", ".img.gz"]
    return [f"{stem}{end}" for end in dict.fromkeys(ends)] if suffix else []


def _image_beside(path: Path) -> Path:
    """The voxels that belong to a header NAME.hdr: NAME.img, packed or not, in the same folder."""
    for name in image_names(path):
        found = path.with_name(name)
        if found.is_file() and found.resolve().parent == path.parent:
            return found.resolve()
    raise Quarantine("Q_BAD_NIFTI", "the header says that the voxels lie in an .img beside it, and there is none")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file's content, inflated where it is compressed; every fault of the compression is one of the file."""
    with open(path, "rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            yield cast(BinaryIO, gzip.GzipFile(fileobj=file)) if compressed else file
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise Quarantine("Q_BAD_NIFTI", f"the file is damaged or ends too early ({type(error).__name__})") from None


def _read_header(stream: BinaryIO) -> NiftiHeader:
    """The header, of either version of NIfTI.

    nibabel would repair faults, which is guessing, and name them in a log, which quotes the header.
    """
    import nibabel  # 0.3 s that only users of NIfTI wait for
    from nibabel import imageglobals

    start = stream.read(4)
    order: Literal["little", "big"] = "little" if int.from_bytes(start, "little") in _SIZES else "big"
    size = int.from_bytes(start, order)
    if size not in _SIZES:
        raise Quarantine("Q_BAD_NIFTI", "the file does not begin with the header of a NIfTI")
    block = start + stream.read(size - 4)
    dimensions = int.from_bytes(block[_COUNT_AT[size]], order, signed=True)
    if (
        len(block) == size and not 3 <= dimensions <= 7
    ):  # nibabel would take it for the other byte order, and find fault elsewhere
        raise Quarantine("Q_BAD_NIFTI", f"dim[0], the number of dimensions, is {dimensions}; expected 3 to 7")
    magic = block[344:348] if size == 348 else block[4:8]
    if magic not in (_ALONE[_SIZES[size] - 1], _PAIR[_SIZES[size] - 1]):
        raise Quarantine("Q_BAD_NIFTI", "the header carries no mark of NIfTI (Analyze says nothing of the orientation)")
    kind = nibabel.nifti1.Nifti1Header if size == 348 else nibabel.nifti2.Nifti2Header
    imageglobals.logger.disabled = True
    try:
        as_stored = kind(block, check=False)
        _scale(as_stored)
        if np.isnan(as_stored["scl_slope"]):
            as_stored["scl_slope"], as_stored["scl_inter"] = 1, 0
        with imageglobals.ErrorLevel(_REPAIRED):
            header = kind(as_stored.binaryblock, endianness=as_stored.endianness)
        if int(header["qform_code"]) and float(as_stored["pixdim"][0]) not in (-1.0, 0.0, 1.0):
            raise Quarantine("Q_NO_GEOMETRY", "pixdim[0] must be -1 or 1: it says how the qform turns")
        return NiftiHeader(header, header.get_data_dtype(), size, magic in _PAIR)
    except Quarantine:
        raise
    except nibabel.spatialimages.HeaderDataError as error:  # says which number is wrong; no text of the header is one
        raise Quarantine("Q_BAD_NIFTI", f"the header is not valid: {' '.join(str(error).split())[:_LONGEST]}") from None
    except Exception as error:  # nibabel lets through what struct and numpy raise
        raise Quarantine("Q_BAD_NIFTI", f"the header cannot be read ({type(error).__name__})") from None
    finally:
        imageglobals.logger.disabled = False


def _scale(header: Any) -> tuple[float, float]:
    """Slope and intercept; a slope of 0, or none (NaN), means that the voxels are stored as they are."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if math.isnan(slope) and math.isfinite(intercept) and intercept != 0:  # readers do not agree on what it means
        raise Quarantine("Q_BAD_RESCALE", f"scl_inter is {intercept:g} beside a scl_slope that is no number")
    if slope == 0 or math.isnan(slope):
        return 1.0, 0.0
    if not math.isfinite(slope) or slope < 0:
        raise Quarantine("Q_BAD_RESCALE", f"scl_slope is {slope:g}; expected a number above 0")
    if not math.isfinite(intercept):
        raise Quarantine("Q_BAD_RESCALE", f"scl_inter is {intercept:g} beside scl_slope {slope:g}; expected a number")
    return slope, intercept


def _affine(header: Any, shape: list[int]) -> NDArray[np.float64]:
    """Index (i, j, k) to world, LPS. Where sform and qform both stand there, they must say the same."""
    if (unit := int(header["xyzt_units"]) & 7) not in _MM_OR_UNKNOWN:
        known = _UNITS.get(unit, "none that NIfTI knows")
        raise Quarantine("Q_NO_GEOMETRY", f"the unit of length (xyzt_units) is {known}, not mm")
    try:
        forms = header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
    except Exception as error:  # a quaternion that is none
        raise Quarantine("Q_NO_GEOMETRY", f"the qform cannot be read ({type(error).__name__})") from None
    found = [form for form in forms if form is not None]
    if not found:
        raise Quarantine("Q_NO_GEOMETRY", "the header has neither sform nor qform")
    ends = np.array(np.meshgrid(*([0, n - 1] for n in shape))).reshape(3, 8)
    corners = np.vstack([ends, np.ones(8)])  # homogeneous index of the eight corner voxels
    apart = np.abs(found[0] @ corners - found[-1] @ corners).max()
    if not apart <= _SAME_PLACE_MM:
        raise Quarantine("Q_NO_GEOMETRY", f"sform and qform put a corner of the image {apart:.2f} mm apart")
    spacing, stated = np.linalg.norm(found[0][:3, :3], axis=0), np.asarray(header["pixdim"][1:4], dtype=np.float64)
    if not np.allclose(spacing, stated, rtol=_SAME_SPACING):
        raise Quarantine("Q_NO_GEOMETRY", f"pixdim says {stated.round(4)} mm, the affine {spacing.round(4)} mm")
    return np.asarray(_RAS_TO_LPS @ found[0], dtype=np.float64)


def _read_voxels(stream: BinaryIO, header: NiftiHeader, read: int, count: int) -> NDArray:
    """Exactly the voxels that the header announces, with nothing after them; `read` bytes of the file are read."""
    offset = float(header.fields["vox_offset"])
    least = read + 4 if read else 0
    if not least <= offset <= _MAX_OFFSET or not offset.is_integer():
        raise Quarantine("Q_BAD_NIFTI", f"the voxels start at byte {offset:g}; expected {least} or a little more")
    stream.read(int(offset) - read)
    wanted = count * header.kind.itemsize
    raw = stream.read(wanted)
    if stream.read(1):
        raise Quarantine("Q_BAD_NIFTI", "there are more bytes than the header announces")
    if len(raw) < wanted:
        raise Quarantine("Q_BAD_NIFTI", f"the file holds {len(raw)} bytes of voxels; the header announces {wanted}")
    return np.frombuffer(raw, header.kind)
