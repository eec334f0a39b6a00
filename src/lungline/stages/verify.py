"""Verify a result tree: nothing damaged, every input the one that was used, down to the raw scans."""

import dataclasses
import sys
import time
from json import dumps
from pathlib import Path

from lungline.runner.audit import DIFFERENCES, verify_tree
from lungline.storage.checksums import quarantine


def run(results: Path, *, json: bool = False, quarantine_damaged: bool = False) -> int:
    """Compare every file of RESULTS with its checksum, the checksums with the files they name, raw scans with their
    hashes.

    Prints what differs and a table; ends with 0 if nothing does, with 1 if something does. Code that differs from the
    installed one is told and is no difference. JSON prints the same for programs. QUARANTINE_DAMAGED renames what is
    damaged to NAME.damaged, so that the workflow makes it anew.
    """
    started = time.perf_counter()
    report = verify_tree(results)
    if quarantine_damaged:
        for finding in report.findings:
            if finding.kind == "damaged":
                print(f"{finding.file}: {quarantine(results / finding.file)}", file=sys.stderr)
    if json:
        print(dumps({**dataclasses.asdict(report), "differs": report.differs}, indent=2))
        return int(report.differs)
    printed: set[str] = set()
    for finding in report.findings:
        line = f"{finding.kind}: {finding.detail}"
        if finding.kind in DIFFERENCES:
            print(f"{finding.file}: {line}")
        elif line not in printed:  # a note is said once, not once per file
            printed.add(line)
            print(f"{finding.file} (and others like it): {line}")
    for kind, count in report.counts().items():
        print(f"{kind:<22} {count}")
    looked_at = f"{report.files} files, {report.bytes / 1e6:.0f} MB and {report.raw_scans} raw scans"
    outcome = "differences" if report.differs else "all as written"
    print(f"{looked_at} in {time.perf_counter() - started:.1f} s: {outcome}")
    return int(report.differs)
