"""Checks of the workflow's configuration: a mistake is refused by name, with the nearest thing that exists."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from lungline.errors import LunglineError


def check_config(config: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Refuse a configuration that the schema does not allow or whose names do not meet.

    Parameters
    ----------
    config : mapping
        As read from YAML, all files merged.
    schema : mapping
        The JSON schema of `config/schema.yaml`, closed at every level.

    Raises
    ------
    LunglineError
        For an unknown key (with the nearest known one), a value out of range, or a name in `run`, `models`
        or `systems` that has no entry.
    """
    from jsonschema import Draft202012Validator

    errors = sorted(Draft202012Validator(schema).iter_errors(config), key=lambda e: (len(e.path), str(e.path)))
    for error in errors:
        raise LunglineError(_sentence(error))
    for system in config["run"]:
        entry = config["systems"][known(system, config["systems"], "run: no system")]
        known(entry["detector"], config["detectors"], f"systems.{system}.detector: no detector")
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


def known(name: str, names: Iterable[str], complaint: str) -> str:
    """`name` if it is one of `names`, else a `LunglineError` that starts with `complaint` and names the nearest."""
    names = list(names)
    if name in names:
        return name
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
    raise LunglineError(f"{complaint} '{name}'.{hint} Known: {', '.join(sorted(names))}.")


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


def lay_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """One configuration over another: mappings merged key by key, as Snakemake does it; all else replaced."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
        merged[key] = lay_over(below[key], value) if both else value
    return merged
