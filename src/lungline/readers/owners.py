"""Whose images these are: the patients and studies of a folder, told apart without a word of them leaving it."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydicom.dataset import Dataset

#: Header elements that say whose an image is.
TAGS = ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID")


def owner_of(header: Dataset) -> tuple[str, ...]:
    """Patient (id, name, date of birth) and study of an image, each brought into one form; "" is unknown."""
    person, name, birth, study = (_text(header, tag) for tag in TAGS)
    words = sorted(re.findall(r"\w+", name.partition("=")[0].casefold()))
    return person.casefold(), " ".join(words), re.sub(r"\D", "", birth), study


def _text(header: Dataset, tag: str) -> str:
    try:
        value: Any = header.get(tag)
    except Exception:  # pydicom raises about nine kinds of exception on damaged elements
        return ""
    return "" if value is None else str(value).strip(" \0")


def groups_of(records: Iterable[Sequence[str]]) -> dict[tuple[str, ...], int]:
    """A number for each different record, the same for those that mean one thing.

    Two records mean one thing if no part of them differs; an empty part is unknown and differs from nothing. A record
    that could belong to several groups belongs to none of them.
    """
    groups: list[list[str]] = []
    found: dict[tuple[str, ...], int] = {}
    for record in sorted({tuple(r) for r in records}, key=lambda r: (-sum(map(bool, r)), r)):
        fitting = [n for n, group in enumerate(groups) if _agree(record, group)]
        if len(fitting) == 1:
            found[record] = fitting[0]
            groups[fitting[0]] = [one or other for one, other in zip(groups[fitting[0]], record, strict=True)]
        else:
            found[record] = len(groups)
            groups.append(list(record))
    return found


def _agree(one: Sequence[str], other: Sequence[str]) -> bool:
    return all(a == b or not a or not b for a, b in zip(one, other, strict=True))
