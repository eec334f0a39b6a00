import copy
from pathlib import Path

import pytest
import yaml

from lungline.config.check import check_config, laid_over
from lungline.errors import LunglineError

CONFIG = Path(__file__).resolve().parents[3] / "config"
SCHEMA = yaml.safe_load((CONFIG / "schema.yaml").read_text(encoding="utf-8"))


UNDER = {"ablations": "benchmark"}  # a preset that lies on another one


def preset(name: str = "config") -> dict:
    under = {} if name == "config" else preset(UNDER.get(name, "config"))
    return laid_over(under, yaml.safe_load((CONFIG / f"{name}.yaml").read_text(encoding="utf-8")))


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
        (
            {"systems": {"m1-64": {"detector": "demo"}}},
            "systems.m1-64 has no key 'detector'",
        ),
        ({"systems": {"m1-64": {"augment": True}}}, "systems.m1-64 has no key 'augment'"),
        ({"systems": {"m2-demo": {"input": {"crop": 16}}}}, "systems.m2-demo has no key 'input'"),
        ({"systems": {"all-negative": {"training": {}}}}, "systems.all-negative has no key 'training'"),
        ({"systems": {"all-negative": {"probability": 1.5}}}, "systems.all-negative.probability: 1.5 is"),
        ({"systems": {"x": {"kind": "volumes"}}}, "systems.x.kind: 'volumes' is not one of"),
        ({"systems": {"x": {"detector": "demo"}}}, "systems.x: 'kind' is a required property"),
        ({"detectors": {"demo": {"training": {"micro_batch": 2}}}}, "detectors.demo.training has no key 'micro_batch'"),
        ({"systems": {"m2-demo": {"network": {"norm": "batch"}}}}, "systems.m2-demo.network.norm: 'batch' is not one"),
        (
            {"systems": {"m1-64-batchnorm": {"training": {"micro_batch": 1}}}},
            "systems.m1-64-batchnorm: network.norm 'batch' needs a training.micro_batch of 2 or more",
        ),
        ({"systems": {"m1-64": {"training": {"micro_batch": 65}}}}, "systems.m1-64: training.micro_batch should be 1"),
        ({"systems": {"m1-54-crops": {"input": {"crop": 80}}}}, "systems.m1-54-crops: input.crop should be 8 or more"),
        ({"systems": {"m1-64": {"input": {"pad_to": "largest"}}}}, "should have either resize_to or pad_to"),
        ({"systems": {"x": {"extends": "m1-46"}}}, "systems.x.extends: no entry 'm1-46'. Did you mean 'm1-64'?"),
        (
            {"systems": {"x": {"extends": "y"}, "y": {"extends": "x"}}},
            "systems: x extends y extends x, a circle",
        ),
        ({"compare": {"systems": ["m3"]}}, "compare.systems: no system 'm3'"),
        ({"compare": {"reference": "m2"}}, "compare.reference: no compared system 'm2'"),
        ({"folds": [10]}, "folds.0"),
        ({"systems": {"m2-demo": {"start": "reduction"}}}, "systems.m2-demo.start: detector 'demo' has no reduction"),
        ({"systems": {"m2-demo": {"turns": 49}}}, "systems.m2-demo.turns: 49 is"),
        ({"systems": {"m1-64": {"network": {"pool": "max"}}}}, "systems.m1-64.network has no key 'pool'"),
    ],
)
def test_a_mistake_is_refused_by_name(change: dict, words: str) -> None:
    with pytest.raises(LunglineError) as refusal:
        check_config(laid_over(copy.deepcopy(preset()), change), SCHEMA)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_entry_is_laid_over_the_one_that_it_extends() -> None:
    entries = {"a": {"extends": "b", "training": {"batch": 32}}, "b": {"extends": "m1-64", "network": {"dense": 3}}}
    config = laid_over(preset(), {"systems": entries})
    checked = check_config(config, SCHEMA)["systems"]
    expected = copy.deepcopy(checked["m1-64"])
    expected["training"]["batch"], expected["network"]["dense"] = 32, 3
    assert checked["a"] == expected
    assert config["systems"]["a"] == entries["a"]
    assert check_config({**config, "systems": checked}, SCHEMA)["systems"] == checked


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
