"""What a folder holds beside its scans, by kind, so that nothing that might be one is passed over in silence."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from lungline.scan_formats import FORMATS, source_of_name

_ARCHIVE, _IMAGE = "archives not opened (unpack them)", "images of a format not read"
_VOXELS = "voxels without a header"
#: A line of `Census.told` that counts a zip.
NO_SCANS = "zips without a scan|"
_HIDDEN, _LIST, _OTHER = "hidden files", "DICOMDIR", "other files"
#: Kind of a file and the suffixes, which tell nothing about a patient.
_KINDS = {
    _ARCHIVE: ".gz .tgz .tar .7z .rar .bz2 .tbz .xz .txz .zst .lz4 .iso .cab .z",
    _IMAGE: ".nrrd .nhdr .hdr .mnc .mgz .mgh .vtk .vti .tif .tiff .npy .npz .h5 .hdf5 .nc .mat .par .rec "
    ".pic .am .dat .ge .sdt .spr .gipl .hnd .his .xdr .v .inr .isq .vol",
    _VOXELS: ".raw .zraw .img .bin",
    "pictures": ".jpg .jpeg .png .bmp .gif .webp .svg .ico .jp2 .j2k .heic",
    "films": ".avi .mp4 .mpg .mpeg .mov .wmv .mkv",
    "models and contours": ".stl .obj .ply .seg .rtss .acsv .fcsv .mrml .mrb",
    "texts and tables": ".txt .csv .tsv .json .xml .yaml .yml .pdf .doc .docx .xls .xlsx .html .htm .md .rtf .log "
    ".ini .inf .bval .bvec .cfg .css .js",
    "programs": ".exe .dll .bat .sh .py .jar .so .class .com .lnk .cmd .msi .db .sqlite .ds_store",
}
_KIND_OF = {suffix: kind for kind, suffixes in _KINDS.items() for suffix in suffixes.split()}


def kind_of_file(name: str) -> str:
    """The kind of a file that is no scan, by its name; "" where the name tells nothing."""
    path = PurePath(name)
    if path.name.startswith("."):
        return _HIDDEN
    return _LIST if path.name.upper() == "DICOMDIR" else _KIND_OF.get(path.suffix.lower(), "")


@dataclass
class Census:
    """Files that were passed over: how many of each kind, and of each suffix that is known."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def pass_over(self, names: Iterable[str], scans: Sequence[str] = (), *, dicom: bool = False) -> None:
        """Count files of one folder that are no scans, beside those that are.

        Of a folder of `dicom` only those whose names say that they are something else.
        """
        ours = {suffix for name in scans for suffix in FORMATS[source_of_name(name)].companions}
        for name in names:
            lower, kind = name.lower(), kind_of_file(name)
            if kind == _VOXELS and any(lower.endswith(suffix) for suffix in ours):
                continue
            if lower.endswith((".img.gz", ".raw.gz")) and any(lower.endswith(suffix) for suffix in ours):
                continue
            if kind or not dicom:
                suffix = PurePath(lower).suffix if kind in _KINDS else ""
                self.counts[kind or _OTHER, suffix] += 1

    def add(self, counts: Mapping[str, int]) -> None:
        """Add what `told` has said of another place."""
        for line, count in counts.items():
            kind, _, suffix = line.partition("|")
            self.counts[kind, suffix] += count

    def told(self) -> dict[str, int]:
        """The counts as JSON can hold them."""
        return {f"{kind}|{suffix}": count for (kind, suffix), count in self.counts.items()}

    def in_words(self) -> str:
        """All kinds in one line; "nothing" where there is none."""
        kinds: dict[str, Counter[str]] = {}
        for (kind, suffix), count in self.counts.items():
            kinds.setdefault(kind, Counter())[suffix] += count
        order = [*_KINDS, NO_SCANS[:-1], _LIST, _OTHER, _HIDDEN]
        told = []
        for kind in sorted(kinds, key=order.index):
            suffixes = " ".join(suffix for suffix in sorted(kinds[kind]) if suffix)
            told.append(f"{sum(kinds[kind].values())} {kind}{f' ({suffixes})' if suffixes else ''}")
        return ", ".join(told) or "nothing"
