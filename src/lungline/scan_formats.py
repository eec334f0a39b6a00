"""The one list of the formats that a scan may have.

A new one is an entry here, and a module that reads it, which `lungline.readers.by_format` names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal


@dataclass(frozen=True)
class ScanFormat:
    """A format of images."""

    #: Ends of names, in lower case, by which a file is a scan by itself; none for DICOM, where a folder is one.
    suffixes: tuple[str, ...] = ()
    #: Of files that belong to those, and are no scan by themselves.
    companions: tuple[str, ...] = ()
    #: Ends of names that are a scan only if the file begins as one.
    sniffed: tuple[str, ...] = ()


#: By the word that stands under `source` in a manifest.
FORMATS: Mapping[str, ScanFormat] = {
    "dicom": ScanFormat(),
    "mhd": ScanFormat((".mhd", ".mha"), companions=(".raw", ".zraw")),
    "nifti": ScanFormat((".nii", ".nii.gz"), companions=(".img", ".img.gz"), sniffed=(".hdr", ".hdr.gz")),
}

if TYPE_CHECKING:
    Source = str
else:  # the words are checked where the command line and the configuration are read
    Source = Literal[tuple(FORMATS)]

_SOURCES = {suffix: source for source, one in FORMATS.items() for suffix in (*one.suffixes, *one.sniffed)}
#: Suffixes as messages name them.
SUFFIXES_IN_WORDS = ", ".join(suffix for one in FORMATS.values() for suffix in one.suffixes)


def scan_suffix(name: str) -> str:
    """The end of a file's name, as it is written there, that says it is a scan by itself; "" where there is none."""
    lower = name.lower()
    found = max((suffix for suffix in _SOURCES if lower.endswith(suffix)), key=len, default="")
    return name[len(name) - len(found) :]


def source_of_name(name: str) -> str:
    """How to read a file that is a scan by itself."""
    return _SOURCES[scan_suffix(name).lower()]


def is_sniffed(name: str) -> bool:
    """Whether only the first bytes say that a file with such a name is a scan."""
    return scan_suffix(name).lower() in {suffix for one in FORMATS.values() for suffix in one.sniffed}
