"""NIfTI files. Their world is RAS (x to the right, y to the front); ours is LPS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lungline.errors import Quarantine
from lungline.io.raw import RawImage, check_affine, check_size

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_MM_OR_UNKNOWN = (0, 2)  # codes of the spatial unit
_REPAIRED = 30  # nibabel's level of faults in a header that it would mend by itself


@contextmanager
def _strict() -> Iterator[None]:
    """nibabel without its repairs, which are guesses, and without its words, which quote the header."""
    from nibabel import imageglobals

    imageglobals.logger.disabled = True
    try:
        with imageglobals.ErrorLevel(_REPAIRED):
            yield
    finally:
        imageglobals.logger.disabled = False


def read_nifti(path: Path) -> RawImage:
    """Read a .nii or .nii.gz with its scale applied.

    Raises
    ------
    Quarantine
        `Q_BAD_NIFTI` not readable, not three-dimensional or not of numbers; `Q_NO_GEOMETRY` neither sform nor
        qform; `Q_LIMIT`, `Q_BAD_SPACING`, `Q_BAD_DIRECTION`.
    """
    import nibabel  # 0.3 s that only users of NIfTI wait for

    try:
        with _strict():
            image = nibabel.nifti1.load(Path(path).resolve())
        header = image.header
        shape = [int(n) for n in header.get_data_shape()]
        codes = int(header["sform_code"]), int(header["qform_code"])
        unit = int(header["xyzt_units"]) & 7
        affine_ras = np.asarray(image.affine, dtype=np.float64)
        kind = header.get_data_dtype().kind
    except Exception as error:  # nibabel lets through what zlib, struct and numpy raise
        raise Quarantine("Q_BAD_NIFTI", f"the header cannot be read ({type(error).__name__})") from None
    if len(shape) < 3 or any(n != 1 for n in shape[3:]) or kind not in "iuf":
        raise Quarantine("Q_BAD_NIFTI", f"expected one volume of numbers. Got shape {shape}")
    check_size(*shape[:3])
    if not any(codes) or unit not in _MM_OR_UNKNOWN:
        raise Quarantine("Q_NO_GEOMETRY", "the header has neither sform nor qform, or its unit is not mm")
    affine = _RAS_TO_LPS @ affine_ras
    check_affine(affine)
    try:
        array = np.asanyarray(image.dataobj).reshape(shape[:3], order="F")
    except Exception as error:
        raise Quarantine("Q_BAD_NIFTI", f"the voxels cannot be read ({type(error).__name__})") from None
    return RawImage(array.T, affine)
