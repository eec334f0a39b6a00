"""Folders as people have them: several acquisitions, series, studies and patients; kinds times variations.

Every case makes its own input from a chest that is known at every point of space, and says what is right: the span that
an answer must show and the flags that it must carry, or the flag of a refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID

from dicom_series import FRAME, SERIES, STUDY, write_chest
from lungline.errors import Quarantine
from lungline.imaging.volume import Volume
from lungline.readers.scan import read_scan
from phantoms import adult_chest

Z = np.arange(56) * 5.0 - 137.5  # heights of a whole chest
ORIGINAL, DERIVED = ["ORIGINAL", "PRIMARY", "AXIAL"], ["DERIVED", "SECONDARY", "AXIAL"]
CHOSEN, JOINED = "W_SERIES_CHOSEN", "W_MULTI_ACQUISITION"
Build = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """A folder, the flags that are right, the span that is read, words that a flag says, and the slice distance."""

    kind: str
    name: str
    build: Build
    flags: set[str]
    span_mm: tuple[float, float] = (Z[0], Z[-1])
    words: tuple[str, ...] = ()
    step_mm: float = 5.0


def acquired(number_of: Callable[[int], int], without: Sequence[int] = (), z: Sequence[float] = Z, **options) -> Build:
    """A chest whose slice k belongs to an acquisition, without some slices."""

    def more(k: int, dataset: Dataset) -> bool:
        dataset.AcquisitionNumber = number_of(k)
        return k not in without

    return lambda folder: write_chest(folder, z, more=more, **options)


def both(*builds: Build) -> Build:
    return lambda folder: [build(folder) for build in builds]


def chest(z: Sequence[float] = Z, **options) -> Build:
    return lambda folder: write_chest(folder, z, **options)


def thirds(k: int) -> int:
    return 1 + k // 19


def shared(first: Sequence[float], second: Sequence[float], **options) -> Build:
    """Two acquisitions at these heights in one series."""
    return both(
        chest(first, AcquisitionNumber=2, prefix="a", **options),
        chest(second, AcquisitionNumber=3, prefix="b", seed=9, **options),
    )


def moved(by_mm: float) -> np.ndarray:
    """A whole chest in three breath holds, the second of which lies off the grid of the others."""
    return np.concatenate([Z[:19], Z[19:38] + by_mm, Z[38:]])


CHANGED = np.concatenate([Z[:28], np.arange(Z[27] + 2.5, Z[-1] + 1, 2.5)])
ASIDE = both(
    chest(Z[:28], AcquisitionNumber=1, prefix="a"),
    chest(Z[28:], AcquisitionNumber=2, prefix="b", centre_xy_mm=(10.0, 0.0)),
)
ACQUISITIONS = [
    Case("missing", "one-of-three-holds", acquired(thirds, [30]), {"W_GAP_FILLED"}, words=("1 of 56",)),
    Case("missing", "at-both-seams", acquired(thirds, [18, 37, 38]), {"W_GAP_FILLED"}, words=("3 of 56", "meet")),
    Case("missing", "two-of-the-middle-hold", acquired(thirds, [25, 26]), {"W_GAP_FILLED"}, words=("2 of 56",)),
    Case("missing", "a-number-a-slice", acquired(lambda k: k, [30]), {"W_GAP_FILLED"}),
    Case("missing", "numbers-fall", acquired(lambda k: 9 - k // 19, [30]), {"W_GAP_FILLED"}),
    Case(
        "missing",
        "one-of-thick-slices",
        acquired(lambda k: 1, [12], np.arange(36) * 8.0 - 140),
        {"W_GAP_FILLED"},
        (-140, 140),
        ("1 of 36",),
        8.0,
    ),
    Case("missing", "one-of-each-hold", acquired(thirds, [10, 30, 45]), {"W_GAP_FILLED"}, words=("3 of 56",)),
    Case("off-grid", "another-distance-from-the-middle-on", chest(CHANGED), {"W_NONUNIFORM"}),
    Case("missing", "tilted", acquired(thirds, [30], tilt_degrees=8), {"W_GAP_FILLED", "W_TILT"}),
    Case("shared", "upper-is-larger", shared(Z[:28], Z[27:]), {JOINED}, words=("56 of 57",)),
    Case("shared", "lower-is-larger", shared(Z[:40], Z[39:]), {JOINED}, words=("56 of 57",)),
    Case("shared", "ten-slices", shared(Z[:33], Z[23:]), {JOINED}, words=("56 of 66",)),
    Case("shared", "tilted", shared(Z[:28], Z[27:], tilt_degrees=10), {JOINED, "W_TILT"}, words=("56 of 57",)),
    Case("shared", "off-the-grid", shared(Z[:28], Z[26:] + 2), {JOINED, "W_NONUNIFORM"}, (Z[0], Z[-1] + 2)),
    Case("shared", "gap-of-two", shared(Z[:27], Z[29:]), {"W_GAP_FILLED"}, words=("2 of 56", "meet")),
    Case("off-grid", "by-1.5", acquired(thirds, z=moved(1.5)), {"W_NONUNIFORM"}),
    Case("off-grid", "by-minus-2", acquired(thirds, z=moved(-2.0)), {"W_NONUNIFORM"}),
    Case("off-grid", "nearly-doubled", acquired(thirds, z=moved(-4.0)), {JOINED, "W_NONUNIFORM"}),
    Case("off-grid", "and-tilted", acquired(thirds, z=moved(1.5), tilt_degrees=8), {"W_NONUNIFORM", "W_TILT"}),
    Case("off-grid", "aside-of-the-other", ASIDE, {"W_TILT"}, words=("10.0 mm aside",)),
    Case("off-grid", "one-number-for-all", acquired(lambda k: 1, z=moved(1.5)), {"W_NONUNIFORM"}),
    Case("doubled", "one-slice", both(chest(), chest(Z[20:21], prefix="x", seed=5)), {"W_DUPLICATE_SLICES"}),
    Case(
        "doubled",
        "three-tilted",
        both(chest(tilt_degrees=9), chest(Z[[5, 6, 40]], prefix="x", seed=5, tilt_degrees=9)),
        {"W_DUPLICATE_SLICES", "W_TILT"},
        words=("3 of 59",),
    ),
    Case("doubled", "nearly", both(chest(), chest(Z[20:22] + 0.4, prefix="x", seed=5)), {"W_DUPLICATE_SLICES"}),
    Case("twice", "native-and-contrast", shared(Z, Z), {JOINED}, words=("2 acquisitions", "56 of 112")),
    Case("twice", "half-a-step-off", shared(Z, Z[:-1] + 2.5), {JOINED}),
    Case("twice", "even-and-odd-slices", acquired(lambda k: 1 + k % 2), set()),
    Case("twice", "even-and-odd-slices-one-missing", acquired(lambda k: 1 + k % 2, [30]), {"W_GAP_FILLED"}),
    Case(
        "part", "too-far-away", shared(Z[:36], Z[42:]), {JOINED, "W_PART_ONLY"}, (Z[0], Z[35]), ("l of lung", "100 mm")
    ),
    Case(
        "part",
        "another-distance",
        shared(Z[:36], np.arange(Z[35] + 2, Z[-1], 2.0)),
        {JOINED, "W_PART_ONLY"},
        (Z[0], Z[35]),
        ("l of lung",),
    ),
]


def beside(*others: Build, **options) -> Build:
    """A whole chest of the series 2, and something else in its folder."""
    return both(chest(series=2, prefix="c", **options), *others)


def other(z: Sequence[float] = Z, **options) -> Build:
    return chest(z, series=9, prefix="o", seed=3, **options)


def of_type(*words: str, z: Sequence[float] = np.arange(71) * 4.0 - 140, **options) -> Build:
    """More and nearer slices than the chest has, derived, in air that a projection would fill."""

    def filled(x, y, z):
        return np.maximum(adult_chest(x, y, z), -600)

    return other(z, ImageType=[*DERIVED, *words], SliceThickness=2, hu_of=filled, **options)


def darkest(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """A minimum projection of slabs of 40 mm: it shows more lung than there is."""
    return np.minimum.reduce([adult_chest(x, y, z + off) for off in (-20, -10, 0, 10, 20)])


def unit(word: str, **options) -> Build:
    """A map of small numbers."""
    return other(RescaleType=word, hu_of=lambda x, y, z: np.where(adult_chest(x, y, z) > -200, 12, 0), **options)


def real_world(code: str) -> dict[str, object]:
    units, mapping = Dataset(), Dataset()
    units.CodeValue, units.CodingSchemeDesignator, units.CodeMeaning = code, "UCUM", "x"
    mapping.MeasurementUnitsCodeSequence = Items([units])
    return {"RealWorldValueMappingSequence": Items([mapping]), "RescaleType": None}


PROJECTIONS = (
    "CSA MIP", "MIP", "MIN IP", "MINIP", "MAX_IP", "MAXIMUM", "MINIMUM", "AVERAGE", "MPR", "CSA MPR", "SUBTRACTION",
    "REFORMATTED", "VMI", "SCREEN SAVE", "LOCALIZER",
)  # fmt: skip
BESIDE = {
    **{f"type-{word}": of_type(word) for word in PROJECTIONS},
    "description-mip": of_type(SeriesDescription="AX MIP 10/2"),
    "description-of-an-original": other(ImageType=ORIGINAL, SliceThickness=2, SeriesDescription="minip 8mm"),
    **{
        f"minimum-projection-{name}": other(np.arange(71) * 4.0 - 140, hu_of=darkest, SliceThickness=4, **said)
        for name, said in {
            "described": {"ImageType": ORIGINAL, "SeriesDescription": "MinIP 40"},
            "reformatted": {"ImageType": [*DERIVED, "MPR"]},
            "unnamed": {"ImageType": DERIVED},
        }.items()
    },
    **{
        f"described-{words}": other(ImageType=ORIGINAL, SliceThickness=2, SeriesDescription=words)
        for words in ("VNC 1.0", "Topogram 0.6", "Perfused blood volume")
    },
    "derivation": of_type(DerivationDescription="Maximum intensity projection"),
    "iodine": unit("MGML", ImageType=["DERIVED", "PRIMARY", "AXIAL", "MAT_VALUE_BASED"]),
    "effective-z": unit("Z_EFF", ImageType=ORIGINAL),
    "electron-density": unit("EDW", ImageType=ORIGINAL),
    "unnamed-unit": unit("mg/mL of I", ImageType=ORIGINAL),
    "real-world-unit": other(**real_world("mg/ml")),
    "modified-hu": other(RescaleType="HU_MOD", SliceThickness=2),
    "unspecified-unit": other(RescaleType="US", SliceThickness=2),
    "no-lung": other(np.arange(94) * 5.0 - 560),
    "half-the-lungs": other(np.arange(116) * 5.0 - 580, SliceThickness=2),
    "one-lung": other(np.arange(71) * 4.0 - 140, width_mm=160, pixel_mm=3, centre_xy_mm=(82.0, 0.0), SliceThickness=2),
    "thick": other(Z[::2], SliceThickness=10),
    "coronal-words-only-three-slices": other(Z[:2]),
    "cannot-be-decoded": other(SliceThickness=1, more=lambda k, d: setattr(d, "BitsStored", 0)),
    "without-rescale-in-some": other(SliceThickness=1, more=lambda k, d: k % 2 and delattr(d, "RescaleSlope")),
    "sharp-kernel": other(ConvolutionKernel="B70f"),
    "lung-kernel": other(ConvolutionKernel="LUNG"),
    "wide-pixels": other(width_mm=480, pixel_mm=8),
}


def of_one_uid(more_of_other: Callable[[int, Dataset], object], z: Sequence[float] = Z, **options) -> Build:
    """A second set of slices under the same SeriesInstanceUID, that differs in what `more_of_other` does."""
    first = chest(prefix="a", ConvolutionKernel="B30f", **options)
    return both(first, chest(z, prefix="b", seed=3, more=more_of_other))


def setting(**elements: object) -> Callable[[int, Dataset], None]:
    def more(_: int, dataset: Dataset) -> None:
        for name, value in elements.items():
            setattr(dataset, name, value)

    return more


ONE_UID = {
    "kernel": setting(ConvolutionKernel="B70f"),
    "kernels-and-numbers": setting(ConvolutionKernel=["Bl57d", "3"], AcquisitionNumber=2),
    "thickness": setting(SliceThickness=8),
    "tube-voltage": setting(KVP=80),
    "phase": setting(TemporalPositionIdentifier=2),
    "phase-by-trigger": setting(TriggerTime=600),
    "contrast": setting(ContrastBolusAgent="Acme"),
    "image-type": setting(ImageType=[*DERIVED, "MPR"]),
    "unit": setting(RescaleType="MGML"),
    "projection": setting(ImageType=[*DERIVED, "MIP"]),
    "frame-of-reference": setting(FrameOfReferenceUID=UID(f"{FRAME}.5")),
}
APART = {
    "patient-id": setting(PatientID="MRN-0043"),
    "patient-name": setting(PatientName="Poe^Anna"),
    "birth-date": setting(PatientBirthDate="19500101"),
    "study": setting(StudyInstanceUID=UID(f"{STUDY}.5")),
}
UPPER, LOWER = Z[20:], Z[:20]


def in_some(change: Callable[[Dataset], None]) -> Build:
    """A chest of whose slices every third is changed."""

    def more(k: int, dataset: Dataset) -> None:
        if k % 3 == 0:
            change(dataset)

    return chest(more=more)


def in_each(*uids: str) -> Build:
    """A chest in which each slice has these UIDs for itself alone."""

    def more(k: int, dataset: Dataset) -> None:
        for name in uids:
            setattr(dataset, name, UID(f"{STUDY}.{len(name)}.{k + 1}"))

    return chest(more=more)


def halves(more: Callable[[int, Dataset], object]) -> Build:
    return both(chest(UPPER, prefix="a"), chest(LOWER, prefix="b", more=more))


VMI = [*DERIVED, "VMI"]
HALF = (UPPER[0], UPPER[-1])
STRANGER = {CHOSEN, "W_OTHER_STUDY"}
ENERGIES = both(
    chest(series=2, prefix="c", ImageType=VMI, SeriesDescription="40 keV"),
    other(ImageType=VMI, SeriesDescription="MONO 70 keV"),
)
TWO_KERNELS = both(
    chest(LOWER, prefix="a", ConvolutionKernel="B30f"), chest(UPPER, prefix="b", ConvolutionKernel="B50f")
)
SERIES_CASES = [
    *(
        Case("beside", name, beside(build), {CHOSEN}, words=("; left out: series 9, ",))
        for name, build in BESIDE.items()
    ),
    Case("derived", "70-kev-before-40", ENERGIES, {CHOSEN}, words=("series 9, 56 slices with",)),
    Case(
        "derived",
        "whole-before-original-part",
        both(chest(UPPER, series=2, prefix="c"), other(ImageType=DERIVED)),
        {CHOSEN},
        words=("series 9, 56 slices with", "shows"),
    ),
    Case("derived", "reformatted-alone", other(ImageType=[*DERIVED, "CSA MPR"]), set()),
    Case("derived", "average-alone", other(ImageType=[*DERIVED, "AVERAGE"]), set()),
    Case("unit", "unspecified-alone", other(RescaleType="US"), {"W_ASSUMED_HU"}),
    Case("unit", "hounsfield", other(RescaleType="hounsfield"), set()),
    Case("unit", "real-world-hu", other(**real_world("[hnsf'U]")), set()),
    *(Case("one-uid", name, of_one_uid(more), {CHOSEN}) for name, more in ONE_UID.items()),
    Case("one-uid", "kernels-one-after-the-other", TWO_KERNELS, set()),
    *(Case("owners", name, of_one_uid(more, Z[5:-5]), STRANGER) for name, more in APART.items()),
    Case("owners", "id-missing-in-some", in_some(lambda d: delattr(d, "PatientID")), set()),
    Case("owners", "name-in-capitals", in_some(lambda d: setattr(d, "PatientName", "ROE^JANÉ^^")), set()),
    Case("owners", "frame-missing-in-some", in_some(lambda d: delattr(d, "FrameOfReferenceUID")), set()),
    *(
        Case("owners", f"a-uid-a-slice-{'-'.join(names)}", in_each(*names), set())
        for names in (["StudyInstanceUID"], ["SeriesInstanceUID", "StudyInstanceUID"])
    ),
    Case("halves", "patient", halves(APART["patient-id"]), STRANGER, HALF),
    Case("halves", "study", halves(APART["study"]), STRANGER, HALF),
    Case("halves", "frame", halves(ONE_UID["frame-of-reference"]), {CHOSEN}, HALF),
]
CASES = [*ACQUISITIONS, *SERIES_CASES]


def off_truth(ct: Volume) -> float:
    """Share of the voxels that are far from what lies at their place; edges and padding of a tilt count, too."""
    k, j, i = np.meshgrid(*map(np.arange, ct.array.shape), indexing="ij", sparse=True)
    x, y, z = (a[0] * k + a[1] * j + a[2] * i + a[3] for a in ct.affine[:3])
    ground_truth = adult_chest(*np.broadcast_arrays(x, y, z))
    shown = ct.array > -1024
    return float(np.mean(np.abs(ct.array - ground_truth)[shown] > 150))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{case.name}")
def test_the_whole_chest_is_read_and_what_is_not_is_named(case: Case, tmp_path: Path) -> None:
    case.build(tmp_path)
    ct, flags = read_scan(tmp_path, "dicom")
    assert {code.flag for code in flags} == case.flags, flags
    said = "; ".join(code.detail for code in flags)
    assert all(word in said for word in case.words), said
    assert not any(word in said for word in ("Roe", "MRN", STUDY))
    middle = np.array(ct.array.shape) // 2
    ends = [(ct.affine @ [k, *middle[1:], 1])[2] for k in (0, len(ct.array) - 1)]
    np.testing.assert_allclose(ends, case.span_mm, atol=5.1 if "W_TILT" in case.flags else 2.6)
    assert ct.spacing_zyx_mm[0] <= case.step_mm * 1.001
    assert off_truth(ct) < (0.06 if "W_TILT" in case.flags else 0.03)  # what is deskewed is blurred at edges


def test_there_are_many_variations_of_every_kind() -> None:
    names = [f"{case.kind}-{case.name}" for case in CASES]
    assert len(set(names)) == len(names) >= 80


REFUSED = {
    "only-a-projection": (of_type("CSA MIP"), "Q_NO_CT_SERIES: .*maximum projection"),
    "only-a-described-projection": (of_type(SeriesDescription="MIP"), "Q_NO_CT_SERIES: .*maximum projection"),
    "only-a-subtraction": (of_type("SUBTRACTION"), "Q_NOT_HU: .*subtraction"),
    "only-iodine": (unit("MGML"), "Q_NOT_HU: .*mg/ml"),
    "only-effective-z": (unit("Z_EFF"), "Q_NOT_HU: .*atomic numbers"),
    "only-an-unnamed-unit": (unit("fish"), "Q_NOT_HU: .*not specified"),
    "only-becquerels": (unit("US", Units="BQML"), "Q_NOT_HU: .*Bq/ml"),
    "only-a-real-world-unit": (other(**real_world("mg/ml")), "Q_NOT_HU: .*another unit"),
    "a-table-instead-of-a-slope": (other(ModalityLUTSequence=Items([Dataset()])), "Q_NO_RESCALE: .*table"),
    "two-passes-that-nothing-parts": (both(chest(), chest(prefix="x", seed=5)), "Q_DUPLICATE_SLICES: 112"),
    "a-frame-of-reference-a-slice": (
        chest(more=lambda k, d: setattr(d, "FrameOfReferenceUID", UID(f"{FRAME}.{k + 1}"))), "Q_TOO_FEW_SLICES"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_volume_in_hu_is_refused_by_name(name: str, tmp_path: Path) -> None:
    build, words = REFUSED[name]
    build(tmp_path)
    with pytest.raises(Quarantine, match=words):
        read_scan(tmp_path, "dicom")


def test_series_numbers_and_words_alone_are_said_of_what_is_left_out(tmp_path: Path) -> None:
    marker = "Zq7"
    beside(of_type("CSA MIP", SeriesDescription=marker, PatientID=marker), unit(marker))(tmp_path)
    _, flags = read_scan(tmp_path, "dicom")
    assert {code.flag for code in flags} >= {CHOSEN}
    assert marker not in str(flags)
    assert SERIES not in str(flags)
