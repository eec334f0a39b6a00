"""The Python interface: what `import lungline` offers. Research use only. Not a medical device.

Every volume is a `Volume`: an array [z, y, x] and the affine (4, 4) that takes a voxel index (z, y, x) to world
(x, y, z) in mm, LPS (x to the patient's left, y to the back, z to the head), as in DICOM and SimpleITK. Columns that
end in `_mm` are in that world. The functions run the steps of `lungline predict`, and give its answers to the byte.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path

from lungline.detection.candidates import Candidate, rank_map, read_candidates
from lungline.errors import LunglineError
from lungline.evaluation.froc_frames import FrocResult, froc
from lungline.imaging.geometry import make_affine
from lungline.imaging.resampling import resample
from lungline.imaging.volume import Volume
from lungline.names import Device
from lungline.qc_flags import format_flag
from lungline.readers.only_scan import only_scan, read_listed
from lungline.reports.answer import Answer, Detection, answer_of, candidate_frame, flag_frame
from lungline.runner.in_memory import made_by_steps, steps_on_volume, work_folder
from lungline.storage import hdf5
from lungline.storage.nifti_output import write_nifti
from lungline.storage.results import read_result
from lungline.workflow.bundle import PACKAGED, Bundle, read_bundle
from lungline.workflow.steps import CANDIDATES, maker_of, steps_of_scan

__all__ = [
    "Answer",
    "Detection",
    "FrocResult",
    "LunglineError",
    "Volume",
    "detect",
    "froc",
    "make_affine",
    "predict",
    "read_scan",
    "resample",
    "segment_lungs",
    "to_nifti",
]

PathLike = str | os.PathLike[str]

_SCAN = "scan"


def read_scan(path: PathLike) -> Volume:
    """Read a CT scan.

    Parameters
    ----------
    path : str or path-like
        A folder of DICOM files, .mhd, .mha, .nii, .nii.gz, or a zip with one of these (of several:
        `study.zip/series`).

    Returns
    -------
    Volume
        int16 HU [z, y, x] at the scanner's spacing, axes in LPS order, padding at -1024.

    Raises
    ------
    LunglineError
        If there is no scan or more than one, or it cannot be used: one line that says why and what to do.

    Warns
    -----
    UserWarning
        For each QC flag: what had to be left out, filled or corrected.

    Examples
    --------
    >>> import lungline
    >>> ct = lungline.read_scan("scan.mhd")
    >>> ct
    Volume(int16 [z, y, x] = (59, 146, 169), spacing_zyx_mm = (1.5, 0.827, 0.827), LPS)
    """
    path = _path(path)
    ct, flags = read_listed(only_scan(path), path)
    for flag in flags:
        warnings.warn(format_flag(flag.flag, flag.detail), stacklevel=2)
    return ct.with_array(ct.array.copy())  # its memory was shared with a child process, and is larger than the scan


def segment_lungs(volume: Volume) -> Volume:
    """Both lungs with all that they enclose, without a margin.

    Parameters
    ----------
    volume : Volume
        CT in HU [z, y, x], as `read_scan` gives it, or any real numbers on any grid at right angles.

    Returns
    -------
    Volume
        bool [z, y, x] on lungline's grid, 1 mm isotropic, which is that of `resample(volume)`.

    Raises
    ------
    LunglineError
        If it is no CT of a chest, or shows no lungs.

    Warns
    -----
    UserWarning
        For each QC flag of the lungs.

    Examples
    --------
    >>> import lungline
    >>> ct = lungline.read_scan("scan.mhd")
    >>> lungs = lungline.segment_lungs(ct)
    >>> lungs.shape_zyx == lungline.resample(ct).shape_zyx
    True
    """
    with work_folder() as work:
        recipe = _bundle(None)
        made = steps_on_volume(_volume(volume), work, recipe, "segment_lungs", "cpu", _SCAN)
        for flag in hdf5.read_header(made["segment_lungs"]).flags:
            warnings.warn(format_flag(flag.flag, flag.detail), stacklevel=2)
        return hdf5.read_volume(made["segment_lungs"], "lungs")


def detect(volume: Volume, *, bundle: PathLike | None = None, device: Device = "auto", scan: str = _SCAN) -> Detection:
    """Nodule candidates of a CT: those that `predict` scores.

    Parameters
    ----------
    volume : Volume
        CT in HU [z, y, x], as `read_scan` gives it, or any real numbers on any grid at right angles.
    bundle : str or path-like, optional
        `bundle/CLASSIFIER.json` of a finished run of the workflow, or the folder of an exported bundle; without it the
        models of the package.
    device : "auto", "cpu" or "cuda"
    scan : str
        What the column `scan` says: letters, digits, '.', '_', '-'.

    Returns
    -------
    Detection

    Raises
    ------
    LunglineError
        If it is no CT of a chest or shows no lungs, or the bundle has no detector.

    Examples
    --------
    >>> import lungline
    >>> found = lungline.detect(lungline.read_scan("scan.mhd"), device="cpu")
    >>> found.candidates.loc[0, ["x_mm", "y_mm", "z_mm"]].astype(float).round().tolist()
    [-26.0, -199.0, -191.0]
    >>> bool((found.labels.array == 1).sum() == found.candidates.loc[0, "n_voxels"])
    True
    """
    recipe = _bundle(bundle)
    last = maker_of(CANDIDATES, recipe.settings)
    if last is None:
        raise LunglineError(
            f"{bundle}: expected models that read candidates. '{recipe.classifier}' does not: use predict."
        )
    with work_folder() as work:
        made = steps_on_volume(_volume(volume), work, recipe, last, device, scan)
        labels = made["extract_candidates"].with_suffix(".h5")
        found = read_candidates(made[last])
        flags = flag_frame([(flag.flag, flag.detail) for flag in hdf5.read_header(labels).flags])
        return Detection(candidate_frame(scan, found), rank_map(hdf5.read_volume(labels, "labels"), found), flags)


def predict(path: PathLike, *, bundle: PathLike | None = None, device: Device = "auto", scan: str = _SCAN) -> Answer:
    """Answer one scan: the numbers of the command `lungline predict`.

    Parameters
    ----------
    path : str or path-like
        As of `read_scan`.
    bundle, device, scan
        As of `detect`.

    Returns
    -------
    Answer

    Raises
    ------
    LunglineError
        If there is no scan or more than one, or it cannot be used: one line that says why and what to do.

    Notes
    -----
    Takes about as long as the command, and some hundred megabytes of temporary files ($TMPDIR). Progress is logged
    as "lungline" (`logging`, level INFO).

    Examples
    --------
    >>> import lungline
    >>> answer = lungline.predict("scan.mhd", device="cpu")
    >>> answer  # doctest: +ELLIPSIS
    Answer(scan: malignancy score 0.8..., 20 candidates, W_LUNG_VOLUME. Research use only. Not a medical device.)
    >>> answer.cancer_probability is None  # these models learnt readers' opinion, not who has cancer
    True
    """
    path = _path(path)
    found = only_scan(path)
    recipe = _bundle(bundle)
    row = replace(found.row, scan=scan)
    steps = [step for step in steps_of_scan(recipe.settings) if step.name != "render_page"]
    with work_folder() as work:
        made = made_by_steps(row, steps, recipe, work, device, path, raw=found.path)
        table = read_result(made["describe_nodules"])
        candidates, labels = list[Candidate](), None
        if last := maker_of(CANDIDATES, recipe.settings):
            candidates = read_candidates(made[last])
            labels = hdf5.read_volume(made["extract_candidates"].with_suffix(".h5"), "labels")
            labels = rank_map(labels, candidates)
    return answer_of(scan, table, candidates, labels)


def to_nifti(volume: Volume, path: PathLike) -> Path:
    """Write a volume or a label map as NIfTI, on its own grid.

    A CT of `read_scan` has the scanner's grid; a mask or label map has lungline's, 1 mm isotropic, and a label map
    covers the lungs only. NIfTI's world is RAS: x and y change their sign, so that each voxel keeps its place.

    Parameters
    ----------
    volume : Volume
        bool is written as uint8, float16 as float32.
    path : str or path-like
        Ends in .nii or .nii.gz. A missing folder is made.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    LunglineError
        For another suffix, or an array that NIfTI cannot hold.

    Examples
    --------
    >>> import lungline, numpy
    >>> affine = lungline.make_affine((2.0, 1.0, 1.0), origin_xyz_mm=(-10.0, -20.0, 30.0))
    >>> lungline.to_nifti(lungline.Volume(numpy.zeros((3, 4, 5), bool), affine), "mask.nii.gz")
    PosixPath('mask.nii.gz')
    >>> import nibabel
    >>> nibabel.load("mask.nii.gz").affine.tolist()  # RAS
    [[-1.0, 0.0, 0.0, 10.0], [0.0, -1.0, 0.0, 20.0], [0.0, 0.0, 2.0, 30.0], [0.0, 0.0, 0.0, 1.0]]
    """
    write_nifti(_volume(volume), path := _path(path))
    return path


def _path(path: PathLike) -> Path:
    try:
        return Path(os.path.expanduser(path))
    except TypeError:
        raise LunglineError(f"expected a path (str or Path). Got {type(path).__name__}.") from None


def _bundle(path: PathLike | None) -> Bundle:
    """The models that answer: those of the package without a path."""
    here = PACKAGED if path is None else _path(path)
    return read_bundle(here / "bundle.json" if here.is_dir() else here)


def _volume(volume: Volume) -> Volume:
    if not isinstance(volume, Volume):
        raise LunglineError(f"expected a Volume, as lungline.read_scan gives it. Got {type(volume).__name__}.")
    return volume
