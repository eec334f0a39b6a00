"""Follow the nodules of a patient from one scan to a later one: paired, grown, new, gone."""

import os
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.imaging.registration import RigidTransform, register_lungs
from lungline.imaging.volume import Volume
from lungline.names import Device
from lungline.nodules.matching import SCHEMA, FollowUpRow, follow_nodules, pair_points, rows_as_csv
from lungline.nodules.table import NoduleRow, read_nodules, rows_as_json
from lungline.privacy.identity import IDENTIFIERS, acquisition_date, read_identity
from lungline.readers.listing import list_folder
from lungline.readers.zips import is_inside
from lungline.runner.stage import stage
from lungline.stages import ingest, predict, resample, segment_lungs
from lungline.storage import hdf5
from lungline.storage.checksums import check
from lungline.storage.results import read_result, write_result
from lungline.storage.scan_rows import ScanRow, read_manifest
from lungline.workflow.bundle import PACKAGED, read_bundle

LEAST_OVERLAP = 0.6  # of the lungs of two scans of one patient, at whatever depth of breath


@dataclass(frozen=True)
class Subject:
    """One of the two scans: its HU, its lungs on the same grid, and the nodules that were found in it."""

    ct: Volume
    lungs: Volume
    nodules: list[NoduleRow]


def run(
    before: Path,
    after: Path,
    *,
    out: Path = Path("follow-up"),
    bundle: Path = PACKAGED,
    days: int | None = None,
    tolerance_mm: float = 12.0,
    device: Device = "auto",
) -> None:
    """Write OUT/follow-up.html, .csv and .json of the scans BEFORE and AFTER, and in OUT what `predict` writes of each.

    Each is one scan: a folder of DICOM files, .mhd, .mha, .nii, .nii.gz, or a zip with one of these. One that OUT
    answers already is not predicted again. The two are registered by a rigid transform of the lungs; nodules are
    one where they lie within TOLERANCE_MM. The same scans give the same bytes: what is drawn at random follows the seed
    of the run that trained the classifier. DAYS between the scans are taken from the DICOM headers where both have a
    date; no date is kept.
    """
    recipe = read_bundle(bundle)
    if recipe.detector is None:
        raise LunglineError(f"{bundle}: this classifier looks for no nodules. Name the bundle of one with a detector.")
    places = [_only_scan(raw) for raw in (before, after)]
    if places[0] == places[1]:
        raise LunglineError(f"{after}: expected two scans. BEFORE and AFTER are one; name the earlier, then the later.")
    for place in places:
        predict.run(place, out=out, bundle=bundle, device=device)
    rows = [_row_of(place, out) for place in places]
    tables = [out / "nodules" / f"{row.scan}.json" for row in rows]
    for raw, path in zip((before, after), tables, strict=True):
        if (table := read_result(path))["status"] == "quarantined":
            flags = ", ".join(flag["flag"] for flag in table["flags"])
            raise LunglineError(f"{raw}: this scan could not be used ({flags}). `lungline flags` says what to do.")
    days = _days_between(before, after) if days is None else days
    if days is not None and days < 0:
        raise LunglineError(f"{before}: {-days} days later than the other scan. Name the earlier one first.")
    with tempfile.TemporaryDirectory(prefix=".stages-", dir=out) as work:
        subjects = [_subject(row, out, Path(work), recipe.settings) for row in rows]
        notes = _about_the_patient([Path(work) / f"identity-{row.scan}.json" for row in rows])
    followed, transform = compare(subjects[0], subjects[1], days=days, tolerance_mm=tolerance_mm, seed=recipe.seed)
    write(
        out / "follow-up.json", tables, followed, subjects, transform, days=days, tolerance_mm=tolerance_mm, notes=notes
    )
    found = Counter(row.state for row in followed)
    counts = ", ".join(f"{found[state]} {state}" for state in ("paired", "new", "gone", "not-imaged"))
    print("\n".join([*notes, f"{out / 'follow-up.html'}: {counts}"]))


def compare(
    before: Subject, after: Subject, *, days: int | None, tolerance_mm: float, seed: int = 0
) -> tuple[list[FollowUpRow], RigidTransform]:
    """Register the two scans, at points drawn from the seed, and say what became of each nodule."""
    transform = register_lungs(before.ct, before.lungs, after.ct, after.lungs, seed=seed)
    if transform.overlap < LEAST_OVERLAP:
        found = f"registered, the lungs of the two scans share only {transform.overlap:.0%}"
        wanted = f"expected {LEAST_OVERLAP:.0%}. Are both of one patient, and both whole chests?"
        raise LunglineError(f"{found}; {wanted}")
    old, young = _points(before.nodules), _points(after.nodules)
    moved = transform.apply(old)
    pairs = pair_points(moved, young, tolerance_mm)
    distances = [float(np.linalg.norm(moved[i] - young[j])) for i, j in pairs]
    imaged_before, imaged_after = _imaged(before.ct, transform.apply_inverse(young)), _imaged(after.ct, moved)
    return follow_nodules(before.nodules, after.nodules, pairs, distances, imaged_before, imaged_after, days), transform


@stage
def write(
    output: Path,
    tables: list[Path],
    rows: list[FollowUpRow],
    subjects: list[Subject],
    transform: RigidTransform,
    *,
    days: int | None,
    tolerance_mm: float,
    notes: list[str],
) -> None:
    """Write OUTPUT (.json, layout follow-up/2), the rows as .csv and the page as .html; made from the two TABLES."""
    from lungline.reports.follow_up_page import follow_up_page

    for table in tables:
        check(table)
    result = {
        "schema": SCHEMA,
        "before": {"scan": tables[0].stem},
        "after": {"scan": tables[1].stem},
        "days": days,
        "notes": notes,
        "tolerance_mm": tolerance_mm,
        "overlap": round(transform.overlap, 4),
        "before_to_after_lps_xyz_mm": transform.matrix.round(6).tolist(),
        "nodules": rows_as_json(rows),
    }
    page = follow_up_page(result, rows, subjects[0].ct, subjects[1].ct, transform)
    write_result(output, result, csv=rows_as_csv(rows), html=page)


def _only_scan(raw: Path) -> Path:
    """Where the one scan lies that is meant."""
    if not raw.exists() and not is_inside(raw):
        raise LunglineError(f"{raw}: expected a scan. There is none.")
    found = list_folder(raw.absolute(), b"", None).scans
    if len(found) > 1:
        raise LunglineError(f"{raw}: expected one scan. Found {len(found)}; name one of the folders or files in it.")
    return found[0].path


def _row_of(place: Path, out: Path) -> ScanRow:
    """The scan under the pseudonym that `predict` gave it."""
    links = out / "private/raw"
    return next(row for row in read_manifest(out / "manifest.csv") if os.readlink(links / row.scan) == str(place))


def _subject(row: ScanRow, out: Path, work: Path, settings: Any) -> Subject:
    """The scan as the stages of `predict` see it, which keeps none of their files."""
    scan = row.scan
    ct, volume, lungs = (work / f"{stage}-{scan}.h5" for stage in ("ingest", "resample", "lungs"))
    raw = out / "private/raw" / scan
    ingest.run(raw, ct, source=row.source, identity=work / f"identity-{scan}.json")
    resample.run(ct, volume, **settings["resample"])
    segment_lungs.run(volume, lungs, **settings["segment_lungs"])
    nodules = read_nodules(read_result(out / "nodules" / f"{scan}.json"))
    return Subject(hdf5.read_volume(volume, "ct"), hdf5.read_volume(lungs, "lungs"), nodules)


def _days_between(before: Path, after: Path) -> int | None:
    first, second = acquisition_date(before), acquisition_date(after)
    return None if first is None or second is None else (second - first).days


def _about_the_patient(identities: list[Path]) -> list[str]:
    """What speaks against two scans of one patient."""
    first, second = (read_identity(path).fingerprints for path in identities)
    if first.get("hu_sha256") == second.get("hu_sha256"):
        return ["The two scans are the same, voxel for voxel."]
    ids = [set(fingerprints.get(IDENTIFIERS[0], ())) for fingerprints in (first, second)]
    if all(ids) and not ids[0] & ids[1]:
        return ["The two scans carry different patient ids: check that they are of one patient."]
    return []


def _points(nodules: list[NoduleRow]) -> np.ndarray:
    return np.array([(n.x_mm, n.y_mm, n.z_mm) for n in nodules], dtype=np.float64).reshape(-1, 3)


def _imaged(ct: Volume, points_xyz_mm: np.ndarray) -> list[bool]:
    index = geometry.world_to_voxel(ct.affine, points_xyz_mm)
    return np.all((index >= 0) & (index <= np.array(ct.shape_zyx) - 1), axis=-1).tolist()
