"""Follow the nodules of a patient from one scan to the next: found again, grown, new, missed, gone."""

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate, combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.imaging.registration import RigidTransform, register_lungs
from lungline.imaging.volume import Volume
from lungline.names import Device
from lungline.nodules.follow_up_table import SCHEMA, FollowedNodule, follow_chains, nodules_as_csv, nodules_as_json
from lungline.nodules.growth import ErrorOf, error_of_table
from lungline.nodules.matching import Chain, chain_points
from lungline.nodules.table import NoduleRow, read_nodules
from lungline.privacy.identity import IDENTIFIERS, acquisition_date, read_identity
from lungline.readers.only_scan import only_scan
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
    """One of the scans: its HU, its lungs on the same grid, and the nodules that were found in it."""

    ct: Volume
    lungs: Volume
    nodules: list[NoduleRow]
    slice_mm: float | None = None  # distance of its slices as it was read


@dataclass(frozen=True)
class Timeline:
    """The scans in their order."""

    raws: list[Path]
    days: list[int | None]  # of each since the first
    ordered_by: str  # "dates" in the headers, or "given"
    notes: list[str]


@dataclass(frozen=True)
class Followed:
    """The nodules over all scans, each with the chain of its places, and the transform from each scan to the next."""

    nodules: list[tuple[Chain, FollowedNodule]]
    transforms: list[RigidTransform]

    @property
    def rows(self) -> list[FollowedNodule]:
        return [nodule for _, nodule in self.nodules]


def run(
    before: Path,
    after: list[Path],
    *,
    out: Path = Path("follow-up"),
    bundle: Path = PACKAGED,
    days: str | None = None,
    tolerance_mm: float = 12.0,
    device: Device = "auto",
) -> None:
    """Write OUT/follow-up.html, .csv and .json of the scans BEFORE and AFTER, and in OUT what `predict` writes of each.

    Each is one scan: a folder of DICOM files, .mhd, .mha, .nii, .nii.gz, or a zip with one of these; AFTER may be
    several. One that OUT answers already is not predicted again. Scans are ordered by the dates in their DICOM headers
    where all have one, else as they are given; no date is kept, only the days between. DAYS gives them instead, between
    each scan and the next, as 90 or 90,180, and the order is then as given.

    Each scan is registered to the next by a rigid transform of the lungs; nodules are one where they lie within
    TOLERANCE_MM. The same scans give the same bytes: what is drawn at random follows the seed of the run that trained
    the classifier.
    """
    recipe = read_bundle(bundle)
    if recipe.detector is None:
        raise LunglineError(f"{bundle}: this classifier looks for no nodules. Name the bundle of one with a detector.")
    if not tolerance_mm > 0:
        raise LunglineError(f"--tolerance-mm: expected more than 0. Found {tolerance_mm:g}.")
    raws = [before, *after]
    since = None if days is None else _since_first(days, len(after))
    places = [only_scan(raw).path for raw in raws]
    for i, raw in enumerate(raws):
        if places[i] in places[:i]:
            same = raws[places.index(places[i])]
            raise LunglineError(f"{raw}: expected scans that differ. It is the same as {same}; name each once.")
    for place in places:
        predict.run(place, out=out, bundle=bundle, device=device)
    row_of = {raw: _row_of(place, out) for raw, place in zip(raws, places, strict=True)}
    for raw, row in row_of.items():
        if (table := read_result(_table_of(row, out)))["status"] == "quarantined":
            flags = ", ".join(flag["flag"] for flag in table["flags"])
            raise LunglineError(f"{raw}: this scan could not be used ({flags}). `lungline flags` says what to do.")
    line = timeline(raws, [acquisition_date(raw) for raw in raws], since)
    rows = [row_of[raw] for raw in line.raws]
    with tempfile.TemporaryDirectory(prefix=".follow-up-", dir=out) as work:
        subjects = [_subject(row, out, Path(work), recipe.settings) for row in rows]
        notes = [*line.notes, *_about_the_patient([Path(work) / f"identity-{row.scan}.json" for row in rows])]
    followed = compare(subjects, days=line.days, tolerance_mm=tolerance_mm, seed=recipe.seed)
    write(
        out / "follow-up.json",
        [_table_of(row, out) for row in rows],
        followed,
        subjects,
        days=line.days,
        ordered_by=line.ordered_by,
        tolerance_mm=tolerance_mm,
        notes=notes,
    )
    found = Counter(cell.state for row in followed.rows for cell in row.cells)
    counts = ", ".join(f"{found[state]} {state}" for state in ("found", "new", "missed", "gone", "not-imaged"))
    order = "the dates in their headers" if line.ordered_by == "dates" else "the order given"
    print("\n".join([*notes, f"{len(raws)} scans, by {order}; {len(followed.rows)} nodules"]))
    print(f"{out / 'follow-up.html'}: {counts}")


def timeline(raws: Sequence[Path], dates: Sequence[date | None], since_first: list[int | None] | None) -> Timeline:
    """The scans in their order; `dates` are those of the headers, `since_first` the days that the user gives instead.

    `LunglineError` if dates contradict an order that they do not settle.
    """
    known = [one for one in dates if one is not None]
    back = next((k for k in range(1, len(known)) if known[k] < known[k - 1]), None)
    if since_first is not None:
        note = "The dates in the headers contradict the order given; --days counts."
        return Timeline(list(raws), since_first, "given", [] if back is None else [note])
    if len(known) == len(raws):
        order = sorted(range(len(raws)), key=lambda k: known[k])
        named = ", ".join(str(k + 1) for k in order)
        note = f"Ordered by the dates in the headers; in that order they were named as {named}."
        notes = [] if back is None else [note]
        first = known[order[0]]
        return Timeline([raws[k] for k in order], [(known[k] - first).days for k in order], "dates", notes)
    if back is not None:
        late = [raw for raw, one in zip(raws, dates, strict=True) if one is not None][back]
        raise LunglineError(
            f"{late}: expected the earlier scan first. Its date is before that of a scan named before it, and not all "
            "scans have one. Name them in their order."
        )
    since = [None if one is None or dates[0] is None else (one - dates[0]).days for one in dates]
    return Timeline(list(raws), since, "given", [])


def _since_first(words: str, gaps: int) -> list[int | None]:
    parts = words.split(",")
    if len(parts) != gaps or not all(part.strip().isdecimal() and len(part) < 7 for part in parts):
        wanted = "a number" if gaps == 1 else f"{gaps} numbers with commas between"
        raise LunglineError(f"--days: expected {wanted}: days from each scan to the next. Found '{words}'.")
    return [0, *accumulate(int(part) for part in parts)]


def compare(
    subjects: Sequence[Subject],
    *,
    days: Sequence[int | None],
    tolerance_mm: float,
    seed: int = 0,
    error_of: ErrorOf = error_of_table,
) -> Followed:
    """Register each scan to the next, at points drawn from the seed, and say what became of each nodule."""
    transforms = []
    for number, (one, other) in enumerate(pairwise(subjects), start=1):
        transform = register_lungs(one.ct, one.lungs, other.ct, other.lungs, seed=seed)
        if transform.overlap < LEAST_OVERLAP:
            found = f"registered, the lungs of scans {number} and {number + 1} share only {transform.overlap:.0%}"
            wanted = f"expected {LEAST_OVERLAP:.0%}. Are both of one patient, and both whole chests?"
            raise LunglineError(f"{found}; {wanted}")
        transforms.append(transform)
    chains = chain_points([_points(one.nodules) for one in subjects], transforms, tolerance_mm)
    places = np.array([chain.places_xyz_mm for chain in chains]).reshape(-1, len(subjects), 3)
    imaged = np.array([_imaged(one.ct, places[:, k]) for k, one in enumerate(subjects)]).T.tolist()
    nodules = [one.nodules for one in subjects]
    slices = [one.slice_mm for one in subjects]
    return Followed(follow_chains(chains, nodules, imaged, days, slices, error_of), transforms)


@stage
def write(
    output: Path,
    tables: list[Path],
    followed: Followed,
    subjects: list[Subject],
    *,
    days: list[int | None],
    ordered_by: str,
    tolerance_mm: float,
    notes: list[str],
) -> None:
    """Write OUTPUT (.json, layout follow-up/3), the table as .csv and the page as .html; made from the TABLES."""
    from lungline.reports.follow_up_page import follow_up_page

    for table in tables:
        check(table)
    scans: list[dict[str, Any]] = []
    for k, table in enumerate(tables):
        before = followed.transforms[k - 1] if k else None
        scans.append(
            {
                "scan": table.stem,
                "days": days[k],
                "slice_mm": subjects[k].slice_mm,
                "overlap": None if before is None else round(before.overlap, 4),
                "previous_to_this_lps_xyz_mm": None if before is None else before.matrix.round(6).tolist(),
            }
        )
    result = {
        "schema": SCHEMA,
        "scans": scans,
        "ordered_by": ordered_by,
        "notes": notes,
        "tolerance_mm": tolerance_mm,
        "nodules": nodules_as_json(followed.rows),
    }
    page = follow_up_page(result, followed.nodules, [one.ct for one in subjects], followed.transforms)
    write_result(output, result, csv=nodules_as_csv(followed.rows), html=page)


def _row_of(place: Path, out: Path) -> ScanRow:
    """The scan under the pseudonym that `predict` gave it."""
    links = out / "private/raw"
    return next(row for row in read_manifest(out / "manifest.csv") if os.readlink(links / row.scan) == str(place))


def _table_of(row: ScanRow, out: Path) -> Path:
    return out / "nodules" / f"{row.scan}.json"


def _subject(row: ScanRow, out: Path, work: Path, settings: Any) -> Subject:
    """The scan as the stages of `predict` see it, which keeps none of their files."""
    scan = row.scan
    ct, volume, lungs = (work / f"{stage}-{scan}.h5" for stage in ("ingest", "resample", "lungs"))
    raw = out / "private/raw" / scan
    ingest.run(raw, ct, source=row.source, identity=work / f"identity-{scan}.json")
    resample.run(ct, volume, **settings["resample"])
    segment_lungs.run(volume, lungs, **settings["segment_lungs"])
    nodules = read_nodules(read_result(_table_of(row, out)))
    slice_mm = round(float(geometry.spacing_zyx_mm(hdf5.read_grid(ct, "ct")[1])[0]), 4)
    return Subject(hdf5.read_volume(volume, "ct"), hdf5.read_volume(lungs, "lungs"), nodules, slice_mm)


def _about_the_patient(identities: list[Path]) -> list[str]:
    """What speaks against scans of one patient."""
    prints = [read_identity(path).fingerprints for path in identities]
    notes = []
    for (i, one), (j, other) in combinations(enumerate(prints, start=1), 2):
        if one.get("hu_sha256") == other.get("hu_sha256"):
            notes.append(f"Scans {i} and {j} are the same, voxel for voxel.")
        ids = [set(fingerprints.get(IDENTIFIERS[0], ())) for fingerprints in (one, other)]
        if all(ids) and not ids[0] & ids[1]:
            notes.append(f"Scans {i} and {j} carry different patient ids: check that they are of one patient.")
    return notes


def _points(nodules: list[NoduleRow]) -> np.ndarray:
    return np.array([(n.x_mm, n.y_mm, n.z_mm) for n in nodules], dtype=np.float64).reshape(-1, 3)


def _imaged(ct: Volume, points_xyz_mm: np.ndarray) -> list[bool]:
    index = geometry.world_to_voxel(ct.affine, points_xyz_mm)
    return np.all((index >= 0) & (index <= np.array(ct.shape_zyx) - 1), axis=-1).tolist()
