"""NIfTI files. Their world is RAS (x to the right, y to the front); ours is LPS.

nibabel reads the header, strictly. The voxels are read here, so that the file is read to its very end: only
there stands the checksum of a compressed one.
"""

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from lungline.errors import Quarantine
from lungline.readers.raw import RawImage, check_affine, check_size

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_MM_OR_UNKNOWN = (0, 2)  # flags of the spatial unit
_REPAIRED = 30  # nibabel's level of faults in a header that it would mend by itself
_HEADER_BYTES = 348
_MAX_OFFSET = 1 << 24  # of the voxels: extensions lie before them
_SAME_SPACING = 0.01  # part by which pixdim and the affine may differ
_SAME_PLACE_MM = 0.1  # by which the corners of sform and qform may differ


def read_nifti(path: Path) -> RawImage:
    """Read a .nii or .nii.gz with its scale applied.

    `Quarantine` with `Q_BAD_NIFTI` not readable, damaged, not three-dimensional or not of numbers; `Q_NO_GEOMETRY`
    neither sform nor qform, or not the same in both, or not in mm; `Q_BAD_RESCALE`, `Q_LIMIT`, `Q_BAD_SPACING`,
    `Q_BAD_DIRECTION`.
    """
    with _opened(Path(path).resolve()) as stream:
        header, kind = _read_header(stream)
        shape = [int(n) for n in header.get_data_shape()]
        if len(shape) < 3 or any(n != 1 for n in shape[3:]) or kind.kind not in "iuf":
            raise Quarantine("Q_BAD_NIFTI", f"expected one volume of numbers. Got shape {shape}")
        columns, rows, slices = shape[:3]
        slope, intercept = _scale(header)
        scaled = (slope, intercept) != (1.0, 0.0)
        check_size(columns, rows, slices, max(kind.itemsize, 4 if scaled else 0))
        affine = _affine(header, shape[:3])
        check_affine(affine)
        array = _read_voxels(stream, int(header["vox_offset"]), kind, columns * rows * slices)
    voxels = array.reshape(slices, rows, columns)
    if scaled:
        voxels = voxels.astype(np.float64 if kind.itemsize > 4 else np.float32)
        voxels *= slope
        voxels += intercept
    return RawImage(voxels.astype(voxels.dtype.newbyteorder("="), copy=False), affine)


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


def _read_header(stream: BinaryIO) -> tuple[Any, np.dtype]:
    """nibabel's header and the type of the voxels.

    nibabel would repair faults, which is guessing, and name them in a log, which quotes the header.
    """
    import nibabel  # 0.3 s that only users of NIfTI wait for
    from nibabel import imageglobals

    block = stream.read(_HEADER_BYTES)
    imageglobals.logger.disabled = True
    try:
        with imageglobals.ErrorLevel(_REPAIRED):
            header = nibabel.nifti1.Nifti1Header(block)
        as_stored = nibabel.nifti1.Nifti1Header(block, check=False)
        if int(header["qform_code"]) and float(as_stored["pixdim"][0]) not in (-1.0, 0.0, 1.0):
            raise Quarantine("Q_NO_GEOMETRY", "pixdim[0] must be -1 or 1: it says how the qform turns")
        if block[344:348] != b"n+1\0":
            raise Quarantine("Q_BAD_NIFTI", "the voxels are said to lie in another file, or it is no NIfTI")
        return header, header.get_data_dtype()
    except Quarantine:
        raise
    except Exception as error:  # nibabel lets through what struct and numpy raise
        raise Quarantine("Q_BAD_NIFTI", f"the header cannot be read ({type(error).__name__})") from None
    finally:
        imageglobals.logger.disabled = False


def _scale(header: Any) -> tuple[float, float]:
    """Slope and intercept; a slope of 0 means that the voxels are stored as they are."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0:
        return 1.0, 0.0
    if not (math.isfinite(slope) and math.isfinite(intercept) and slope > 0):
        raise Quarantine("Q_BAD_RESCALE", "scl_slope or scl_inter is not finite, or the slope is negative")
    return slope, intercept


def _affine(header: Any, shape: list[int]) -> NDArray[np.float64]:
    """Index (i, j, k) to world, LPS. Where sform and qform both stand there, they must say the same."""
    if int(header["xyzt_units"]) & 7 not in _MM_OR_UNKNOWN:
        raise Quarantine("Q_NO_GEOMETRY", "the unit of length is not mm")
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


def _read_voxels(stream: BinaryIO, offset: int, kind: np.dtype, count: int) -> NDArray:
    """Exactly the voxels that the header announces, with nothing after them."""
    if not _HEADER_BYTES + 4 <= offset <= _MAX_OFFSET:
        raise Quarantine("Q_BAD_NIFTI", f"the voxels start at byte {offset}; expected 352 or a little more")
    stream.read(offset - _HEADER_BYTES)
    wanted = count * kind.itemsize
    raw = stream.read(wanted)
    if stream.read(1):
        raise Quarantine("Q_BAD_NIFTI", "there are more bytes than the header announces")
    if len(raw) < wanted:
        raise Quarantine("Q_BAD_NIFTI", f"the file holds {len(raw)} bytes of voxels; the header announces {wanted}")
    return np.frombuffer(raw, kind)
