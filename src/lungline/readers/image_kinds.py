"""What a CT image is, by the words of its header: a slice as scanned, a derived one, or no slice in HU at all.

Words are those of the standard (PS3.3 C.8.2.1.1.1, C.8.15.2.1.1.5, C.8.16.2, C.11.1.1.2) and of the vendors. What is
said of an image names words of this module only, never those of the header, which may hold anything.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from pydicom.dataset import Dataset

#: Header elements that are looked at, beside those of the pixels.
TAGS = (
    "ImageType", "SeriesDescription", "DerivationDescription", "DerivationCodeSequence", "RescaleType",
    "RealWorldValueMappingSequence", "VolumeBasedCalculationTechnique", "Units",
)  # fmt: skip
Use = Literal["slice", "projection", "not HU", "other"]


@dataclass(frozen=True)
class ImageKind:
    """What use an image is of, its rank among slices (0 as scanned; the higher, the later it is taken), and words."""

    use: Use
    rank: int
    words: str


def _patterns(*rows: tuple[str, Use, int, str]) -> tuple[tuple[re.Pattern[str], ImageKind], ...]:
    return tuple((re.compile(rf"\b({words})\b"), ImageKind(use, rank, kind)) for words, use, rank, kind in rows)


_PLAIN = ImageKind("slice", 0, "as scanned")
#: Writers glue what they know of a projection to its name: MIP8, 10MM_MIP, THICKMIP, MIPMPR.
_GLUED = r"\d*(?:MM|D)?|T|ST|HD|THIN|THICK|SLAB|AX|AXIAL|COR|SAG|LUNG|MPR"
_MIP = rf"(?:{_GLUED})MIPS?(?:{_GLUED})|MAX ?IPS?\d*|MAX ?INT\w*|MAX ?PROJ\w*|MAXIMUM ?INTENSIT\w*"
_MINIP = r"MIN(?:I ?| )?IPS?\d*|MNIP|MIN ?INT(?:ENS\w*)?|MIN ?PROJ\w*|MINIMUM ?INTENSIT\w*"
_MEAN_IP = r"AVERAGE|AVG|MEAN|(?:AVERAGE|AVE?|AVG|MEAN) ?IP\d*|AIP|RAY ?SUM"
#: In an image type (or frame type); the first that fits. Blanks stand for all that is no letter or digit.
_IMAGE_TYPES = _patterns(
    (r"LOCALI[SZ]ER|SCOUT\w*|TOPOGRAM|TOPO|SCANOGRAM|SURVIEW", "other", 9, "localizer"),
    (r"SCREEN ?SAVE|SCREEN ?SHOT|SCREEN ?CAPTURE|DOSE ?INFO|DOSE ?REPORT|REPORT", "other", 9, "screen capture"),
    (rf"{_MIP}|IP MAX|MAX|MAXIMUM\w*", "projection", 9, "maximum projection"),
    (rf"{_MINIP}|IP MIN|MIN|MINIMUM\w*", "projection", 9, "minimum projection"),
    (r"VOLUME RENDER\w*|SURFACE RENDER\w*|VOLREN|VRT?|SSD|3D|CURVED|CPR|CURVED MPR", "projection", 9, "rendering"),
    (r"SUBTRACT\w*|SUBTR?|DIFF|DIFFERENCE|DSA", "not HU", 9, "subtraction"),
    (r"ADDITION|DIVISION|MULTIPLICATION|STD DEV\w*", "not HU", 9, "arithmetic of images"),
    (r"IODINE|IODMAP|MAT SPECIFIC|MAT VALUE BASED|MAT FRACTIONAL", "not HU", 9, "map of a material"),
    (r"Z ?EFF\w*|EFF ATOMIC NUM|EFFECTIVE Z|EFFECTIVE ATOMIC\w*", "not HU", 9, "map of atomic numbers"),
    (r"ELECTRON ?DENSITY|RHO|RHO Z", "not HU", 9, "map of electron density"),
    (r"PERF\w*|VENTILATION|XENON|PBV|CBF|CBV|MTT|TTP|TMAX|PARAMETRIC\w*|FUNCTIONAL", "not HU", 9, "map of perfusion"),
    (r"SEG|SEGMENT\w*|MASK|LABEL\w*|OVERLAY", "not HU", 9, "segmentation"),
    (r"VNC|VUE|VIRTUAL\w*|MAT REMOVED|MAT MODIFIED|VNI", "slice", 3, "material removed"),
    (rf"{_MEAN_IP}|AVERAGE\w*|AVE", "slice", 2, "average projection"),
    (r"PROJECTION|PROJ", "projection", 9, "projection"),
    (r"MPR|REFORMAT\w*|RFMT|RESAMPLED|PARALLEL|THICK\w*|FUSION|COMPOSED", "slice", 2, "reformatted"),
    (r"VMI|MONO\w*|KEV|\d+ ?KEV", "slice", 1, "images of one energy"),
    (r"DERIVED|SECONDARY", "slice", 1, "derived"),
)
#: In a description, which people type: of a derived image it tells as much as an image type does.
_DESCRIPTIONS = _patterns(
    (rf"{_MIP}|PIXEL BY PIXEL MAXIMUM", "projection", 9, "maximum projection"),
    (rf"{_MINIP}|PIXEL BY PIXEL MINIMUM", "projection", 9, "minimum projection"),
    (r"VOLUME RENDER\w*|SURFACE RENDER\w*|VRT|CURVED", "projection", 9, "rendering"),
    (r"SUBTRACT\w*|PIXEL BY PIXEL SUBTRACTION", "not HU", 9, "subtraction"),
    (r"IODINE|IODMAP|Z ?EFF|EFFECTIVE Z|ELECTRON DENSITY|PBV|PERFUS\w*", "not HU", 9, "map of a material"),
    (r"LOCALI[SZ]ER|SCOUT\w*|TOPOGRAM|SURVIEW", "slice", 4, "localizer"),
    (r"VNC|VUE|VIRTUAL\w*|VNI|CALCIUM SUPP\w*", "slice", 3, "material removed"),
    (_MEAN_IP, "slice", 2, "average projection"),
    (r"MPR|REFORMAT\w*|RFMT|MULTIPLANAR\w*", "slice", 2, "reformatted"),
)
_LAST = 4  # rank of an image that only its description makes doubtful

#: Rescale types by what they mean (PS3.3 C.11.1.1.2); writers in use say "Hounsfield", too.
_HU = {"HU", "H", "HOUNSFIELD", "HOUNSFIELD UNITS", "HOUNSFIELD UNIT", "HNSF U"}
_MODIFIED_HU = {"HU MOD"}
_UNITS = {
    "MGML": "mg/ml", "Z EFF": "effective atomic numbers", "ED": "electron density", "EDW": "electron density",
    "MG ML": "mg/ml", "PCT": "percent", "OD": "optical density", "BQML": "Bq/ml", "GML": "g/ml",
    "CNTS": "counts", "PROPCNTS": "counts", "CPS": "counts", "PROPCPS": "counts", "PCNT": "percent",
}  # fmt: skip
_ENERGY = re.compile(r"\b(\d{2,3}) ?KEV\b")
_RATIO = {"1", "RATIO", "NO UNITS"}


def kind_of(header: Dataset) -> ImageKind:
    """What an image is; `header` is one of a classic slice, or that of a frame brought into its form."""
    found = _by_type(_plain_text(header.get("ImageType"), header.get("VolumeBasedCalculationTechnique")))
    if found.use in ("slice", "projection"):
        unit = _foreign_unit(header)
        if unit:
            return ImageKind("not HU", 9, f"values in {unit}, not HU")
    described = _by_description(header, found)
    if described.rank > found.rank:
        found = described
    stated = _plain_text(header.get("RescaleType"))
    if found.use == "slice" and stated not in _HU | {""}:
        return ImageKind("slice", max(found.rank, 3), "modified HU" if stated in _MODIFIED_HU else "in an unnamed unit")
    return found


def energy_kev(header: Dataset) -> float | None:
    """The photon energy that images of one energy are made for, as their description or image type tells it."""
    found = _ENERGY.search(_plain_text(header.get("SeriesDescription"), header.get("ImageType")))
    return float(found[1]) if found else None


def says_hu(header: Dataset) -> bool:
    """Whether the header says that values are HU, or says nothing of the unit, which in a CT means the same.

    Else they are of no unit that DICOM defines ("US" is: not specified), and the values must prove that they are HU.
    """
    return _plain_text(header.get("RescaleType")) in (_HU | _MODIFIED_HU | {""})


@lru_cache(maxsize=256)
def _by_type(words: str) -> ImageKind:
    return next((kind for pattern, kind in _IMAGE_TYPES if pattern.search(words)), _PLAIN)


def _by_description(header: Dataset, typed: ImageKind) -> ImageKind:
    """What the description says; of an image that its type calls original it only makes it one to be taken last."""
    flags = [item.get("CodeMeaning") for item in _items(header, "DerivationCodeSequence")]
    words = _plain_text(header.get("SeriesDescription"), header.get("DerivationDescription"), *flags)
    found = next((kind for pattern, kind in _DESCRIPTIONS if pattern.search(words)), _PLAIN)
    if found is _PLAIN or typed.use != "slice":
        return typed
    if found.use == "projection" and typed.rank > 0:
        return found
    return ImageKind("slice", min(found.rank, _LAST), f"described as {found.words}")


def _foreign_unit(header: Dataset) -> str:
    """The unit of the values if the header names one that is not HU, in words; else ""."""
    stated = _plain_text(header.get("RescaleType"))
    if stated in _UNITS:
        return _UNITS[stated]
    if stated in _HU | _MODIFIED_HU:
        return ""
    if unit := _UNITS.get(_plain_text(header.get("Units"))):
        return unit
    mapped = {
        _plain_text(unit.get("CodeValue"))
        for item in _items(header, "RealWorldValueMappingSequence")
        for unit in _items(item, "MeasurementUnitsCodeSequence")
    }
    return "another unit" if mapped and not mapped & (_HU | _RATIO) else ""


def _items(header: Dataset, keyword: str) -> list[Dataset]:
    try:
        return [item for item in header.get(keyword) or [] if isinstance(item, Dataset)]
    except Exception:  # an element that cannot be read says nothing
        return []


def _plain_text(*values: Any) -> str:
    """All words of some values in capitals, parted by single blanks; "" of what is missing."""
    words: list[str] = []
    for value in values:
        several = not isinstance(value, str) and hasattr(value, "__iter__")
        words += map(str, value) if several else [str(value)] if value is not None else []
    return " ".join(re.findall(r"[A-Z0-9]+", " ".join(words).upper()))
