import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from lungline.config.loading import read_config, read_config_files
from lungline.config.models import Config
from lungline.config.reference import reference_text, schema_text
from lungline.config.settings import Settings
from lungline.stages import show_config

CONFIG = Path(__file__).resolve().parents[3] / "config"


@pytest.mark.parametrize(("file", "made"), [("schema.json", schema_text), ("README.md", reference_text)])
def test_the_generated_files_are_what_the_command_prints(file: str, made, capsys) -> None:
    assert (CONFIG / file).read_text(encoding="utf-8") == made()
    show_config.run(schema=file == "schema.json", reference=file == "README.md")
    assert capsys.readouterr().out == made()


def test_the_printed_configuration_is_read_back_equal(capsys) -> None:
    files = (CONFIG / "config.yaml", CONFIG / "pretrained.yaml")
    show_config.run(configfile=files)
    printed = capsys.readouterr().out
    assert read_config(yaml.safe_load(printed)) == read_config_files(files)
    assert "# Edge of a voxel after resampling, mm.\n  spacing_mm: 1.0\n" in printed


def test_every_key_has_one_sentence() -> None:
    lacking = [
        f"{model.__name__}.{key}"
        for model in (Config, *Settings.__subclasses__())
        for key, field in model.model_fields.items()
        if not field.description and model.__name__ != "OwnCandidates"
    ]
    assert lacking == []


SCHEMA = json.loads(schema_text())


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_obeys_the_schema_by_itself(path: Path) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), SCHEMA)


@pytest.mark.parametrize("wrong", [{"seeds": 1}, {"classifiers": {"x": {"steps": 3}}}, {"resample": {"spacing_mm": 0}}])
def test_the_schema_is_closed_and_holds_the_ranges(wrong: dict) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)
