"""Hold one LUNA-16 subset out: the scan sheet of one fold of the cross-validation."""

from dataclasses import replace
from pathlib import Path

from lungline.errors import LunglineError
from lungline.runner.stage import stage
from lungline.splits import split_of_luna_fold
from lungline.storage.checksums import write_sealed_text
from lungline.storage.manifest import read_sheet, sheet_text


@stage
def run(output: Path, scans: Path, *, test_fold: int) -> None:
    """Read the sheet SCANS, write OUTPUT: its LUNA-16 scans with subset TEST_FOLD as the test.

    The subset before it is for validation, all others for training.
    """
    rows = [row for row in read_sheet(scans) if row.dataset == "luna16"]
    if homeless := [row.scan for row in rows if row.fold is None]:
        named = f"{len(homeless)} LUNA-16 scans have no fold ({', '.join(homeless[:3])})"
        raise LunglineError(f"{scans}: {named}. Expected 0 to 9.")
    split = [replace(row, split=split_of_luna_fold(row.fold, test_fold)) for row in rows if row.fold is not None]
    write_sealed_text(output, sheet_text(split))
    print(f"subset {test_fold} of {len(rows)} scans is held out")
