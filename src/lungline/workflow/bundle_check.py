"""Whether a bundle from elsewhere is one: manifest, settings and cards, before a scan is read or a network is built."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, create_model

from lungline.config.entries import CandidateClassifier, Count, ExtractCandidates, Resized, Symmetries, read_classifier
from lungline.config.models import CacheVolume, CropPatches, Name, Resample, SegmentLungs
from lungline.config.networks import CancerNetSpec, UNetSpec
from lungline.config.settings import Settings, read_settings
from lungline.errors import LunglineError
from lungline.names import Precision, ScoreOf, known
from lungline.storage.weights import read_card
from lungline.workflow.study import AXES

if TYPE_CHECKING:
    from lungline.workflow.bundle import Bundle

_Path = Annotated[str, Field(min_length=1, max_length=1000)]
_Ml = Annotated[float, Field(ge=0)]
_Range = Annotated[
    tuple[float, float], BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
]


class _Foreign(Settings):
    """What no configuration holds."""


class BundleManifest(_Foreign):
    """What `write_bundle` writes."""

    notice: str
    lungline_version: str
    classifier: Annotated[Name, Field(max_length=64)]
    settings: dict[str, dict[str, Any]]
    model: _Path
    detector: _Path | None
    weights_sha256: Annotated[dict[_Path, str], Field(max_length=8)]


class _Calibration(_Foreign):
    """Scale and shift of a patient's logit, and those of resampled patients."""

    scale: float = 1.0
    shift: float = 0.0
    resampled: Annotated[tuple[_Range, ...], Field(max_length=10_000)] = ()


class _Seen(_Foreign):
    """What the weights with which a training began were trained on."""

    cases: dict[str, tuple[str, ...]] = Field({})
    case_hu_sha256: dict[str, dict[str, str]] = Field({})
    initialised_from: "_Seen | None" = None


class _CardFacts(_Seen):
    """What an answer takes from a card beside the network."""

    axis: Literal["z", "y", "x"] | None = None
    cache: dict[Literal["region", "outside_hu"], Annotated[str, Field(max_length=16)] | float] = Field({})
    acquisition: Annotated[dict[str, _Range], Field(max_length=16)] = Field({})
    calibration: _Calibration = _Calibration()
    logit_without_candidates: float = 0.0
    cancer_probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    seed: Annotated[int, Field(ge=0)] | None = None


def _fields(of: type[Settings], but: str = "") -> dict[str, Any]:
    return {name: (field.annotation, field) for name, field in of.model_fields.items() if name != but}


#: The options of each step that has some, as `lungline.workflow.steps.settings_of` gives them.
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "resample": _fields(Resample),
    "segment_lungs": {**_fields(SegmentLungs, "plausible_ml"), "plausible_ml_low": _Ml, "plausible_ml_high": _Ml},
    "cache_volume": _fields(CacheVolume),
    "resize_volume": {"size": Resized},
    "detect": {"precision": Precision},
    "extract_candidates": _fields(ExtractCandidates, "min_finding_score"),
    "rank_candidates": {"count": Count, "test_time_augmentation": Symmetries},
    "crop_patches": {"count": Count, **_fields(CropPatches)},
    "describe_nodules": {"ranked_by": ScoreOf, "min_finding_score": float | None},
}


def checked_manifest(about: Mapping[str, Any], where: str) -> BundleManifest:
    """The manifest; `LunglineError` for a name, path, step or setting that is none, is missing or out of range."""
    manifest: BundleManifest = read_settings(BundleManifest, about, f"{where}: not a bundle manifest of lungline")
    for step, given in manifest.settings.items():
        options = _OPTIONS[known(step, _OPTIONS, f"{where}: settings: no step")]
        if missing := sorted(set(options) - set(given)):
            raise LunglineError(f"{where}: settings.{step}: expected '{missing[0]}'. Found no such key.")
        fields: dict[str, Any] = {name: one if isinstance(one, tuple) else (one, ...) for name, one in options.items()}
        kind = create_model(step, __base__=_Foreign, **fields)
        read_settings(kind, given, f"{where}: settings.{step}")
    return manifest


def check_cards(bundle: "Bundle", where: str) -> None:
    """`LunglineError` where cards are of other kinds than the manifest needs, or hold what no training writes."""
    card = _card(bundle.model)
    spec = read_classifier(card.get("classifier"), f"{bundle.model}/card.json: classifier")
    needed, optional = {"resample", "segment_lungs", "cache_volume"}, set()
    edge: int | None = None
    if isinstance(spec, CandidateClassifier):
        needed |= {"detect", "extract_candidates", "crop_patches"}
        optional = {"rank_candidates", "describe_nodules"}
    elif spec.kind == "whole_volume" and spec.input.resize_to:
        needed |= {"resize_volume"}
    if differs := sorted(needed ^ (set(bundle.settings) - optional)):
        raise LunglineError(
            f"{where}: settings: expected the steps of kind '{spec.kind}', {', '.join(sorted(needed))}. "
            f"'{differs[0]}' is {'missing' if differs[0] in needed else 'none of them'}."
        )
    if (bundle.detector is not None) != ("detect" in needed):
        raise LunglineError(f"{where}: detector: expected {'a path' if 'detect' in needed else 'null'} for this model.")
    if isinstance(spec, CandidateClassifier):
        edge = bundle.settings["crop_patches"]["size"]
        _network(bundle.model, card, (edge,) * 3, 2)
    elif spec.kind == "whole_volume":
        _network(bundle.model, card, spec.input.shape_zyx, 1)
    if bundle.detector is not None:
        for axis in AXES:
            card = _card(bundle.detector / axis)
            read_settings(UNetSpec, card.get("network"), f"{bundle.detector / axis}/card.json: network")
            if card.get("axis") not in (None, axis):
                raise LunglineError(f"{bundle.detector / axis}/card.json: axis: expected '{axis}'. Found another.")
        if "rank_candidates" in bundle.settings:
            _network(bundle.detector / "fpr", _card(bundle.detector / "fpr"), None, 2, is_cube=True)


def _card(folder: Path) -> dict[str, Any]:
    """A card whose facts are such as a training writes."""
    card, facts = read_card(folder / "card.json"), {}
    for name in _CardFacts.model_fields.keys() & card.keys():
        value = card[name]
        if name == "calibration" and isinstance(value, Mapping):
            value = {key: one for key, one in value.items() if key in _Calibration.model_fields}
        facts[name] = value
    read_settings(_CardFacts, facts, f"{folder}/card.json")
    return card


def _network(
    folder: Path, card: Mapping[str, Any], shape_zyx: tuple[int, ...] | None, channels: int, *, is_cube: bool = False
) -> None:
    """`LunglineError` if a cancer network reads other input than it is given; without a shape, any, or any cube."""
    where = f"{folder}/card.json: network"
    spec = read_settings(CancerNetSpec, card.get("network"), where)
    expected = (spec.shape_zyx[0],) * 3 if is_cube else shape_zyx or spec.shape_zyx
    if (spec.shape_zyx, spec.in_channels) != (expected, channels):
        raise LunglineError(
            f"{where}: expected shape_zyx {expected} and in_channels {channels}. Found {spec.shape_zyx} and "
            f"{spec.in_channels}."
        )
