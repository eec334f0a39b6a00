"""Whether a result tree is what was written: every file against its seal, along the chain, down to the raw scans."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lungline.errors import CorruptFileError, LunglineError, Quarantine
from lungline.fingerprint import code_fingerprint
from lungline.readers.scan import digests_of_files, hash_of_files, raw_files
from lungline.readers.zips import is_inside, unpacked
from lungline.storage import hdf5
from lungline.storage.checksums import Seal, read_seal, seal_path, sha256
from lungline.storage.manifest import ScanRow, read_sheet
from lungline.storage.predictions import read_predictions

#: Folders and files that need no seal: raw data, tables that people may edit, what Snakemake writes.
UNSEALED = ("cohort", "private", "logs", "benchmarks", "scans.csv", "predictions.csv")

#: What can be found. The first kinds are differences; a note changes no answer.
DIFFERENCES = ("damaged", "missing", "made from another file", "raw scan changed", "contradiction", "no seal")
NOTES = ("made by other code", "set aside", "raw scan not here")


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it was written: which file, of which kind, in words."""

    file: str
    kind: str
    words: str


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
    """Check every sealed file of a result tree, each read once; `LunglineError` if the folder holds none."""
    results = Path(results)
    everything = sorted(path for path in results.rglob("[!.]*") if path.is_file())
    seals = {path: seal for path in everything if (seal := read_seal(path)) is not None}
    files = [path for path in everything if path in seals or path.relative_to(results).parts[0] not in UNSEALED]
    if not seals:
        raise LunglineError(f"{results}: expected a result tree with seals (.NAME.sha256). Found none.")
    sheet = results / "scans.csv"
    scans = read_sheet(sheet) if sheet.is_file() else []
    findings = [
        *(finding for path in files for finding in _about_file(path, seals.get(path), results)),
        *_about_answers(results),
        *(finding for row in scans for finding in _about_raw(row, results)),
    ]
    return Report(len(files), sum(path.stat().st_size for path in files), len(scans), tuple(findings))


def _about_file(path: Path, seal: Seal | None, results: Path) -> Iterator[Finding]:
    """Is it what was written, of inputs that are still the same, by the code that is installed?"""
    name = str(path.relative_to(results))
    if path.suffix == ".damaged":
        yield Finding(name, "set aside", "a damaged file; it can be removed")
        return
    if seal is None:
        yield Finding(name, "no seal", f"nothing says what it was; expected {seal_path(path).name}")
        return
    if sha256(path) != seal.sha256:
        yield Finding(name, "damaged", f"its SHA-256 is {sha256(path)[:12]}, was {seal.sha256[:12] or 'lost'}")
    for place, digest in seal.inputs.items():
        used = path.parent / place
        own_seal = read_seal(used)
        sealed = own_seal.sha256 if own_seal else None
        aside = used.with_name(f"{used.name}.damaged").exists()
        # one that was removed on purpose (`keep_intermediates: false`) counts as what its seal says
        found = sha256(used) if used.is_file() else None if aside else sealed
        if found is None:
            yield Finding(name, "missing", f"its input {place} is not there")
        elif digest not in (found, sealed):  # an input that is damaged is told once, as damaged
            yield Finding(name, "made from another file", f"{place} is {found[:12]}, was {digest[:12]}")
    if seal.stage:
        try:
            code = code_fingerprint(f"lungline.stages.{seal.stage}")
        except ModuleNotFoundError:
            code = "gone"
        if code != seal.code:
            yield Finding(name, "made by other code", f"{seal.stage} was {seal.code}, installed is {code}")


def _about_answers(results: Path) -> Iterator[Finding]:
    """Do the hashes in every row of the answers fit the files beside them?"""
    tables = sorted(results.glob("collect_predictions/*.csv"))
    copy = results / "predictions.csv"
    if copy.is_file() and sha256(copy) not in {sha256(table) for table in tables}:
        yield Finding(copy.name, "damaged", "it is no copy of a table in collect_predictions/")
    for table in tables:
        name = str(table.relative_to(results))
        try:
            rows = read_predictions(table)
        except LunglineError:
            continue  # told as damaged
        sources = read_seal(results / "predict_cancer" / table.name)
        known = set(sources.inputs.values()) if sources else set()
        for row in rows:
            for column in ("scored_sha256", "weights_sha256", "card_sha256"):
                if getattr(row, column) and getattr(row, column) not in known:
                    words = f"scan {row.scan}: {column} is none of the files that were read"
                    yield Finding(name, "contradiction", words)
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


def _about_raw(row: ScanRow, results: Path) -> Iterator[Finding]:
    """Are the raw files those that were ingested? Their names may be a patient's and are never told."""
    name = f"private/raw/{row.scan}"
    header, ingested = _origin_of(row.scan, results), read_seal(results / "ingest" / f"{row.scan}.h5")
    there = (results / name).exists() or is_inside(results / name)
    if header is None or "raw_sha256" not in header.provenance or not there:
        yield Finding(name, "raw scan not here", "its bytes cannot be compared")
        return
    try:
        with unpacked(results / name, row.source) as raw:
            files = raw_files(raw, row.source)
            now, then = Counter(digests_of_files(files)), Counter(ingested.raw if ingested else ())
            same = hash_of_files(files) == header.provenance["raw_sha256"]
    except (OSError, LunglineError, Quarantine) as error:
        yield Finding(name, "raw scan changed", f"it can no longer be read ({type(error).__name__})")
        return
    if not same:
        words = f"{(now - then).total()} of {len(files)} files are new or changed, {(then - now).total()} are gone"
        yield Finding(name, "raw scan changed", words)
