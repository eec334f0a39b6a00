"""The table `lungs.csv`: the lungs of every scan in numbers, a row each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lungline.imaging.lung_density import NOISY_HU, NUMBERS
from lungline.storage.checksums import write_checksummed_text
from lungline.storage.tables import table_text

COLUMNS = ("scan", *NUMBERS, "noisy")


def write_lung_table(path: Path, numbers: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a row for every scan, empty where it has no numbers.

    `noisy` is `true` where the share below -950 HU is to be read after averaging only.
    """
    rows = [[scan, *(one.get(name) for name in NUMBERS), _noisy(one.get("noise_hu"))] for scan, one in numbers.items()]
    write_checksummed_text(path, table_text(COLUMNS, rows))


def _noisy(noise_hu: float | None) -> str:
    return "" if noise_hu is None else str(noise_hu >= NOISY_HU).lower()
