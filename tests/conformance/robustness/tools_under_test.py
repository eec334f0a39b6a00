"""The tools under test: each reads one raw scan as its users would and gives what it made of it.

Runs in the interpreter of the tool, so nothing of lungline is imported at the top. An answer is an array (z, y, x) and
the affine that takes its index (z, y, x, 1) to world points (x, y, z, 1) in mm, LPS.
"""

from __future__ import annotations

import importlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Answer = tuple[NDArray, NDArray[np.float64]]


class Refused(Exception):
    """The tool says in its own words that it does not use the input."""


class CrashedError(Exception):
    """The tool's own process was killed."""


def read_by_lungline(path: Path, source: str, scratch: Path, seconds: float) -> list[Answer]:
    """`lungline ingest`: only a `Q_` flag counts as a clear refusal."""
    from lungline.stages import ingest
    from lungline.storage import hdf5

    target = scratch / "scan.h5"
    ingest.run(path, target, source=source)
    codes = [f"{code.flag}: {code.detail}" for code in hdf5.read_header(target).flags]
    if any(code.startswith("Q_") for code in codes):
        raise Refused("; ".join(codes))
    (scratch / "codes.txt").write_text("; ".join(codes), encoding="utf-8")
    volume = hdf5.read_volume(target, "ct")
    return [(volume.array, volume.affine)]


def read_by_simpleitk(path: Path, source: str, scratch: Path, seconds: float) -> list[Answer]:
    """`ImageSeriesReader` on the first series of a folder, `ReadImage` on a file; ITK's own error is a refusal."""
    import SimpleITK as sitk

    try:
        if source == "dicom" and path.is_dir():
            names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path))
            if not names:
                raise Refused("no series found")
            reader = sitk.ImageSeriesReader()
            reader.SetFileNames(names)
            image = reader.Execute()
        else:
            image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise Refused(str(error).strip().splitlines()[-1]) from None
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise Refused(f"{image.GetDimension()} axes, {image.GetNumberOfComponentsPerPixel()} components")
    affine = np.eye(4)
    axes = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, :3] = axes[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    return [(sitk.GetArrayFromImage(image), affine)]


def read_by_dcm2niix(path: Path, source: str, scratch: Path, seconds: float) -> list[Answer]:
    """`dcm2niix` with its defaults; no output file is a refusal, every output file is an answer."""
    import dcm2niix

    command = [dcm2niix.bin, "-z", "n", "-b", "n", "-f", "out_%s", "-o", str(scratch), str(path)]
    done = subprocess.run(command, capture_output=True, timeout=seconds, check=False)
    words = done.stdout.decode(errors="replace").strip().splitlines()
    if done.returncode < 0:
        raise CrashedError(f"signal {-done.returncode}")
    files = sorted(scratch.glob("*.nii"))
    if not files:
        raise Refused(words[-1] if words else f"exit code {done.returncode}")
    return [answer for file in files if (answer := _nifti(file))]


def read_by_dicom2nifti(path: Path, source: str, scratch: Path, seconds: float) -> list[Answer]:
    """`dicom_series_to_nifti` with its defaults; its two exceptions are a refusal."""
    import dicom2nifti
    from dicom2nifti.exceptions import ConversionError, ConversionValidationError

    try:
        dicom2nifti.dicom_series_to_nifti(str(path), str(scratch / "out.nii"), reorient_nifti=False)
    except (ConversionError, ConversionValidationError) as error:
        raise Refused(str(error)) from None
    return [answer for file in [scratch / "out.nii"] if (answer := _nifti(file))]


def _nifti(path: Path) -> Answer | None:
    """A NIfTI file that a tool wrote, turned from RAS to LPS; None if it is not one volume of numbers."""
    import nibabel

    image = nibabel.load(path)
    if len(image.shape) != 3:
        return None
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    return np.asanyarray(image.dataobj).T, affine[:, [2, 1, 0, 3]]


Reader = Callable[[Path, str, Path, float], list[Answer]]
READERS: dict[str, Reader] = {
    "lungline": read_by_lungline,
    "SimpleITK": read_by_simpleitk,
    "dcm2niix": read_by_dcm2niix,
    "dicom2nifti": read_by_dicom2nifti,
}
#: What a tool reads at all.
SOURCES = {
    "lungline": ("dicom", "mhd", "nifti"),
    "SimpleITK": ("dicom", "mhd", "nifti"),
    "dcm2niix": ("dicom",),
    "dicom2nifti": ("dicom",),
}


#: What each reader needs.
MODULES = {
    "lungline": (
        "lungline.readers.dicom",
        "lungline.readers.metaimage",
        "lungline.readers.nifti",
        "lungline.stages.ingest",
    ),
    "SimpleITK": ("SimpleITK",),
    "dcm2niix": ("dcm2niix", "nibabel"),
    "dicom2nifti": ("dicom2nifti", "nibabel"),
}


def load(tool: str) -> None:
    """Import what a tool needs, so that each of its runs does not pay for it; ImportError if it is not there."""
    for name in MODULES[tool]:
        importlib.import_module(name)
    if tool == "lungline":
        from lungline.fingerprint import code_fingerprint

        code_fingerprint("lungline.stages.ingest")  # cached from here on, as the imports are
