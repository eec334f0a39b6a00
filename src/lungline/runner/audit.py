"""Whether a result tree is as it was written: every file against its checksum, down to the raw scans."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lungline.errors import CorruptFileError, LunglineError, Quarantine
from lungline.fingerprint import code_fingerprint
from lungline.readers.scan import digests_of_files, hash_of_files, raw_files
from lungline.readers.zips import is_inside, unpacked
from lungline.storage import hdf5
from lungline.storage.checksums import Checksum, checksum_path, read_checksum, sha256
from lungline.storage.predictions import read_predictions
from lungline.storage.scan_rows import ScanRow, read_manifest

#: Folders and files that need no checksum: raw data, tables that people may edit, what Snakemake writes.
WITHOUT_CHECKSUM = ("cohort", "private", "masks", "logs", "benchmarks", "manifest.csv", "predictions.csv")

#: How the folder of files that `lungline predict` removes at its end is called, before a word that is drawn.
WORK = ".stages-"

#: What can be found. The first kinds are differences; a note changes no answer.
DIFFERENCES = ("damaged", "missing", "made from another file", "raw scan changed", "contradiction", "no checksum")
NOTES = ("made by other code", "quarantined", "raw scan not here")


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it was written: which file, of which kind, in words."""

    file: str
    kind: str
    detail: str


@dataclass(frozen=True)
class Report:
    """Everything that was found in a result tree, and how much was looked at."""

    files: int
    bytes: int
    raw_scans: int
    findings: tuple[Finding, ...]

    @property
    def differs(self) -> bool:
        return any(finding.kind in DIFFERENCES for finding in self.findings)

    def counts(self) -> dict[str, int]:
        counted = Counter(finding.kind for finding in self.findings)
        return {kind: counted[kind] for kind in (*DIFFERENCES, *NOTES)}


def verify_tree(results: Path) -> Report:
    """Check every checksummed file of a result tree, each read once; `LunglineError` if the folder holds none."""
    results = Path(results)
    everything = sorted(path for path in results.rglob("[!.]*") if path.is_file())
    checksums = {path: checksum for path in everything if (checksum := read_checksum(path)) is not None}
    files = [
        path for path in everything if path in checksums or path.relative_to(results).parts[0] not in WITHOUT_CHECKSUM
    ]
    if not checksums:
        raise LunglineError(f"{results}: expected a result tree with checksums (.NAME.sha256). Found none.")
    manifest = results / "manifest.csv"
    scans = read_manifest(manifest) if manifest.is_file() else []
    answered = _hashes_of_answers(results / "predictions.csv")
    findings = [
        *(finding for path in files for finding in _about_file(path, checksums.get(path), results)),
        *_about_answers(results),
        *(finding for row in scans for finding in _about_raw(row, results, answered.get(row.scan, ""))),
    ]
    return Report(len(files), sum(path.stat().st_size for path in files), len(scans), tuple(findings))


def _about_file(path: Path, checksum: Checksum | None, results: Path) -> Iterator[Finding]:
    """Is it what was written, of inputs that are still the same, by the code that is installed?"""
    name = str(path.relative_to(results))
    if path.suffix == ".damaged":
        yield Finding(name, "quarantined", "a damaged file; it can be removed")
        return
    if checksum is None:
        yield Finding(name, "no checksum", f"nothing says what it was; expected {checksum_path(path).name}")
        return
    if sha256(path) != checksum.sha256:
        yield Finding(name, "damaged", f"its SHA-256 is {sha256(path)[:12]}, was {checksum.sha256[:12] or 'lost'}")
    for place, digest in checksum.inputs.items():
        used = path.parent / place
        own_checksum = read_checksum(used)
        checksummed = own_checksum.sha256 if own_checksum else None
        quarantined = used.with_name(f"{used.name}.damaged").exists()
        if WORK in place and not used.exists():  # `lungline predict` without --keep
            continue
        # one that was removed on purpose (`keep_intermediates: false`) counts as what its checksum says
        found = sha256(used) if used.is_file() else None if quarantined else checksummed
        if found is None:
            yield Finding(name, "missing", f"its input {place} is not there")
        elif digest not in (found, checksummed):  # an input that is damaged is told once, as damaged
            yield Finding(name, "made from another file", f"{place} is {found[:12]}, was {digest[:12]}")
    if checksum.stage:
        try:
            code = code_fingerprint(f"lungline.stages.{checksum.stage}")
        except ModuleNotFoundError:
            code = "gone"
        if code != checksum.code:
            yield Finding(name, "made by other code", f"{checksum.stage} was {checksum.code}, installed is {code}")


def _about_answers(results: Path) -> Iterator[Finding]:
    """Do the hashes in every row of the answers fit the files beside them?"""
    tables = sorted(results.glob("collect_predictions/*.csv"))
    copy = results / "predictions.csv"
    if tables and copy.is_file() and sha256(copy) not in {sha256(table) for table in tables}:
        yield Finding(copy.name, "damaged", "it is no copy of a table in collect_predictions/")
    for table in tables:
        name = str(table.relative_to(results))
        try:
            rows = read_predictions(table)
        except LunglineError:
            continue  # told as damaged
        sources = read_checksum(results / "predict_cancer" / table.name)
        known = set(sources.inputs.values()) if sources else set()
        for row in rows:
            for column in ("scored_sha256", "weights_sha256", "card_sha256"):
                if getattr(row, column) and getattr(row, column) not in known:
                    detail = f"scan {row.scan}: {column} is none of the files that were read"
                    yield Finding(name, "contradiction", detail)
            header = _origin_of(row.scan, results)
            if header and row.input_sha256 and header.provenance.get("raw_sha256") != row.input_sha256:
                yield Finding(name, "contradiction", f"scan {row.scan}: input_sha256 is not the ingested scan's")


def _origin_of(scan: str, results: Path) -> hdf5.Header | None:
    """The header of the earliest file of a scan that is there and sound."""
    for stage in ("ingest", "resample", "segment_lungs", "cache_volume"):
        path = results / stage / f"{scan}.h5"
        try:
            if path.is_file():
                return hdf5.read_header(path)
        except CorruptFileError:
            continue
    return None


def _hashes_of_answers(table: Path) -> dict[str, str]:
    """SHA-256 of the raw files of each scan that is answered, as the table says; none of a table that is damaged."""
    try:
        return {row.scan: row.input_sha256 for row in read_predictions(table)} if table.is_file() else {}
    except LunglineError:
        return {}


def _about_raw(row: ScanRow, results: Path, answered: str) -> Iterator[Finding]:
    """Are the raw files those that were ingested, or `answered`? Their names may be a patient's and are never told."""
    name = f"private/raw/{row.scan}"
    header, ingested = _origin_of(row.scan, results), read_checksum(results / "ingest" / f"{row.scan}.h5")
    there = (results / name).exists() or is_inside(results / name)
    wanted = header.provenance.get("raw_sha256", "") if header else answered
    if not wanted or not there:
        yield Finding(name, "raw scan not here", "its bytes cannot be compared")
        return
    try:
        with unpacked(results / name, row.source) as raw:
            files = raw_files(raw, row.source)
            now, then = Counter(digests_of_files(files)), Counter(ingested.raw if ingested else ())
            same = hash_of_files(files) == wanted
    except (OSError, LunglineError, Quarantine) as error:
        yield Finding(name, "raw scan changed", f"it can no longer be read ({type(error).__name__})")
        return
    if not same and not then:  # only their hash together is known
        yield Finding(name, "raw scan changed", f"the hash of its {len(files)} files is another")
    elif not same:
        detail = f"{(now - then).total()} of {len(files)} files are new or changed, {(then - now).total()} are gone"
        yield Finding(name, "raw scan changed", detail)
