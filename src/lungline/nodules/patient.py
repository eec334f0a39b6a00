"""What a reader and a patient's record say, and an image does not: the file `patient.yaml`.

Every key may be left out. What is left out is unknown; it is never taken for "no".
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from lungline import limits
from lungline.config.settings import Settings, read_settings
from lungline.errors import LunglineError
from lungline.storage.foreign_files import refuse_larger

_MOST_BYTES = limits.MAX_YAML_BYTES

Size = Annotated[float, Field(gt=0, le=300)]


def _descending(priors: "tuple[Prior, ...]") -> "tuple[Prior, ...]":
    ages = [prior.months_ago for prior in priors]
    if sorted(ages, reverse=True) != ages or len(set(ages)) != len(ages):
        raise ValueError(f"expected the earliest scan first. Found {', '.join(f'{age:g}' for age in ages)} months ago")
    return priors


class Prior(Settings):
    """A nodule at one earlier scan."""

    months_ago: float = Field(gt=0, le=1200)
    """Months between that scan and this one."""
    mean_mm: Size | None = None
    """Mean diameter, mm."""
    solid_mm: Annotated[float, Field(ge=0, le=300)] | None = None
    """Mean diameter of its solid part, mm; 0 if it had none."""
    volume_mm3: Annotated[float, Field(gt=0)] | None = None
    """Volume, mm3."""

    @model_validator(mode="after")
    def _no_part_is_longer_than_the_whole(self) -> Self:
        if None not in (self.mean_mm, self.solid_mm) and (self.solid_mm or 0) > (self.mean_mm or 0):
            raise ValueError(f"expected solid_mm of mean_mm ({self.mean_mm:g}) or less. Found {self.solid_mm:g}")
        return self


class Reading(Settings):
    """What a reader says of one nodule; sizes and attenuation replace the measured ones."""

    attenuation: Literal["solid", "part-solid", "ground-glass"] | None = None
    """Solid, part-solid or ground-glass."""
    long_mm: Size | None = None
    """Long axis, mm."""
    short_mm: Size | None = None
    """Longest axis perpendicular to it, mm."""
    volume_mm3: Annotated[float, Field(gt=0)] | None = None
    """Volume, mm3."""
    solid_long_mm: Size | None = None
    """Long axis of the solid part, mm."""
    solid_short_mm: Size | None = None
    """Longest axis perpendicular to it, mm."""
    change: Literal["baseline", "new", "growing", "slowly-growing", "stable", "decreased"] | None = None
    """How it compares with earlier scans; worked out where `prior` gives sizes."""
    prior: Annotated[tuple[Prior, ...], AfterValidator(_descending)] = ()
    """Earlier scans, the earliest first."""
    prior_category: Literal["1", "2", "3", "4A", "4B", "4X"] | None = None
    """Lung-RADS category at the last scan."""
    margin: Literal["smooth", "lobulated", "irregular", "spiculated"] | None = None
    """Margin."""
    shape: Literal["oval", "lentiform", "triangular", "round", "irregular"] | None = None
    """Shape."""
    juxtapleural: bool | None = None
    """Whether it lies at the pleura or at a fissure."""
    lobe: Literal["upper", "middle", "lower"] | None = None
    """Lobe; the lingula is of the upper."""
    kind: Literal["nodule", "airway", "cyst"] | None = None
    """A nodule in the lung tissue, in an airway, or a cyst."""
    airway_level: Literal["subsegmental", "segmental-or-central"] | None = None
    """Where in the airways it lies."""
    secretions: bool | None = None
    """Whether air in an airway nodule favours secretions."""
    cyst: Literal["thin-walled", "thick-walled", "multilocular"] | None = None
    """The wall of a cyst."""
    cyst_change: (
        Literal["none", "larger-cyst", "thicker-wall", "more-loculation-or-opacity", "became-multilocular"] | None
    ) = None
    """What of a cyst has changed."""
    suspicious: bool | None = None
    """Whether enlarged nodes, metastases, ground glass doubled in a year or another sign raise suspicion."""
    benign_pattern: bool | None = None
    """Whether calcification is complete, central, popcorn or in rings, or it holds fat."""
    proven_benign: bool | None = None
    """Whether work-up has proved it benign."""
    pet: Literal["none", "faint", "moderate", "intense"] | None = None
    """Uptake of FDG: none, at most as the blood pool (faint), above it (moderate), far above it (intense)."""

    @field_validator("prior_category", mode="before")
    @classmethod
    def _a_category_is_a_word(cls, given: Any) -> Any:
        return str(given) if type(given) is int else given

    @model_validator(mode="after")
    def _no_part_is_longer_than_the_whole(self) -> Self:
        pairs = (("long_mm", "short_mm"), ("solid_long_mm", "solid_short_mm"), ("long_mm", "solid_long_mm"))
        for long, short in pairs:
            longer, shorter = getattr(self, long), getattr(self, short)
            alone = longer is None and short.endswith("short_mm")
            if shorter is not None and (alone or (longer is not None and shorter > longer)):
                found = "none" if longer is None else f"{longer:g}"
                raise ValueError(f"expected {long} of {short} ({shorter:g}) or more. Found {found}")
        return self


class Patient(Settings):
    """What is known of the patient and of this exam."""

    purpose: Literal["screening", "incidental"] | None = None
    """Whether this is a screening CT, or the nodule was found by chance."""
    exam: Literal["complete", "prior-to-come", "not-all-lung-seen", "infection-suspected"] | None = None
    """Whether the exam can be judged; complete unless it says otherwise."""
    first_scan: bool | None = None
    """Whether there is no earlier chest CT."""
    age: float | None = Field(default=None, ge=0, le=130)
    """Years."""
    sex: Literal["female", "male"] | None = None
    """Sex."""
    smoking: Literal["never", "former", "current"] | None = None
    """Smoking."""
    family_history: bool | None = None
    """Whether a relative has or had lung cancer."""
    emphysema: bool | None = None
    """Whether the CT shows emphysema."""
    cancer_history: Literal["none", "over_5_years", "within_5_years"] | None = None
    """Cancer: never, cured and more than five years ago, or known now or within five years."""
    immunosuppressed: bool | None = None
    """Whether the patient is immunosuppressed."""
    risk: Literal["low", "high"] | None = None
    """Risk of lung cancer by the Fleischner Society's list, as the reader sees it."""
    nodule_count: int | None = Field(default=None, ge=1, le=1000)
    """How many nodules there are, as the reader counts them."""
    nodules: dict[str, Reading] = Field(default_factory=dict)
    """What a reader says of single nodules, by their rank in the table."""

    @model_validator(mode="after")
    def _a_first_scan_has_no_earlier_one(self) -> Self:
        for rank, said in self.nodules.items():
            if self.first_scan and (said.prior or said.change not in (None, "baseline")):
                word = "prior" if said.prior else f"change: {said.change}"
                raise ValueError(f"first_scan: expected false, as nodules.{rank} has {word}. Found true")
        return self

    def reading(self, rank: int) -> Reading:
        """What is said of the nodule with this rank."""
        return self.nodules.get(str(rank), Reading())

    def completed(self, age: int | None, sex: str | None) -> "tuple[Patient, list[str]]":
        """The patient with what a scan's header says of age and sex, and the keys that say otherwise than it.

        What the file says counts; an age may be a year off, as it is given at another date.
        """
        found = {"age": None if age is None else float(age), "sex": sex}
        filled = {key: value for key, value in found.items() if value is not None and getattr(self, key) is None}
        differs = [
            *(["age"] if age is not None and self.age is not None and abs(self.age - age) >= 2 else []),
            *(["sex"] if sex is not None and self.sex not in (None, sex) else []),
        ]
        return self.model_copy(update=filled), differs


def read_patient(path: Path | None) -> Patient:
    """The file, or a patient of whom nothing is known.

    `LunglineError` of one line that names the key, what was expected and what was found.
    """
    import yaml

    class EachKeyOnce(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):  # ten lines of them can stand for more values than memory holds
                line = self.peek_event().start_mark.line + 1
                raise LunglineError(f"{path}: expected values. Found an alias (*) in line {line}; write it out.")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [str(self.construct_object(key)) for key, _ in node.value]
            if twice := [key for key in keys if keys.count(key) > 1]:
                line = node.start_mark.line + 1
                raise LunglineError(f"{path}: expected each key once. Found '{twice[0]}' twice, from line {line} on.")
            return super().construct_mapping(node, deep)

    if path is None:
        return Patient()
    refuse_larger(path, _MOST_BYTES)
    try:
        given: Any = yaml.load(path.read_text(encoding="utf-8"), EachKeyOnce)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise LunglineError(f"{path}: expected YAML. {' '.join(str(error).split())}.") from None
    given = {} if given is None else given
    if isinstance(given, dict) and isinstance(given.get("nodules"), dict):
        given = {**given, "nodules": {str(rank): one for rank, one in given["nodules"].items()}}
    patient: Patient = read_settings(Patient, given, str(path))
    return patient
