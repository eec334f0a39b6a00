"""Volumes as NRRD files, for viewers and other programs."""

from pathlib import Path

import numpy as np

from lungline import NOTICE, __version__
from lungline.imaging import geometry
from lungline.imaging.volume import Volume
from lungline.storage.checksums import atomic_path


def write_nrrd(volume: Volume, path: Path) -> None:
    """Write a volume as `.nrrd` (gzip, LPS), on its own grid, whole or not at all; same content, same bytes."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(volume.array.view(np.uint8) if volume.array.dtype == bool else volume.array)
    image.SetSpacing(volume.spacing_zyx_mm[::-1].tolist())
    image.SetOrigin(volume.affine[:3, 3].tolist())
    image.SetDirection(geometry.direction(volume.affine)[:, ::-1].ravel().tolist())
    image.SetMetaData("notice", f"lungline {__version__}. {NOTICE}")
    with atomic_path(path) as temporary:
        packed = temporary.with_suffix(".nrrd")  # by its suffix SimpleITK knows the format
        try:
            sitk.WriteImage(image, packed, useCompression=True)
            packed.rename(temporary)
        finally:
            packed.unlink(missing_ok=True)
