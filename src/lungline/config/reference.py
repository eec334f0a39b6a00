"""What is generated from the models: the JSON schema, the reference page, and a configuration with its comments."""

import json
import textwrap
import typing
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from lungline.config.models import Config
from lungline.config.settings import Settings

HEAD = """# Configuration

<!-- Generated: `lungline show-config --reference > config/README.md`. Change the models in src/lungline/config. -->

Every key has a default, so a file of three lines is a configuration; `config.yaml` is the default run. Files are laid
over one another:

| command | what it is |
|---|---|
| `./run` | `config.yaml`: the synthetic cohort |
| `./run --configfile config/micro.yaml` | the whole graph in about a minute; learns nothing |
| `./run --configfile config/paper.yaml my-folders.yaml` | LUNA-16 and DSB-17; my-folders.yaml names the folders |
| `./run --configfile config/best.yaml my-folders.yaml` | our own configuration on the same data |
| `./run --configfile config/real.yaml my-scans.yaml` | your scans, with the weights in the package |
| `./run folds --configfile config/luna16-folds.yaml my-folders.yaml` | LUNA-16's ten-fold protocol |
| `./run pretrained --configfile config/pretrained.yaml` | how the weights in the package were made |
| `snakemake compare --configfile config/benchmark.yaml config/ablations.yaml` | classifiers side by side |

Mappings are merged key by key, lists and values are replaced. An entry of `detectors:` or `classifiers:` may say
`extends: NAME`: it is laid over the entry of that name. `src/lungline/config/catalogue.yaml` holds the built-in ones.
A key that does not exist is refused by name, with the nearest one that does; editors can check a file against
`schema.json`. Use files, not `--config`: nested values given there arrive as text. The configuration is the
experiment; what belongs to the machine (cores, cluster, memory) stands in `profiles/`.

`lungline show-config --configfile FILE ...` prints the whole configuration that files ask for, every key explained.
`lungline plan --configfile FILE ...` times a few steps of each training on this machine and says how many hours and
gigabytes the whole would take.

Changing a key re-runs exactly the steps that read it. `outdir` makes a new result tree; `device`, `training_threads`,
`training_processes` and `keep_intermediates` re-run nothing.
"""


def schema_text() -> str:
    """The JSON schema of a configuration file, in which every key may be left out and an entry may extend another."""
    schema = Config.model_json_schema()
    definitions = schema["$defs"]
    for name in ("DetectorSpec", "CandidateClassifier", "WholeVolumeClassifier", "BaselineClassifier"):
        description = {"type": "string", "description": "Entry of the same part that this one is laid over."}
        definitions[name]["properties"]["extends"] = description
    return json.dumps(_of_a_part(schema), indent=1) + "\n"


def _of_a_part(schema: Any) -> Any:
    """The schema of any part of what the whole allows, without the titles that pydantic adds."""
    if isinstance(schema, list):
        return [_of_a_part(value) for value in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _of_a_part(value) for key, value in schema.items() if key not in ("required", "discriminator")}
    if isinstance(kept.get("title"), str):
        del kept["title"]
    if isinstance(kept.get("description"), str):
        kept["description"] = " ".join(kept["description"].split())
    return {"anyOf" if key == "oneOf" else key: value for key, value in kept.items()}


def reference_text() -> str:
    """The reference page: a table of keys for each group of settings."""
    groups = {model: place for place, model in _groups(Config, "", set())}
    lines = [HEAD]
    for model, place in groups.items():
        lines += [f"## {f'`{place}`' if place else 'Top level'}", "", (model.__doc__ or "").strip(), ""]
        lines += ["| key | values | default | meaning |", "|---|---|---|---|"]
        schema = model.model_json_schema()
        for key, field in model.model_fields.items():
            description = " ".join((field.description or "").split())
            for inner, named in _models_in(field.annotation):
                if groups.get(inner, _place(place, key, inner, named)) != _place(place, key, inner, named):
                    description += f" Keys as in `{groups[inner]}`."
            values = _value_text(schema["properties"][key])
            lines.append(f"| `{key}` | {values} | {_default(field)} | {description} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _groups(model: type[Settings], place: str, seen: set[type]) -> Iterator[tuple[str, type[Settings]]]:
    """Every group of settings once, at the first place where it stands."""
    if model in seen or not any(field.description for field in model.model_fields.values()):
        return
    seen.add(model)
    yield place, model
    for key, field in model.model_fields.items():
        for inner, named in _models_in(field.annotation):
            yield from _groups(inner, _place(place, key, inner, named), seen)


def _models_in(annotation: Any, named: bool = False) -> list[tuple[type[Settings], bool]]:
    """The groups of settings in a type, and whether each stands under a name of its own."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [(annotation, named)]
    named = named or typing.get_origin(annotation) is dict
    return [found for part in typing.get_args(annotation) for found in _models_in(part, named)]


def _place(place: str, key: str, model: type[Settings], named: bool) -> str:
    """Where a group of settings stands that is the value of a key."""
    kind = model.model_fields.get("kind")
    return f"{place}.{key}".lstrip(".") + (".NAME" if named else "") + (f" ({kind.default})" if kind else "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if isinstance(field.default, Settings) or field.default == {}:
        return ""
    return f"`{field.default if isinstance(field.default, str) else json.dumps(field.default)}`"


_TYPES = {"integer": "whole number", "string": "text", "boolean": "`true`, `false`", "null": "`null`"}
_LIMITS = {
    "minimum": "from",
    "exclusiveMinimum": "above",
    "maximum": "to",
    "exclusiveMaximum": "below",
    "multipleOf": "in steps of",
}


def _value_text(schema: Any) -> str:
    """Type and range of a value in a few words."""
    if "$ref" in schema or schema.get("type") == "object":
        return "keys"
    if alternatives := schema.get("anyOf"):
        return ", ".join(map(_value_text, alternatives))
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema["type"] == "array":
        count = f"{schema['maxItems']} x" if "maxItems" in schema else "list of"
        return f"{count} {_value_text(schema.get('items') or schema['prefixItems'][0])}"
    text = _TYPES.get(schema["type"], schema["type"])
    limits = [f"{sign} {schema[limit]:g}" for limit, sign in _LIMITS.items() if limit in schema]
    return " ".join([text, ", ".join(limits)]).strip()


def commented_text(config: Config) -> str:
    """The whole configuration as YAML; what a key means stands above it, the first time that it comes."""
    return "\n".join(_commented(config, set())) + "\n"


def _commented(settings: Settings, seen: set[tuple[type, str]]) -> Iterator[str]:
    for key, field in type(settings).model_fields.items():
        first = (type(settings), key) not in seen
        seen.add((type(settings), key))
        if first and field.description:
            yield from textwrap.wrap(field.description, 110, initial_indent="# ", subsequent_indent="# ")
        yield from _entry(key, getattr(settings, key), seen)


def _entry(key: str, value: Any, seen: set[tuple[type, str]]) -> Iterator[str]:
    if isinstance(value, Settings):
        yield from (f"{key}:", *(f"  {line}" for line in _commented(value, seen)))
    elif isinstance(value, dict) and any(isinstance(inner, Settings) for inner in value.values()):
        entries = (line for name, inner in value.items() for line in _entry(name, inner, seen))
        yield from (f"{key}:", *(f"  {line}" for line in entries))
    else:
        plain = yaml.safe_dump(json.loads(json.dumps(value)), default_flow_style=True, width=1000)
        yield f"{key}: {plain.strip().removesuffix('...').strip()}"
