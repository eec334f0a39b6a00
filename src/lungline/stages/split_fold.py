"""Hold one LUNA-16 subset out: the manifest of one fold of the cross-validation."""

from dataclasses import replace
from pathlib import Path

from lungline.errors import LunglineError
from lungline.runner.stage import stage
from lungline.splits import split_of_luna_fold
from lungline.storage.checksums import write_checksummed_text
from lungline.storage.scan_rows import manifest_text, read_manifest


@stage
def run(output: Path, manifest: Path, *, test_fold: int) -> None:
    """Read MANIFEST, write OUTPUT: its LUNA-16 scans with subset TEST_FOLD as the test.

    The subset before it is for validation, all others for training.
    """
    rows = [row for row in read_manifest(manifest) if row.dataset == "luna16"]
    if homeless := [row.scan for row in rows if row.fold is None]:
        named = f"{len(homeless)} LUNA-16 scans have no fold ({', '.join(homeless[:3])})"
        raise LunglineError(f"{manifest}: {named}. Expected 0 to 9.")
    split = [replace(row, split=split_of_luna_fold(row.fold, test_fold)) for row in rows if row.fold is not None]
    write_checksummed_text(output, manifest_text(split))
    print(f"subset {test_fold} of {len(rows)} scans is held out")
