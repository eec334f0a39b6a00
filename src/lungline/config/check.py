"""Checks of the workflow's configuration: a mistake is refused by name, with the nearest thing that exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lungline.config.entries import DetectorSpec, read_system
from lungline.errors import LunglineError
from lungline.names import known

#: Parts of the configuration whose entries may say `extends: NAME`.
EXTENSIBLE = ("detectors", "systems")


def check_config(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse a configuration that the schema does not allow or whose names do not meet.

    Parameters
    ----------
    config : mapping
        As read from YAML, all files merged.
    schema : mapping
        The JSON schema of `config/schema.yaml`, closed at every level.

    Returns
    -------
    dict
        The configuration with every `extends` carried out.

    Raises
    ------
    LunglineError
        For an unknown key (with the nearest known one), a value out of range, a name in `run`, `models`, `systems`
        or `extends` that has no entry, and settings that contradict each other.
    """
    from jsonschema import Draft202012Validator

    config = {
        part: _extended(entries, part) if part in EXTENSIBLE and isinstance(entries, Mapping) else entries
        for part, entries in config.items()
    }
    order = {name: n for part in EXTENSIBLE for n, name in enumerate(config.get(part) or ())}

    def place(error: Any) -> tuple[int, int, str]:
        """Short places first, and an entry before those that extend it, if it stands there first."""
        steps = list(error.absolute_path)
        return len(steps), order.get(steps[1], 0) if len(steps) > 1 else 0, str(steps)

    errors = sorted(Draft202012Validator(schema).iter_errors(config), key=place)
    for error in errors:
        raise LunglineError(_sentence(error))
    for system in config["run"]:
        entry = config["systems"][known(system, config["systems"], "run: no system")]
        if entry["kind"] == "patches":
            known(entry["detector"], config["detectors"], f"systems.{system}.detector: no detector")
            if entry.get("start") == "reduction" and not config["detectors"][entry["detector"]].get("reduction"):
                raise LunglineError(
                    f"systems.{system}.start: detector '{entry['detector']}' has no reduction network to start from. "
                    "Give it one, or start from 'random'."
                )
    for kind, read in (("detectors", DetectorSpec.from_config), ("systems", read_system)):
        for name, entry in config[kind].items():
            try:
                read(entry)
            except LunglineError as error:
                raise LunglineError(f"configuration: {kind}.{name}: {error}") from None
    for system in config["compare"]["systems"] or config["run"]:
        known(system, config["systems"], "compare.systems: no system")
    if config["compare"]["reference"]:
        known(
            config["compare"]["reference"],
            config["compare"]["systems"] or config["run"],
            "compare.reference: no compared system",
        )
    for kind in ("detectors", "systems"):
        for name in config["models"].get(kind, {}):
            known(name, config[kind], f"models.{kind}: no entry")
    return config


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


def laid_over(below: Any, above: Any) -> Any:
    """Mappings merged key by key; everything else is replaced."""
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    return {**below, **{key: laid_over(below.get(key), value) for key, value in above.items()}}


def _sentence(error: Any) -> str:
    """One line that names the place, what was found and what was expected."""
    place = ".".join(str(step) for step in error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        allowed = error.schema.get("properties", {})
        for key in error.instance:
            if key not in allowed:
                try:
                    known(str(key), allowed, f"configuration: {place or 'top level'} has no key")
                except LunglineError as complaint:
                    return str(complaint)
    return f"configuration: {place or 'top level'}: {error.message}."
