"""Accept a detector at a site: what it would find in the user's own chests, by nodules implanted there."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from lungline.errors import LunglineError
from lungline.evaluation.by_group import read_groups
from lungline.evaluation.mark_formats import not_searched, read_predictions
from lungline.evaluation.marks import doubts, submitted_marks
from lungline.evaluation.site_acceptance import describe_site
from lungline.fingerprint import code_fingerprint
from lungline.names import Device
from lungline.nodules.annotations import COLUMNS, Nodule, read_annotations
from lungline.progress import status_line
from lungline.readers.raw_state import raw_state
from lungline.reports.group_tables import acceptance_markdown
from lungline.runner.foreign_detector import results_in, run_detector, words_of
from lungline.runner.locks import alone_in_out
from lungline.runner.one_scan import through_steps
from lungline.runner.stage import stage
from lungline.stages import manifest
from lungline.storage import hdf5
from lungline.storage.checksums import check, checksummed_path, remove, sha256, write_checksummed_text
from lungline.storage.results import about_data, read_result, write_result
from lungline.storage.scan_rows import ScanRow, read_manifest
from lungline.storage.submissions import ids_text
from lungline.storage.tables import table_text
from lungline.synthetic.implanted_chests import Truth
from lungline.synthetic.site_copies import Request, lesions_of, write_copies
from lungline.synthetic.source_nodules import fresh_nodule_rows
from lungline.workflow.bundle import PACKAGED, Bundle, read_bundle
from lungline.workflow.steps import CANDIDATES, maker_of, steps_of_scan

_GROUPS = tuple(one.name for one in fields(Truth))[2:]
_TRUTH = (*COLUMNS, *_GROUPS)
_OURS = "the models of --bundle"
_UNUSED: dict[str, Any] = {"chest": None, "asked": 0, "copies": [], "truth": []}  # of a chest that is not used


@alone_in_out
def run(
    chests: Path,
    *,
    nodules: Path,
    out: Path = Path("acceptance"),
    detector: str | None = None,
    format: str = "auto",
    only_scans: bool = False,
    copies: int = 4,
    per_scan: int = 6,
    known: Path | None = None,
    bundle: Path = PACKAGED,
    device: Device = "auto",
    synthetic: bool | None = None,
    seed: int = 0,
) -> int:
    """Implant NODULES into CHESTS, run DETECTOR, write OUT/acceptance.json and .md: what it finds on this scanner.

    CHESTS is a scan or a folder of them, as for `lungline predict`; NODULES a folder of cut-outs, such as
    `lungline choose-nodules` makes. OUT/scans/ gets each chest as it is (chest-HASH.mhd, without identifiers, named by
    its pixels) and COPIES of it (chest-HASH-1-HASH.mhd, ...) with PER_SCAN nodules each, on the grid of its scan;
    size (3-6, 6-10, >=10 mm) and what they touch (free, pleural, vascular) come in turn. A nodule for which no place is
    found is left out, and counted. OUT/truth/ says where they lie, as LUNA-16's CSV. Nodules that the packaged models
    learned from are not used.

    DETECTOR is a command with {in} (OUT/scans) and {out} (OUT/answers, an empty folder), run without a shell, its
    output read as FORMAT of `lungline froc`; or a folder or file of results that exists. Without it the models of
    BUNDLE search.
    For a detector that runs elsewhere, call with ONLY_SCANS, run it on OUT/scans, call again with its results.

    Reported are sensitivity and CPM (95 % intervals over chests, where there are two), results by size, attenuation,
    what a nodule touches, depth (central: 20 mm or more from the lung's edge), side and zone (Wilson's intervals, which
    take nodules of one chest for independent), and false positives of the chests as they are. KNOWN
    (LUNA-16's CSV; seriesuid as in OUT/chests.csv) names lesions that the chests have: marks on them count neither way.
    What is done already is not done again. The same SEED, chests and nodules give the same bytes. Ends with 1 if a
    chest could not be used. These nodules were cut from other patients and scanners: a figure from them is no figure
    for patients. Research use only.
    """
    if copies < 1 or per_scan < 1:
        raise LunglineError("--copies and --per-scan: expected 1 or more of each. Found less.")
    recipe = read_bundle(bundle)
    words = None if detector is None or Path(detector).exists() else words_of(detector)
    rows = fresh_nodule_rows(nodules, PACKAGED.parent / "sources.csv")
    request = Request(rows, nodules, copies, per_scan, seed, _by_chest(known))
    parts = _implant_all(chests, out, request, recipe)
    used = {part["chest"]: part for part in parts if part["chest"]}
    scans = _write_tables(out, parts, request)
    if stray := sorted(set(request.known) - set(used)):
        raise LunglineError(
            f"{known}: {len(stray)} findings of no chest in {out / 'chests.csv'}. Take names from there."
        )
    if only_scans:
        print(f"{out / 'scans'}: {len(scans)} scans for a detector. Call again with --detector and its results.")
        return int(len(used) < len(parts))
    if detector is not None and words is None:
        answers = Path(detector)
    else:
        answers = _search(out, scans, words, recipe, sha256(bundle), device)
    _report(
        out / "acceptance.json",
        answers,
        chests=[name for name in used for _ in range(copies)],
        format=format,
        detector=detector or _OURS,
        truth=out / "truth",
        asked=sum(part["asked"] for part in parts),
        synthetic=synthetic,
        seed=seed,
    )
    return int(len(used) < len(parts))


def _by_chest(known: Path | None) -> dict[str, list[Nodule]]:
    found: dict[str, list[Nodule]] = {}
    for nodule in [] if known is None else read_annotations(known, measured=False):
        found.setdefault(nodule.scan, []).append(nodule)
    return found


# ---- the scans ---------------------------------------------------------------------------------------------


def _implant_all(chests: Path, out: Path, request: Request, recipe: Bundle) -> list[dict[str, Any]]:
    """What is known of each chest, in the order of their names; a chest that stands there twice is used once."""
    listed = out / "chests"
    manifest.run("folder", chests, listed)
    rows, parts = read_manifest(listed / "manifest.csv"), {}
    for number, row in enumerate(rows, start=1):
        raw, path = listed / "private" / "raw" / row.scan, out / "parts" / f"{row.scan}.json"
        show = status_line(f"[{number}/{len(rows)}] {row.scan}: ")
        state = _state(raw_state(raw, row.source).digest, request)
        part = _known_part(path, out, state, request)
        if part is None:
            _implant_one(path, row, raw, out=out, state=state, request=request, recipe=recipe, show=show)
            part = read_result(path)
        key = part["chest"] or row.scan
        if key in parts:
            part = {**part, **_UNUSED, "why": "the pixels of a chest before it"}
            key = row.scan
        parts[key] = {**part, "scan": row.scan}
        show(part["why"] or f"{len(part['truth'])} of {part['asked']} nodules implanted", last=True)
    if not any(part["chest"] for part in parts.values()):
        raise LunglineError(
            f"{chests}: no chest that can be used. {out / 'parts'} says why (`lungline flags` explains)."
        )
    return [parts[key] for key in sorted(parts)]


def _state(raw: str, request: Request) -> str:
    names = [[row.name, sha256(request.nodules / "image" / f"{row.name}.nii.gz")] for row in request.rows]
    about = [raw, names, request.copies, request.per_scan, request.seed, code_fingerprint("lungline.stages.acceptance")]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def _known_part(path: Path, out: Path, state: str, request: Request) -> dict[str, Any] | None:
    """What was written of a chest in this state, if its scans are what they were."""
    if not path.is_file():
        return None
    part = read_result(path)
    same = part["state"] == state and part["known"] == lesions_of(request, part["chest"])
    files = {out / "scans" / name: digest for name, digest in part["files"].items()}
    return part if same and all(file.is_file() and check(file) == digest for file, digest in files.items()) else None


@stage
def _implant_one(
    path: Path, row: ScanRow, raw: Path, *, out: Path, state: str, request: Request, recipe: Bundle, show: Any
) -> None:
    """Write the chest as it is, its copies with nodules, and PATH (JSON): where they lie."""
    about: dict[str, Any] = {"what": "acceptance: a chest", "state": state, "known": [], "why": "", "files": {}}
    about |= _UNUSED
    steps = steps_of_scan(recipe.settings)
    steps = steps[: [step.name for step in steps].index("segment_lungs") + 1]
    with tempfile.TemporaryDirectory(prefix=".chest-", dir=out) as folder:
        made = dict(through_steps(row, steps, recipe, Path(folder), device="cpu", raw=raw, show=show))
        header = hdf5.read_header(made["segment_lungs"])
        if header.status == "quarantined":
            about["why"] = ", ".join(flag.flag for flag in header.flags)
        else:
            hu = str(header.provenance["hu_sha256"])
            about |= {"chest": f"chest-{hu[:12]}", "known": lesions_of(request, f"chest-{hu[:12]}")}
            about |= write_copies(out / "scans", about["chest"], int(hu[:16], 16), made, about["known"], request)
    write_result(path, about)


@stage
def _write_tables(out: Path, parts: Sequence[Mapping[str, Any]], request: Request) -> list[str]:
    """Write OUT/chests.csv and OUT/truth/; the names of all scans, those with nodules first."""
    used = [part["chest"] for part in parts if part["chest"]]
    chest_of = {scan: part["chest"] for part in parts for scan in part["copies"]}
    copies = list(chest_of)
    truth = [row for part in parts for row in part["truth"]]
    excluded = []
    for scan in (*copies, *used):
        excluded += [[scan, *one] for one in lesions_of(request, chest_of.get(scan, scan))]
    chests = [[part["chest"] or "", part["scan"], part["asked"], len(part["truth"]), part["why"]] for part in parts]
    tables = {
        "chests.csv": table_text(("chest", "scan", "asked", "implanted", "why_not"), chests),
        "truth/annotations.csv": table_text(COLUMNS, (row[: len(COLUMNS)] for row in truth)),
        "truth/nodules.csv": table_text(_TRUTH, truth),
        "truth/annotations_excluded.csv": table_text(COLUMNS, excluded),
        "truth/seriesuids.csv": ids_text(copies),
        "truth/seriesuids_as_they_are.csv": ids_text(used),
    }
    for name, text in tables.items():
        if not (out / name).is_file() or (out / name).read_text(encoding="utf-8") != text:
            write_checksummed_text(out / name, text)
    wanted = {f"{scan}{suffix}" for scan in (*copies, *used) for suffix in (".mhd", ".zraw")}
    for file in (out / "scans").iterdir():  # of an earlier call with other chests or settings
        if file.name not in wanted:
            file.unlink()
    return [*copies, *used]


# ---- the detector ------------------------------------------------------------------------------------------


def _search(
    out: Path, scans: Sequence[str], words: Sequence[str] | None, recipe: Bundle, bundle: str, device: Device
) -> Path:
    """Run the detector, unless its answers to these scans are there; where they lie."""
    answers, note = out / "answers", out / "answers.json"
    steps = steps_of_scan(recipe.settings)
    last = maker_of(CANDIDATES, recipe.settings)
    if words is None and last is None:
        raise LunglineError(f"--bundle: expected models that read candidates. '{recipe.classifier}' does not.")
    code = "" if words else " ".join(code_fingerprint(f"lungline.stages.{step.name}") for step in steps)
    files = [sha256(out / "scans" / f"{scan}{suffix}") for scan in scans for suffix in (".mhd", ".zraw")]
    about = json.dumps([words, None if words else [bundle, code], files])
    state = hashlib.sha256(about.encode()).hexdigest()
    done = read_result(note) if note.is_file() else {}
    if done.get("state") != state:
        remove(note)
        shutil.rmtree(answers, ignore_errors=True)
        answers.mkdir()
        write_result(note, {"what": "acceptance: answers", "state": state, "done": False})
    elif done["done"]:
        return results_in(answers)
    if words is not None:
        run_detector(list(words), out / "scans", answers, out / "detector.log")
    else:
        steps = steps[: [step.name for step in steps].index(str(last)) + 1]
        for number, scan in enumerate(scans, start=1):
            if (answers / f"{scan}.csv").is_file():
                continue
            show = status_line(f"[{number}/{len(scans)}] {scan}: ")
            row, raw = ScanRow(scan, "mhd", "folder", "test"), out / "scans" / f"{scan}.mhd"
            with tempfile.TemporaryDirectory(prefix=".search-", dir=out) as folder:
                made = dict(through_steps(row, steps, recipe, Path(folder), device=device, raw=raw, show=show))
                _keep(answers / f"{scan}.csv", made[str(last)])
            show("searched", last=True)
    write_result(note, {"what": "acceptance: answers", "state": state, "done": True})
    return results_in(answers)


@stage
def _keep(output: Path, made: Path) -> None:
    """Copy the table of candidates."""
    check(made)
    with checksummed_path(output) as temporary:
        shutil.copyfile(made, temporary)


@stage
def _report(
    output: Path,
    answers: Path,
    *,
    chests: Sequence[str],
    format: str,
    detector: str,
    truth: Path,
    asked: int,
    synthetic: bool | None,
    seed: int,
) -> None:
    """Write OUTPUT (JSON and .md)."""
    nodules = read_annotations(truth / "annotations.csv")
    excluded = read_annotations(truth / "annotations_excluded.csv", measured=False)
    names = {
        name: (truth / f"{name}.csv").read_text(encoding="utf-8").split()
        for name in ("seriesuids", "seriesuids_as_they_are")
    }
    if not nodules:
        raise LunglineError(f"{truth}: no nodule found a place in these chests. Name more chests, or other nodules.")
    scans = [*names["seriesuids"], *names["seriesuids_as_they_are"]]
    used, found = read_predictions(answers, format, scans)
    marks = submitted_marks(found, scans, nodules, excluded)
    implanted = {scan: marks[scan] for scan in names["seriesuids"]}
    plain = {scan: marks[scan] for scan in names["seriesuids_as_they_are"]}
    described = describe_site(implanted, plain, read_groups(truth / "nodules.csv"), chests, seed=seed)
    result = {
        "what": "acceptance: a detector on implanted nodules in a site's own chests",
        "data": about_data(["folder"], synthetic),
        "format": used,
        "intervals": "95 %: bootstrap over scans, over patients: over chests, 1,000 rounds; shares: Wilson",
        "warnings": [*not_searched(answers, used, found, scans), *doubts(marks, described["froc"])],
        "detector": detector,
        "chests": len(plain),
        "implanted_scans": len(implanted),
        "asked_nodules": asked,
        "implanted_nodules": len(nodules),
        **described,
        "seed": seed,
    }
    page = acceptance_markdown(result)
    write_result(output, result, md=page)
    print(page)
