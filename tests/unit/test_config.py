import copy
from pathlib import Path

import pytest
import yaml

from lungline.config import check_config, lay_over
from lungline.errors import LunglineError

CONFIG = Path(__file__).resolve().parents[2] / "config"
SCHEMA = yaml.safe_load((CONFIG / "schema.yaml").read_text(encoding="utf-8"))


def preset(name: str = "config") -> dict:
    default = yaml.safe_load((CONFIG / "config.yaml").read_text(encoding="utf-8"))
    return lay_over(default, yaml.safe_load((CONFIG / f"{name}.yaml").read_text(encoding="utf-8")))


PRESETS = sorted(path.stem for path in CONFIG.glob("*.yaml") if path.stem != "schema")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_allowed(name: str) -> None:
    check_config(preset(name), SCHEMA)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"resampel": {}}, "top level has no key 'resampel'. Did you mean 'resample'?"),
        (
            {"extract_candidates": {"treshold": 1}},
            "extract_candidates has no key 'treshold'. Did you mean 'threshold'?",
        ),
        (
            {"detectors": {"demo": {"training": {"step": 3}}}},
            "detectors.demo.training has no key 'step'. Did you mean 'steps'?",
        ),
        ({"extract_candidates": {"threshold": 80}}, "extract_candidates.threshold: 80 is"),
        ({"seed": "one"}, "seed: 'one' is not of type 'integer'"),
        ({"run": ["m2-dem"]}, "run: no system 'm2-dem'. Did you mean 'm2-demo'?"),
        ({"systems": {"m2-demo": {"detector": "dem"}}}, "systems.m2-demo.detector: no detector 'dem'"),
        ({"models": {"systems": {"m2-dmo": "x"}}}, "models.systems: no entry 'm2-dmo'. Did you mean 'm2-demo'?"),
        ({"data": {}}, "data:"),
        ({"compare": {"systems": ["m3"]}}, "compare.systems: no system 'm3'"),
        ({"compare": {"reference": "m2"}}, "compare.reference: no compared system 'm2'"),
        ({"folds": [10]}, "folds.0"),
    ],
)
def test_a_mistake_is_refused_by_name(change: dict, words: str) -> None:
    with pytest.raises(LunglineError) as refusal:
        check_config(lay_over(copy.deepcopy(preset()), change), SCHEMA)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def every_level(schema: dict) -> list[dict]:
    below = [value for value in schema.values() if isinstance(value, dict)]
    return [schema, *(level for value in below for level in every_level(value))]


def test_the_schema_is_closed_at_every_level() -> None:
    open_levels = [
        level for level in every_level(SCHEMA) if "properties" in level and "additionalProperties" not in level
    ]
    # a mapping named 'properties' is a list of keys, not a level
    assert [level for level in open_levels if "type" in level] == []


def test_every_key_of_the_default_configuration_is_explained() -> None:
    told = (CONFIG / "README.md").read_text(encoding="utf-8")
    for key, value in preset().items():
        for name in value if isinstance(value, dict) and key not in ("detectors", "systems") else [key]:
            assert f"{name}`" in told, f"config/README.md does not explain {key}: {name}"
