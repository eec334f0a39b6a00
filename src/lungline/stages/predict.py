"""Predict for new scans in one process: the steps of the workflow, with trained models."""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lungline import NOTICE
from lungline.errors import LunglineError, missing
from lungline.fingerprint import code_fingerprint
from lungline.names import Device
from lungline.nodules.patient import Patient, read_patient
from lungline.privacy.identity import age_and_sex
from lungline.progress import Progress, status_line
from lungline.readers.raw_state import raw_state
from lungline.reports.html import style_digest
from lungline.reports.summary import format_answer
from lungline.runner.audit import WORK
from lungline.runner.locks import alone_in_out
from lungline.runner.made_with import made_with
from lungline.runner.one_scan import through_steps
from lungline.runner.stage import stage
from lungline.stages import categories, manifest, render_index, write_dicom, write_masks
from lungline.storage.checksums import check, checksummed_path, remove, sha256, write_checksummed_text
from lungline.storage.lung_table import write_lung_table
from lungline.storage.predictions import Prediction, collect, read_answers, write_predictions
from lungline.storage.results import read_result
from lungline.storage.scan_rows import ScanRow, read_manifest
from lungline.workflow.bundle import PACKAGED, Bundle, check_networks, read_bundle
from lungline.workflow.steps import CANDIDATES, maker_of, steps_of_scan


@alone_in_out
def run(
    raw: Path,
    *,
    out: Path = Path("predictions"),
    bundle: Path = PACKAGED,
    device: Device = "auto",
    keep: bool = False,
    pages: bool = True,
    dicom: bool = True,
    masks: bool = False,
    lungs: Path | None = None,
    lobes: Path | None = None,
    points: Path | None = None,
    patient: Path | None = None,
) -> int:
    """Read every scan in RAW, write OUT/predictions.csv, lungs.csv, index.html, and candidates, nodules, page of each.

    OUT/nodules/{scan}.csv and .json hold place, size, attenuation and scores of each candidate; OUT/pages/{scan}.html
    shows it in the scan, in any browser, without a network. PAGES false leaves out HTML.
    Of a DICOM scan, OUT/private/dicom/{scan}/ holds the findings for a PACS: seg.dcm (a segment each) and sr.dcm
    (measurements), which name the patient as the scan does. DICOM false leaves them out. With MASKS, OUT/masks/{scan}/
    holds nodules (labels are ranks) and lungs (1 right, 2 left) as .nii.gz and .nrrd on the scan's own grid.

    LUNGS and LOBES are label maps of the one scan in RAW by another program (docs/how-to/masks.md): these lungs are
    searched instead of those that would be found, and each nodule gets its lobe. POINTS is a table of positions in
    that scan (columns x_mm, y_mm, z_mm, LPS): OUT/points/{scan}.csv scores each beside the candidates.

    PATIENT is a YAML file about the patient of the one scan in RAW (docs/how-to/categories.md): then the page and
    OUT/categories/{scan}.json and .csv hold what published size rules say of its findings (Lung-RADS, Fleischner, BTS).
    Age and sex that it leaves out are taken from the DICOM header; neither is written.

    RAW is a folder (DICOM in it or in sub-folders, .mhd, .mha, .nii, .nii.gz at any depth, zips of all that) or one
    such file; several calls with one OUT add up, one after the other. Scans get pseudonyms; OUT/private/ says who is
    who, and is not to be shared. BUNDLE is the description that a finished run of the workflow leaves, and the answer
    is then the workflow's; without it the models of the package answer (docs/reference/model-card.md: what not to
    expect). A scan that is answered already is not read again, unless its files, the models or the code have changed,
    so an interrupted call goes on where it stopped. KEEP keeps the files of all stages, in OUT/stages/. Ends with 1 if
    a scan has no answer.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
    recipe, known = read_bundle(bundle), None if patient is None else read_patient(patient)
    for forsaken in out.glob(f"{WORK}*"):  # of a call that was killed
        shutil.rmtree(forsaken, ignore_errors=True)
    manifest.run("folder", raw, out)
    rows = read_manifest(out / "manifest.csv")
    given = _given(rows, raw, lungs=lungs, lobes=lobes, points=points)
    if points and recipe.detector is None:
        raise LunglineError(f"--points: expected models that read candidates. '{recipe.classifier}' does not.")
    more = {"score_points": points, "read_masks": lungs or lobes}
    recipe = replace(recipe, settings={**recipe.settings, **{step: {} for step, file in more.items() if file}})
    if known is not None and len(rows) != 1:
        raise LunglineError(
            f"{patient}: expected one scan in {out}. Found {len(rows)}. Name one scan and another --out, or call "
            "`lungline categories` for each table."
        )
    if dicom and find_spec("highdicom") is None:
        dicom = False
        if any(row.source == "dicom" for row in rows):
            print(f"no seg.dcm, no sr.dcm: {missing('highdicom')}", file=sys.stderr)
    stages = ("predict", *(step.name for step in steps_of_scan(recipe.settings)))
    code = " ".join(code_fingerprint(f"lungline.stages.{stage}") for stage in stages)
    same = " ".join([check(bundle), code, style_digest(), *(f"{name} {sha256(file)}" for name, file in given.items())])
    categorise = partial(_categorise, out=out, patient=known, who=str(patient), pages=pages) if known else None
    answer = partial(answer_scan, out=out, recipe=recipe, device=device, keep=keep, given=given)
    made = made_with(recipe, code, device, given)
    parts = {"pages": pages, "dicom": dicom, "masks": masks}
    predictions, failures = _answer_all(rows, out, recipe, (same, made), parts, answer, categorise)
    _write_table(out / "predictions.csv", predictions, [_answer_file(out, row.scan) for row in predictions])
    _write_lungs(out / "lungs.csv", {row.scan: _nodules(out, row.scan) for row in predictions})
    if pages:
        render_index.run(
            out / "index.html", predictions=out / "predictions.csv", nodules=out / "nodules", pages=out / "pages"
        )
    answered = _say_what_came(bundle, recipe, predictions, f"{out / 'predictions.csv'}", len(rows))
    if failures:
        raise LunglineError(f"{len(failures)} of {len(rows)} scans failed, first {failures[0]}")
    return 0 if answered == len(rows) else 1


def _answer_all(
    rows: Sequence[ScanRow],
    out: Path,
    recipe: Bundle,
    ours: tuple[str, Mapping[str, Any]],
    parts: Mapping[str, bool],
    answer: Callable[..., None],
    categorise: Callable[[ScanRow, Path], None] | None,
) -> tuple[list[Prediction], list[str]]:
    """The predictions of all scans, and why others failed; what is answered in the same state is not done again.

    `ours` is the state of models and code, in one line and as it is written beside each answer.
    """
    predictions, failures = list[Prediction](), list[str]()
    ahead: Progress | None = None  # from the first scan on that is not answered yet
    fits = False
    for number, row in enumerate(rows, start=1):
        raw = out / "private" / "raw" / row.scan
        state = hashlib.sha256(f"{raw_state(raw, row.source).digest} {ours[0]}".encode()).hexdigest()
        left = ahead.left(number - 1) if ahead else ""
        show = status_line(f"[{number}/{len(rows)}{', ' if left else ''}{left}] {row.scan}: ")
        try:
            wanted = {**parts, "dicom": parts["dicom"] and row.source == "dicom"}
            if not _is_answered(out, row.scan, state, **wanted):
                ahead = ahead or Progress(len(rows), done=number - 1)
                if not fits:
                    check_networks(recipe)
                    fits = True
                answer(row, raw, show=show, **wanted)
                _write_note(_note(out, row.scan), _answer_file(out, row.scan), state, ours[1])
            if categorise:
                categorise(row, raw)
            (prediction,) = collect([row], read_answers(_answer_file(out, row.scan)), recipe.classifier)
        except LunglineError as failure:
            if ahead and not fits:
                raise
            failures.append(f"{row.scan}: {failure}")
            show(str(failure), last=True)
            continue
        predictions.append(prediction)
        hint = "" if prediction.score is not None else " (`lungline flags` explains)"
        show(format_answer(prediction, recipe.supervision) + hint, last=True)
    return predictions, failures


def _say_what_came(bundle: Path, recipe: Bundle, predictions: Sequence[Prediction], table: str, scans: int) -> int:
    """Print which models answered how many scans, with which flags; the number of those with an answer."""
    whose = "of the package (docs/reference/model-card.md)" if bundle == PACKAGED else str(bundle)
    print(f"answered by the models {whose}, classifier '{recipe.classifier}'. {NOTICE}")
    answered = sum(row.score is not None for row in predictions)
    flags = Counter(flag for row in predictions for flag in row.flags)
    if flags:
        print(", ".join(f"{flag} {n}" for flag, n in sorted(flags.items())) + " (`lungline flags` explains)")
    print(f"{table}: {answered} of {scans} scans have an answer")
    return answered


def _given(rows: Sequence[ScanRow], raw: Path, **files: Path | None) -> dict[str, Path]:
    """The files about one scan that are named; `LunglineError` if there are several scans, or a file is missing."""
    named = {name: path for name, path in files.items() if path is not None}
    for name, path in named.items():
        if len(rows) != 1:
            raise LunglineError(f"--{name}: expected one scan in {raw}. Found {len(rows)}: name one of its files.")
        if not path.is_file():
            raise LunglineError(f"--{name}: {path}: expected a file. There is none; check its name.")
    return named


def answer_scan(
    row: ScanRow,
    raw: Path,
    *,
    out: Path,
    recipe: Bundle,
    device: str,
    keep: bool,
    pages: bool,
    dicom: bool,
    masks: bool,
    given: Mapping[str, Path],
    show: Callable[[str], None],
) -> None:
    """Every step of one scan, in the order of the workflow."""
    scan, settings = row.scan, recipe.settings
    last = maker_of(CANDIDATES, settings)
    with nullcontext(out / "stages") if keep else tempfile.TemporaryDirectory(prefix=WORK, dir=out) as folder:
        work = Path(folder)
        kept: dict[str, Path] = {
            **({last: out / "candidates" / f"{scan}.csv"} if last else {}),
            "predict_cancer": _answer_file(out, scan),
            "describe_nodules": _nodules(out, scan),
            "render_page": _page(out, scan),
            "score_points": out / "points" / f"{scan}.csv",
        }
        for suffix in ("json", "csv"):
            remove(out / "categories" / f"{scan}.{suffix}")  # of the answer before this one
        steps = [step for step in steps_of_scan(settings) if pages or step.name != "render_page"]
        made = dict(through_steps(row, steps, recipe, work, device=device, raw=raw, given=given, kept=kept, show=show))
        labels = out / "candidates" / f"{scan}.h5"
        if last and (first := made["extract_candidates"].with_suffix(".h5")) != labels:
            _keep(labels, first)
        write_dicom.forget(_dicom(out, scan))
        write_masks.forget(_masks(out, scan))
        searched = {"labels": labels, "candidates": made[last]} if last else {}
        described: dict[str, Any] = {"raw": raw, "nodules": made["describe_nodules"], **searched}
        if dicom:
            write_dicom.run_or_write_reason(_dicom(out, scan), scan, **described)
        if masks:
            show("Writing the masks")
            write_masks.run(_masks(out, scan), source=row.source, lungs=made["segment_lungs"], **described)


def _categorise(row: ScanRow, raw: Path, *, out: Path, patient: Patient, who: str, pages: bool) -> None:
    """Write the categories of a scan's findings, with age and sex of its header where PATIENT has none."""
    table = out / "nodules" / f"{row.scan}.json"
    if row.source == "dicom":
        patient, differs = patient.completed(*age_and_sex(raw))
        for key in differs:
            print(f"{who}: {key} differs from the scan's header. Is it about this patient?", file=sys.stderr)
    page = _page(out, row.scan) if pages else None
    categories.write_beside_answer(
        page, out / "categories" / f"{row.scan}.json", nodules=table, patient=patient, who=who
    )


@stage
def _keep(output: Path, made: Path) -> None:
    """Copy a file of a step that is not kept otherwise."""
    check(made)
    with checksummed_path(output) as temporary:
        shutil.copyfile(made, temporary)


@stage
def _write_note(output: Path, answer: Path, state: str, made: Mapping[str, Any]) -> None:
    """Write that this answer is of this state of files, models and code, and what it was made with."""
    check(answer)
    write_checksummed_text(output, json.dumps({"state": state, "made_with": made}, indent=2) + "\n")


@stage
def _write_table(output: Path, predictions: list[Prediction], answers: list[Path]) -> None:
    """Write one row per scan, made of these answers."""
    for answer in answers:
        check(answer)
    write_predictions(output, predictions)


@stage
def _write_lungs(output: Path, tables: Mapping[str, Path]) -> None:
    """Write the lungs of each scan in numbers, from its table of nodules."""
    write_lung_table(output, {scan: read_result(table)["lungs"] or {} for scan, table in tables.items()})


def _answer_file(out: Path, scan: str) -> Path:
    return out / "answers" / f"{scan}.csv"


def _note(out: Path, scan: str) -> Path:
    return out / "answers" / f"{scan}.json"


def _page(out: Path, scan: str) -> Path:
    return out / "pages" / f"{scan}.html"


def _nodules(out: Path, scan: str) -> Path:
    return out / "nodules" / f"{scan}.json"


def _dicom(out: Path, scan: str) -> Path:
    return out / "private" / "dicom" / scan


def _masks(out: Path, scan: str) -> Path:
    return out / "masks" / scan


def _is_answered(out: Path, scan: str, state: str, *, pages: bool, dicom: bool, masks: bool) -> bool:
    """Whether this scan has an answer, and page, DICOM and masks as wanted, from the same files, models and code."""
    note = _note(out, scan)
    made = [note, _answer_file(out, scan), _nodules(out, scan), *([_page(out, scan)] if pages else [])]
    if not all(path.is_file() for path in made) or (dicom and not write_dicom.is_written(_dicom(out, scan))):
        return False
    without = masks and not write_masks.is_written(_masks(out, scan))
    if without and read_result(_nodules(out, scan))["status"] != "quarantined":
        return False
    for path in made:
        check(path)
    return bool(json.loads(note.read_text(encoding="utf-8")).get("state") == state)
