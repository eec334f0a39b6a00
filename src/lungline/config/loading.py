"""From a user's few lines to the whole, checked configuration."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lungline import limits
from lungline.config.models import Config
from lungline.config.settings import read_settings
from lungline.errors import LunglineError
from lungline.names import known

#: The built-in entries of `detectors:` and `classifiers:`.
CATALOGUE = Path(__file__).with_name("catalogue.yaml")


def read_config(mapping: Mapping[str, Any]) -> Config:
    """The whole, checked configuration that a user's mapping asks for; an empty one is the default run.

    `LunglineError` for an unknown key (with the nearest known one), a value out of range, a name in `run`, `models`,
    `classifiers`, `compare` or `extends` that has no entry, and settings that contradict each other.
    """
    whole = laid_over(_read_yaml(CATALOGUE), mapping)
    for part in ("detectors", "classifiers"):
        if isinstance(whole[part], Mapping):
            whole[part] = _extended(whole[part], part)
    return read_settings(Config, whole, "configuration")


def foreign_keys(mapping: Mapping[str, Any]) -> list[str]:
    """Keys of a mapping that are none of ours and no misspelling of one: a workflow that uses this one has its own."""
    ours = {slip for key in Config.model_fields for slip in _slips(key)}
    return [key for key in mapping if not _slips(str(key)) & ours]


def _slips(key: str) -> set[str]:
    """A key, and it with one letter left out: two keys that share one of these are the same or one slip apart."""
    return {key, *(key[:at] + key[at + 1 :] for at in range(len(key)))}


def read_config_files(paths: Iterable[Path], over: Mapping[str, Any] | None = None) -> Config:
    """The configuration of YAML files, each laid over those before it, and `over` laid over all of them."""
    merged: dict[str, Any] = {}
    for path in paths:
        merged = laid_over(merged, _read_yaml(path))
    return read_config(laid_over(merged, over or {}))


def config_text(config: Config) -> str:
    """The whole configuration as JSON."""
    return config.model_dump_json(indent=2) + "\n"


def laid_over(below: Any, above: Any) -> Any:
    """Mappings merged key by key; everything else is replaced."""
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    return {**below, **{key: laid_over(below.get(key), value) for key, value in above.items()}}


def _read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty one."""
    import yaml

    if path.stat().st_size > limits.MAX_YAML_BYTES:
        raise LunglineError(f"{path}: expected at most {limits.MAX_YAML_BYTES} bytes of YAML. Found more.")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise LunglineError(f"{path}: expected YAML. {' '.join(str(error).split())}.") from None
    if not isinstance(found or {}, dict):
        raise LunglineError(f"{path}: expected a mapping of keys to values. Found {type(found).__name__}.")
    return found or {}


def _extended(entries: Mapping[str, Any], part: str) -> dict[str, Any]:
    """The entries, each laid over the one that its `extends` names."""

    def whole(name: str, through: tuple[str, ...]) -> Any:
        entry = entries[name]
        if not isinstance(entry, Mapping) or "extends" not in entry:
            return entry
        if name in through:
            raise LunglineError(f"{part}: {' extends '.join((*through, name))}, a circle. Take one extends away.")
        parent = known(str(entry["extends"]), entries, f"{part}.{name}.extends: no entry")
        own = {key: value for key, value in entry.items() if key != "extends"}
        return laid_over(whole(parent, (*through, name)), own)

    return {name: whole(name, ()) for name in entries}
