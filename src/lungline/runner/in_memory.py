"""Steps of the pipeline on a volume in memory, in a process that is another's: a notebook, a program."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lungline.errors import LunglineError, Quarantine, lack_of_the_disk
from lungline.imaging.acquisition import describe_acquisition
from lungline.imaging.chest_gate import check_chest
from lungline.imaging.volume import Volume
from lungline.names import Device
from lungline.readers.only_scan import not_usable
from lungline.readers.raw import check_affine, check_size, hu_int16
from lungline.readers.scan import hash_of_hu
from lungline.runner.one_scan import through_steps
from lungline.storage import hdf5
from lungline.storage.hdf5 import Header, volume_field
from lungline.storage.scan_rows import ScanRow
from lungline.workflow.bundle import Bundle
from lungline.workflow.steps import Step, steps_of_scan

_LOG = logging.getLogger("lungline")


def steps_on_volume(
    volume: Volume, work: Path, recipe: Bundle, last: str, device: Device, scan: str
) -> dict[str, Path]:
    """Take a CT (any real numbers, HU) through the steps after `ingest`, up to the step `last`: the file of each.

    `LunglineError` if it is none of a chest, or a step says that it is not usable.
    """
    row = ScanRow(scan, "nifti", "folder", "test")
    if volume.array.dtype.kind not in "iuf":
        raise LunglineError(f"expected a CT in HU, as integers or floats. Got an array of {volume.array.dtype}.")
    try:
        check_size(*volume.shape_zyx[::-1])
        check_affine(volume.affine[:, [2, 1, 0, 3]])
        lps = volume.to_lps()
        ct = lps.with_array(hu_int16(lps.array))
        check_chest(ct)
    except Quarantine as reason:
        raise not_usable("volume", reason.flag, reason.detail) from None
    about = {"hu_sha256": hash_of_hu(ct), "acquisition": describe_acquisition(ct)}
    ingested = Header("ct_hu", "ingest", provenance=about)
    hdf5.write_file(work / "ingest" / f"{scan}.h5", ingested, {"ct": volume_field(ct, "HU", "CT in LPS order")})
    steps = steps_of_scan(recipe.settings)
    names = [step.name for step in steps]
    return made_by_steps(row, steps[names.index("ingest") + 1 : names.index(last) + 1], recipe, work, device, "volume")


def made_by_steps(
    row: ScanRow,
    steps: Sequence[Step],
    recipe: Bundle,
    work: Path,
    device: Device,
    subject: object,
    raw: Path | None = None,
    given: Mapping[str, Path] | None = None,
) -> dict[str, Path]:
    """The file of each step. `LunglineError`, which begins with `subject`, if a scan is not usable."""
    made = {}
    with _torch_left_alone(steps):
        run = through_steps(row, steps, recipe, work, device=device, raw=raw, given=given, show=_LOG.info)
        for name, path in run:
            made[name] = path
            for flag in hdf5.read_header(path).flags if path.suffix == ".h5" else ():
                if flag.flag.startswith("Q_"):
                    raise not_usable(subject, flag.flag, flag.detail)
    return made


@contextmanager
def _torch_left_alone(steps: Sequence[Step]) -> Iterator[None]:
    """Give PyTorch back its seeds, threads and modes afterwards: steps set their own, and the process is another's."""
    if not any("device" in step.params for step in steps):
        yield
        return
    import torch

    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    is_ours = "OMP_NUM_THREADS" not in os.environ
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    try:
        with torch.random.fork_rng(devices=gpus):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(mode)
        if is_ours:
            os.environ.pop("OMP_NUM_THREADS", None)


@contextmanager
def work_folder() -> Iterator[Path]:
    """A private folder for the files of the steps, gone afterwards; a full disk is one line."""
    try:
        with tempfile.TemporaryDirectory(prefix="lungline-") as folder:
            yield Path(folder)
    except (OSError, RuntimeError) as error:
        if lack := lack_of_the_disk(error):
            raise LunglineError(f"{lack} for temporary files. Make room there ($TMPDIR) and try again.") from error
        raise
