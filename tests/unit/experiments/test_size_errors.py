"""The table of errors from measurements whose errors are known."""

import numpy as np
import pytest

from experiments.size_errors.__main__ import LEAST, change_error, repeats_of, report, report_of_changes, table_of
from experiments.size_errors.implanted import (
    Measured,
    Sighting,
    read_measured,
    read_sightings,
    write_measured,
    write_sightings,
)
from experiments.size_errors.implanted import measured as measured_of
from lungline.imaging.geometry import make_affine
from lungline.imaging.volume import Volume


def measured(
    number: int, mean_mm: float | None, ratio: float, slice_mm: float = 1.2, kind: str = "solid", visit: int = 0
) -> Measured:
    found = {} if mean_mm is None else {"mean_mm": mean_mm, "label_mean_mm": mean_mm + 1}
    found |= {} if mean_mm is None else {"volume_mm3": np.pi / 6 * mean_mm**3, "attenuation": kind}
    true = (mean_mm or 5.0) / ratio
    return Measured(f"n{number}", "p", "c", visit, slice_mm, true, np.pi / 6 * true**3, **found)


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
    assert table[0][6:8] == pytest.approx((3 * np.log(ratios).mean(), 3 * np.log(ratios).std(ddof=1)), abs=2e-3)
    assert "found in 18" in report("make", rows)


def test_an_error_that_both_dates_share_is_none_of_the_change_and_another_is() -> None:
    shared = [measured(n, 6.0, 1.5, visit=visit) for n in range(30) for visit in (0, 1)]
    assert change_error(*shared[:2]) == pytest.approx(0)
    assert set(repeats_of(shared).values()) == {LEAST}
    rng = np.random.default_rng(0)
    apart = [measured(n, 6.0, float(np.exp(rng.normal(0, 0.1))), visit=visit) for n in range(400) for visit in (0, 1)]
    assert repeats_of(apart) == {("solid", 2.0, 8.0): pytest.approx(0.3, rel=0.1)}
    mixed = [measured(1, 6.0, 1.0, 1.2), measured(1, 6.0, 2.0, 4.8, visit=1)]
    assert repeats_of(mixed) == {}  # thin and thick slices: no pair
    assert "30 of 30 (100 %)" in report_of_changes("make", shared)


def test_sightings_are_measured_as_they_were_kept(tmp_path) -> None:
    affine = make_affine((1.2, 0.6, 0.6))
    z, y, x = (
        spacing * (index - size)
        for spacing, index, size in zip((1.2, 0.6, 0.6), np.indices((20, 40, 40)), (10, 20, 20), strict=True)
    )
    scan = Volume(np.where(z**2 + y**2 + x**2 < 16, 40, -860).astype(np.int16), affine)
    z, y, x = (index - middle for index, middle in zip(np.indices((24, 24, 24)), (12, 12, 12), strict=True))
    truth = Measured("n", "p", "c", 0, 1.2, 8.0, 268.0)
    missed = Sighting(truth, scan, np.zeros((24, 24, 24), bool))
    write_sightings(tmp_path / "n.npz", [Sighting(truth, scan, z**2 + y**2 + x**2 < 16), missed])
    found, other = (measured_of(one) for one in read_sightings(tmp_path / "n.npz"))
    assert found.mean_mm == pytest.approx(8.0, abs=0.4)
    assert found.volume_mm3 == pytest.approx(268, rel=0.1)
    assert found.attenuation == "solid"
    assert found.core_p50_hu == pytest.approx(40, abs=5)
    assert other == truth
