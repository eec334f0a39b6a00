"""Who reads a format of `lungline.scan_formats.FORMATS`; libraries are imported where they are needed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lungline.errors import LunglineError
from lungline.readers.dicom_sniff import begins_as_dicom, start_of_file
from lungline.readers.raw import RawImage
from lungline.scan_formats import FORMATS, Source, is_sniffed, scan_suffix, source_of_name

if TYPE_CHECKING:
    from lungline.storage.hdf5 import Flag


@dataclass(frozen=True)
class Reader:
    """How scans of a format are read."""

    #: The image of a scan, and `W_` flags: what had to be left out, filled or corrected. Raises `Quarantine`.
    read: "Callable[[Path], tuple[RawImage, list[Flag]]]"
    #: The files that a scan consists of, as far as that can be told.
    files_of: Callable[[Path], list[Path]]
    #: What the files may be called that lie beside a file and belong to the scan.
    names_beside: Callable[[Path], Sequence[str]] = lambda path: ()
    #: Whether the first bytes of a file with one of the format's `sniffed` suffixes are those of a scan.
    begins: Callable[[bytes], bool] = bool


def is_scan(path: Path, start_of: Callable[[Path], bytes] = start_of_file) -> bool:
    """Whether a file is a scan by itself: by its name, unless its first bytes are DICOM's or not of such a scan."""
    if not scan_suffix(path.name):
        return False
    start = start_of(path)
    if begins_as_dicom(start):
        return False
    return not is_sniffed(path.name) or reader_of(source_of_name(path.name)).begins(start)


def reader_of(source: Source) -> Reader:
    """The reader of a format; `LunglineError` for a word that means none."""
    if source == "dicom":
        from lungline.readers.dicom import read_dicom
        from lungline.readers.dicom_headers import regular_files

        return Reader(read_dicom, regular_files)
    if source == "mhd":
        from lungline.readers import metaimage

        return Reader(lambda path: (metaimage.read_metaimage(path), []), metaimage.files_of, metaimage.data_file_names)
    if source == "nifti":
        from lungline.readers import nifti

        read = nifti.read_nifti
        return Reader(lambda path: (read(path), []), nifti.files_of, nifti.image_names, nifti.begins_as_nifti)
    raise LunglineError(f"source must be one of {', '.join(FORMATS)}. Got '{source}'.")
