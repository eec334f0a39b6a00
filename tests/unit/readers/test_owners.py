"""Records that mean one patient are one group; an empty part is unknown."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from lungline.readers.owners import groups_of, owner_of


@pytest.mark.parametrize(
    ("records", "count"),
    [
        ([("a", "x"), ("a", "x")], 1),
        ([("a", "x"), ("a", "")], 1),
        ([("a", ""), ("", "x")], 1),
        ([("", "")], 1),
        ([("a", "x"), ("", "")], 1),
        ([("a", "x"), ("a", "y")], 2),
        ([("a", "x"), ("b", "x")], 2),
        ([("a", "x"), ("a", "y"), ("a", "")], 3),
        ([("a", "x", ""), ("a", "", "1"), ("", "x", "2")], 3),
    ],
)
def test_groups(records, count):
    found = groups_of(records)
    assert len(set(found.values())) == count
    assert found == groups_of(records[::-1])


def test_a_name_may_be_written_in_several_ways():
    def owner(**elements: object) -> tuple[str, ...]:
        made = Dataset()
        for name, value in elements.items():
            setattr(made, name, value)
        return owner_of(made)

    assert owner(PatientName="Doe^Jane") == owner(PatientName="DOE^JANE^^^") == owner(PatientName="Jane Doe")
    assert owner(PatientBirthDate="19470301") == owner(PatientBirthDate="1947.03.01")
    assert owner(PatientName="Doe^Jane") != owner(PatientName="Doe^John")
