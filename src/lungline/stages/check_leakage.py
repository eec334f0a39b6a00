"""Refuse to train when one patient, or a copy of a scan, stands in two splits or has two labels."""

import sys
from pathlib import Path

from lungline.errors import LunglineError
from lungline.privacy.identity import read_identity
from lungline.runner.stage import stage
from lungline.storage.checksums import write_checksummed_text
from lungline.storage.scan_rows import read_manifest
from lungline.storage.tables import table_text
from lungline.training.leakage import find_groups

_MOST_NAMED = 5


@stage
def run(output: Path, *, manifest: Path, identities: Path) -> None:
    """Compare IDENTITIES/{scan}.json of the scans of MANIFEST that are learned from or measured on; write OUTPUT (CSV).

    OUTPUT lists what is only a warning: scans of one patient within one split.
    """
    files = {row: identities / f"{row.scan}.json" for row in read_manifest(manifest) if row.is_case}
    cases = {row: read_identity(path) for row, path in files.items() if path.is_file()}
    usable = [(row, identity) for row, identity in cases.items() if identity.usable]
    groups, placeholders = find_groups(usable)
    leaks = [str(group) for group in groups if group.is_leak]
    if leaks:
        more = f"; and {len(leaks) - _MOST_NAMED} more" if len(leaks) > _MOST_NAMED else ""
        found = f"{len(leaks)} patients stand in more than one split or have two labels"
        mend = "Nothing is trained. Give all scans of a patient one split and one label, or remove the copies."
        raise LunglineError(f"{found}: {'; '.join(leaks[:_MOST_NAMED])}{more}. {mend}")
    warnings = [("T_SAME_SPLIT", ";".join(r.scan for r in g.rows), g.splits[0], ";".join(g.shared)) for g in groups]
    warnings += [("T_PLACEHOLDER", "", "", what) for what in placeholders]
    write_checksummed_text(output, table_text(("flag", "scans", "split", "shared"), warnings))
    print(f"{len(usable)} scans compared: no patient stands in two splits", file=sys.stderr)
    for flag, names, split, shared in warnings:
        whose = f"{names or 'more than half of the scans'} {split and f'({split})'}"
        print(f"{flag}: {whose} same {shared}", file=sys.stderr)
