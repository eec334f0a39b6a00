"""The table of errors from measurements whose errors are known."""

import numpy as np
import pytest

from experiments.size_errors.__main__ import report, table_of
from experiments.size_errors.implanted import Measured, read_measured, write_measured


def measured(number: int, mean_mm: float | None, ratio: float, slice_mm: float = 1.2, kind: str = "solid") -> Measured:
    found = {} if mean_mm is None else {"mean_mm": mean_mm, "label_mean_mm": mean_mm + 1}
    found |= {} if mean_mm is None else {"volume_mm3": np.pi / 6 * mean_mm**3, "attenuation": kind}
    true = (mean_mm or 5.0) / ratio
    return Measured(f"n{number}", "p", "c", slice_mm, true, np.pi / 6 * true**3, **found)


def test_bias_and_deviation_are_those_of_the_logarithm_and_missed_nodules_do_not_count(tmp_path) -> None:
    ratios = [1.1, 1.2, 1.3]
    rows = [measured(i, 6.0, ratio) for i, ratio in enumerate(ratios)]
    rows += [measured(3, None, 1.0)]
    for number, (size, slice_mm, kind) in enumerate(
        [
            (9.0, 1.2, "solid"),
            (6.0, 4.8, "solid"),
            (9.0, 4.8, "solid"),
            (6.0, 1.2, "part-solid"),
            (9.0, 1.2, "ground-glass"),
        ]
    ):
        rows += [measured(10 * number + i, size, ratio, slice_mm, kind) for i, ratio in enumerate((0.9, 1.0, 1.1), 20)]
    write_measured(tmp_path / "rows.csv", rows)
    assert read_measured(tmp_path / "rows.csv") == rows
    table = table_of(rows)
    assert [row[:4] for row in table][:2] == [("solid", 2.0, 8.0, 3), ("solid", 2.0, np.inf, 3)]
    assert table[0][4:6] == pytest.approx((np.log(ratios).mean(), np.log(ratios).std(ddof=1)), abs=1e-3)
    assert table[0][6:] == pytest.approx((3 * np.log(ratios).mean(), 3 * np.log(ratios).std(ddof=1)), abs=2e-3)
    assert "found in 18" in report("make", rows)
