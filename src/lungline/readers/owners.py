"""Whose images these are: the patients and studies of a folder, told apart without a word of them leaving it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

from lungline.readers.dicom_values import text_of

if TYPE_CHECKING:
    from lungline.readers.dicom_headers import Slice

#: Header elements that say whose an image is.
TAGS = ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID")
_FEW_UIDS = 8  # series that a study may well have


def owner_of(header: Dataset) -> tuple[str, ...]:
    """Patient (id, name, date of birth) and study of an image, each brought into one form; "" is unknown."""
    person, name, birth, study = (text_of(header, tag) for tag in TAGS)
    words = sorted(re.findall(r"\w+", name.partition("=")[0].casefold()))
    return person.casefold(), " ".join(words), re.sub(r"\D", "", birth), study


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


def without_single_uids(slices: "list[Slice]") -> "list[Slice]":
    """Slices without a study or series that nearly each has for itself alone.

    That is what a careless anonymisation leaves; it tells no slice from another. A frame of reference for each does:
    then nothing says that the places of two slices can be compared.
    """
    single = [
        len(uids) > max(_FEW_UIDS, len(slices) / 2) for uids in map(set, zip(*map(_uids_of, slices), strict=True))
    ]
    if not any(single):
        return slices
    kept = [["" if drop else uid for drop, uid in zip(single, _uids_of(item), strict=True)] for item in slices]
    return [
        replace(item, owner=(*item.owner[:-1], study), series=series)
        for item, (study, series) in zip(slices, kept, strict=True)
    ]


def _uids_of(item: "Slice") -> tuple[str, str]:
    return item.owner[-1], item.series
