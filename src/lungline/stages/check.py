"""Check a copy of LUNA-16 before days of training: every scan, header and table, in one line for each fault."""

from pathlib import Path
from typing import Literal

from lungline.errors import Quarantine
from lungline.evaluation.luna16_copy import LUNA16, Facts, Report, check_copy
from lungline.progress import status_line
from lungline.readers.scan import hash_of_files, hash_of_hu, raw_files, read_scan
from lungline.storage.checksums import write_checksummed_text
from lungline.storage.tables import read_rows, table_text

COLUMNS = ("seriesuid", "state", "files_sha256", "hu_sha256")


def run(dataset: Literal["luna16"], folder: Path, *, pixels: Path | None = None) -> int:
    """Check FOLDER, which holds subset0 to subset9 and the tables of LUNA-16; ends with 1 if something is wrong.

    A line for each fault: scans missing, in two subsets or none of the 888; headers that cannot be read or do not fit
    their pixel file; other sizes or spacings than LUNA-16's; annotations.csv (1,186 nodules) and candidates_V2.csv
    other than the challenge's, or outside the grid of their scan; files that do not belong there. A line, too, for each
    flipped header (TransformMatrix), and whether the findings of the scan show that it is read right. Takes seconds:
    only headers and tables are read.

    PIXELS is a table (CSV) to write: then every pixel is read, too, and its checksums are kept there. An interrupted
    call goes on where it stopped; a later one reads only files whose size or time has changed, and names those whose
    bytes have. Two scans with the same HU are a fault.

    `lungline.evaluation.luna16_copy` says what is known of LUNA-16, and from where.
    """
    report = report_on(folder, LUNA16, pixels)
    for line in (*report.notes, *report.faults):
        print(line)
    flipped = sum("flipped header" in line for line in report.notes)
    counts = f"{len(report.scans)} scans, {flipped} with a flipped header"
    print(f"{folder}: {counts}; {len(report.faults)} faults" + ("" if report.faults else ": LUNA-16, as it should be"))
    return int(bool(report.faults))


def report_on(folder: Path, facts: Facts, pixels: Path | None) -> Report:
    """What is wrong with a copy, and what is to be known of it."""
    report = check_copy(folder, facts)
    if pixels is not None:
        _check_pixels(report, pixels)
    return report


def _check_pixels(report: Report, table: Path) -> None:
    """Read every scan whose header is right, unless TABLE has it in the state of its files."""
    kept = {cells["seriesuid"]: cells for _, cells in read_rows(table, COLUMNS)} if table.is_file() else {}
    done: dict[str, dict[str, str]] = {}
    scans = sorted(report.readable)
    for number, uid in enumerate(scans, start=1):
        path, before = report.scans[uid], kept.get(uid)
        where = f"{path.parent.name}/{uid}"
        files = raw_files(path, "mhd")
        state = " ".join(f"{one.stat().st_size}:{one.stat().st_mtime_ns}" for one in files)
        if before and before["state"] == state:
            done[uid] = before
            continue
        status_line(f"[{number}/{len(scans)}] ")(where)
        try:
            hashes = hash_of_files(files), hash_of_hu(read_scan(path, "mhd")[0])
        except (Quarantine, OSError) as error:
            reason = error.detail if isinstance(error, Quarantine) else error.strerror
            report.faults.append(f"{where}: its pixels cannot be read ({reason}). Unpack it again.")
            continue
        now = dict(zip(COLUMNS, (uid, state, *hashes), strict=True))
        if before and before["files_sha256"] != now["files_sha256"]:
            report.faults.append(
                f"{where}: its bytes are no longer those in {table.name}. Unpack it again, or ask why."
            )
        done[uid] = now
        _write(table, {**kept, **done})
    _write(table, done)
    first: dict[str, str] = {}
    for uid, row in done.items():
        if (other := first.setdefault(row["hu_sha256"], uid)) != uid:
            report.faults.append(f"{report.scans[uid].parent.name}/{uid}: the same HU as {other}. One is a copy.")


def _write(table: Path, rows: dict[str, dict[str, str]]) -> None:
    write_checksummed_text(table, table_text(COLUMNS, ([row[name] for name in COLUMNS] for row in rows.values())))
