"""A group of settings is a closed, frozen model; a mistake in it is one sentence that names the place."""

import functools
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from lungline.errors import LunglineError
from lungline.former_names import KEYS, VALUES, now_called
from lungline.names import did_you_mean, known


class Settings(BaseModel):
    """A closed group of settings: no other key, no conversion of types, no change once it is made."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        for key in given:
            try:
                known(str(key), cls.model_fields, "has no key")
            except LunglineError as complaint:
                if former := now_called(str(key), KEYS, cls.model_fields):
                    raise UnknownKey(f"has no key '{key}'.{former}") from None
                raise UnknownKey(str(complaint)) from None
        return {key: _without_lists(value) for key, value in given.items()}


def _without_lists(value: Any) -> Any:
    """The lists of YAML and JSON as tuples, which cannot be changed."""
    return tuple(map(_without_lists, value)) if isinstance(value, list) else value


class UnknownKey(ValueError):
    """A key that a group of settings does not have; the text says which, and the nearest one."""


def read_settings(kind: Any, given: object, where: str) -> Any:
    """The settings of a kind (a subclass of `Settings`, or a union of some) from plain values of YAML or JSON.

    `LunglineError` of one line: `where`, the place in it, what was expected and found, and the nearest key or word.
    """
    try:
        return _adapter(kind).validate_python(given)
    except ValidationError as error:
        raise LunglineError(f"{where}: {_sentence(error, given)}") from None


@functools.cache
def _adapter(kind: Any) -> TypeAdapter:
    return TypeAdapter(kind)


def _sentence(error: ValidationError, given: object) -> str:
    """One line on the mistake with the shortest place; alternatives at one place are joined."""
    places = [(_place(one, given), one) for one in error.errors(include_url=False)]
    inner = {steps[:-1] for steps, _ in places}  # a list whose values are refused is no list that is too short
    places = [(steps, one) for steps, one in places if one["type"] != "too_short" or steps not in inner]
    place = min((steps for steps, _ in places), key=len)
    mistakes = [one for steps, one in places if steps == place]
    first, name = mistakes[0], ".".join(place)
    context = first.get("ctx", {})
    if first["type"] == "value_error":
        sentence = str(context["error"])
        if isinstance(context["error"], UnknownKey):
            return f"{name or 'top level'} {sentence}"
        joint = "." if re.match(r"[\w.]+: ", sentence) else ": "  # the sentence begins with a place of its own
        return f"{name}{joint}{sentence}".lstrip(".: ")
    expected = " or ".join(dict.fromkeys(map(_expected, mistakes)))
    absent = first["type"] == "missing" and not isinstance(first["input"], tuple)
    if absent or first["type"] == "union_tag_not_found":
        return f"{name}: expected {expected}. Found no such key."
    value = context.get("tag", first["input"])
    near = ""
    if isinstance(value, str):
        words = re.findall(r"'(\w+)'", expected)
        near = now_called(value, VALUES, words) or did_you_mean(value, words)
    found = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    return f"{name}: expected {expected}. Found {found if len(found) < 80 else found[:76] + ' ...'}.{near}"


def _place(mistake: Any, given: Any) -> tuple[str, ...]:
    """The keys that lead to a mistake; the members of unions, which pydantic names between them, are left out."""
    place = []
    for step in mistake["loc"]:
        if step in (given if isinstance(given, Mapping) else range(len(given)) if isinstance(given, list) else ()):
            place.append(str(step))
            given = given[step]
        elif mistake["type"] == "missing" and isinstance(given, Mapping) and step == mistake["loc"][-1]:
            place.append(str(step))
    return (*place, "kind") if mistake["type"].startswith("union_tag") else tuple(place)


_WORDS = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "int_type": "a whole number",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "literal_error": "{expected}",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "multiple_of": "a multiple of {multiple_of:g}",
    "none_required": "null",
    "string_pattern_mismatch": "letters, digits, _ and - (not first)",
    "string_too_short": "text",
    "string_type": "text",
    "too_long": "a list of {max_length}",
    "too_short": "{min_length} or more",
    "tuple_type": "a list",
    "union_tag_invalid": "{expected_tags}",
    "union_tag_not_found": "'candidate', 'whole_volume' or 'baseline'",
}


def _expected(mistake: Any) -> str:
    """What should have stood there."""
    if mistake["type"] == "missing":
        return f"a list of more than {len(mistake['input'])}" if isinstance(mistake["input"], tuple) else "a value"
    return _WORDS.get(mistake["type"], mistake["msg"]).format(**mistake.get("ctx", {}))


def _no_value_twice(values: tuple[Any, ...]) -> tuple[Any, ...]:
    for number, value in enumerate(values):
        if value in values[:number]:
            raise ValueError(f"{value!r} stands there twice. Name it once.")
    return values


#: Of a tuple of names or numbers: each at most once.
Once = AfterValidator(_no_value_twice)


def _no_pattern_or_option(path: str) -> str:
    """A path as it is; Snakemake fills what stands in braces, and a command takes a leading - for an option."""
    if re.search(r"^-|[{}]", path) or not path.isprintable():
        raise ValueError(f"expected a path without a leading -, braces and line ends. Found {path!r}. Rename it.")
    return path


#: A path that stands in rules and commands.
Place = Annotated[str, Field(min_length=1), AfterValidator(_no_pattern_or_option)]

#: Names, each at most once.
Names = Annotated[tuple[str, ...], Once]
