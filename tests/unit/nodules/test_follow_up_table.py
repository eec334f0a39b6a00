"""The table of a follow-up as JSON and CSV."""

import csv
import io
import json
from dataclasses import fields

import numpy as np

from lungline.nodules.follow_up_table import COLUMNS, follow_chains, nodules_as_csv, nodules_as_json
from lungline.nodules.matching import Chain
from lungline.nodules.table import NoduleRow


def nodule(rank: int, volume_mm3: float, mean_mm: float, *, finding: bool = True) -> NoduleRow:
    values = {field.name: None for field in fields(NoduleRow)} | {"laterality": "left", "zone": "upper"}
    sizes = {"volume_mm3": volume_mm3, "long_axis_mm": mean_mm, "mean_diameter_mm": mean_mm, "attenuation": "solid"}
    return NoduleRow(**values | sizes | {"rank": rank, "score": 0.5, "finding": finding})


def chain(*index: int | None) -> Chain:
    return Chain(index, np.zeros((len(index), 3)), (None, *[0.5] * (len(index) - 1)))


SCANS = [
    [nodule(1, 300, 8.0), nodule(2, 200, 7.0), nodule(3, 90, 5.0, finding=False)],
    [nodule(1, 300, 8.0)],
    [nodule(1, 300, 8.0), nodule(2, 400, 9.0), nodule(3, 150, 6.0)],
]
CHAINS = [chain(0, 0, 0), chain(1, None, 1), chain(2, None, None), chain(None, None, 2)]
FOLLOWED = [
    row for _, row in follow_chains(CHAINS, SCANS, [[True] * 3] * 4, days=[0, 100, 300], slice_mm=[1.0, None, 2.5])
]


def test_nodules_stand_by_growth_and_what_was_found_once_after_them() -> None:
    found = [([cell.state for cell in row.cells], row.whole_change) for row in FOLLOWED]
    assert [states for states, _ in found] == [
        ["found", "missed", "found"],
        ["found", "found", "found"],
        ["not-yet", "not-yet", "new"],
    ]
    changes = [change.volume_change_percent if change else None for _, change in found]
    assert changes == [100.0, 0.0, None]
    assert [row.nodule for row in FOLLOWED] == [1, 2, 3]


def test_each_sighting_is_compared_with_the_one_before_it_and_with_the_first() -> None:
    last = FOLLOWED[1].cells[2]
    assert (last.since_previous.scan, last.since_previous.days) == (2, 200)
    assert (last.since_first.scan, last.since_first.days) == (1, 300)
    assert FOLLOWED[0].cells[2].since_previous == FOLLOWED[0].cells[2].since_first
    assert FOLLOWED[0].cells[2].lung_rads_change == ("growing",)
    assert FOLLOWED[1].cells[0].since_previous is None


def test_a_doubling_time_without_end_is_a_word_in_json_and_csv() -> None:
    parsed = json.loads(json.dumps(nodules_as_json(FOLLOWED), allow_nan=False))
    assert parsed[1]["cells"][2]["since_first"]["doubling_days"] == "inf"
    rows = list(csv.DictReader(io.StringIO(nodules_as_csv(FOLLOWED))))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 9
    assert rows[5]["doubling_days_since_first"] == "inf"
    assert float(rows[2]["doubling_days_since_first"]) == 300
    assert rows[2]["lung_rads_change"] == "growing"
    assert rows[1]["volume_mm3"] == ""
