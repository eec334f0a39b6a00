"""Answer new scans in one process: every stage of the workflow, with models that are trained already."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from lungline import NOTICE
from lungline.errors import LunglineError
from lungline.fingerprint import code_fingerprint
from lungline.names import Device
from lungline.progress import Progress, sayer
from lungline.readers.raw_state import raw_state
from lungline.reports.html import look_digest
from lungline.reports.summary import answer_in_words
from lungline.stages import draw_index, sheet, write_dicom
from lungline.storage.bundle import OUTLINE, PACKAGED, Pipeline, read_pipeline
from lungline.storage.checksums import Origin, check, write_sealed_text
from lungline.storage.manifest import ScanRow, read_sheet, write_sheet
from lungline.storage.predictions import collect, read_answers, write_predictions


def run(
    raw: Path,
    *,
    out: Path = Path("predictions"),
    pipeline: Path = PACKAGED,
    device: Device = "auto",
    keep: bool = False,
    pages: bool = True,
    dicom: bool = True,
) -> int:
    """Read every scan in RAW, write OUT/predictions.csv, OUT/index.html, and candidates, nodules and a page of each.

    OUT/nodules/{scan}.csv and .json say of each candidate where it lies, how large and dense it is, and what was said
    of it; OUT/pages/{scan}.html shows it in the scan, in any browser, without a network. PAGES false leaves out HTML.
    Of a DICOM scan, OUT/private/dicom/{scan}/ says the same for a PACS: seg.dcm (outlines) and sr.dcm (measurements),
    which name the patient as the scan does. DICOM false leaves them out.

    RAW is a folder (DICOM in it or in sub-folders, .mhd, .mha, .nii, .nii.gz at any depth, zips of all that) or one
    such file; several calls with one OUT add up. Scans get pseudonyms; OUT/private/ says who is who, and is not to be
    shared. PIPELINE is the description that a finished run of the workflow leaves, and the answer is then the
    workflow's; without it the models of the package answer; docs/model-card.md says what they are not good for. A scan
    that is answered already is not read again, unless its files, the models or the code have changed, so an
    interrupted call goes on where it stopped. KEEP keeps the files of all stages, in OUT/stages/. Ends with 1 if a scan
    has no answer.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
    recipe = read_pipeline(pipeline)
    sheet.run("folder", raw, out)
    rows = read_sheet(out / "scans.csv")
    same = f"{check(pipeline)} {code_fingerprint('lungline.stages.predict')} {look_digest()}"
    predictions, failures = [], []
    ahead: Progress | None = None  # from the first scan on that is not answered yet
    for number, row in enumerate(rows, start=1):
        raw = out / "private" / "raw" / row.scan
        state = hashlib.sha256(f"{raw_state(raw, row.source).digest} {same}".encode()).hexdigest()
        left = ahead.left(number - 1) if ahead else ""
        say = sayer(f"[{number}/{len(rows)}{', ' if left else ''}{left}] {row.scan}: ")
        try:
            as_dicom = dicom and row.source == "dicom"
            if not _is_answered(out, row.scan, state, pages=pages, dicom=as_dicom):
                ahead = ahead or Progress(len(rows), done=number - 1)
                _answer(row, raw, out, recipe, device=device, keep=keep, pages=pages, dicom=as_dicom, say=say)
                note = json.dumps({"state": state}) + "\n"
                write_sealed_text(_note(out, row.scan), note, Origin("predict", (_answer_file(out, row.scan),)))
            (prediction,) = collect([row], read_answers(_answer_file(out, row.scan)), recipe.system)
        except LunglineError as failure:
            failures.append(f"{row.scan}: {failure}")
            say(str(failure), last=True)
            continue
        predictions.append(prediction)
        hint = "" if prediction.probability is not None else " (`lungline codes` explains)"
        say(answer_in_words(prediction, recipe.learned_from) + hint, last=True)
    write_predictions(out / "predictions.csv", predictions, Origin("predict"))
    if pages:
        draw_index.run(
            out / "index.html", predictions=out / "predictions.csv", nodules=out / "nodules", pages=out / "pages"
        )
    whose = "of the package (docs/model-card.md)" if pipeline == PACKAGED else str(pipeline)
    print(f"answered by the models {whose}, system '{recipe.system}'. {NOTICE}")
    answered = sum(row.probability is not None for row in predictions)
    codes = Counter(code for row in predictions for code in row.codes)
    if codes:
        print(", ".join(f"{code} {n}" for code, n in sorted(codes.items())) + " (`lungline codes` explains)")
    print(f"{out / 'predictions.csv'}: {answered} of {len(rows)} scans have an answer")
    if failures:
        raise LunglineError(f"{len(failures)} of {len(rows)} scans failed, first {failures[0]}")
    return 0 if answered == len(rows) else 1


def _answer(
    row: ScanRow,
    raw: Path,
    out: Path,
    recipe: Pipeline,
    *,
    device: str,
    keep: bool,
    pages: bool,
    dicom: bool,
    say: Callable[[str], None],
) -> None:
    """Every stage of one scan, as the rules of the workflow call them."""
    from lungline.stages import (
        cache_volume,
        crop_patches,
        describe_nodules,
        detect,
        draw_page,
        extract_candidates,
        ingest,
        predict_cancer,
        rank_candidates,
        resample,
        resize_volume,
        segment_lungs,
    )

    scan, settings = row.scan, recipe.settings
    with nullcontext(out / "stages") if keep else tempfile.TemporaryDirectory(prefix=".stages-", dir=out) as folder:
        work = Path(folder)

        def file(stage: str, suffix: str = ".h5") -> Path:
            return work / stage / f"{scan}{suffix}"

        say("reading")
        ingest.run(raw, file("ingest"), source=row.source)  # type: ignore[arg-type]
        say("finding the lungs")
        resample.run(file("ingest"), file("resample"), **settings["resample"])
        segment_lungs.run(file("resample"), file("segment_lungs"), **settings["segment_lungs"])
        cache_volume.run(file("resample"), file("segment_lungs"), file("cache_volume"), **settings["cache_volume"])
        read, searched = "cache_volume", dict[str, Any]()
        if "resize_volume" in settings:
            read = "resize_volume"
            resize_volume.run(file("cache_volume"), file(read), **settings[read])
        if recipe.detector is not None:
            say("searching nodules")
            detect.run(
                work / "cache_volume",
                work / "detect",
                scans=[scan],
                detector=recipe.detector,
                device=device,
                **settings["detect"],
            )
            last = "extract_candidates"
            extract_candidates.run(work / "detect", work / last, scans=[scan], **settings[last])
            if "rank_candidates" in settings:
                last = "rank_candidates"
                rank_candidates.run(
                    work / "extract_candidates",
                    work / last,
                    scans=[scan],
                    caches=work / "cache_volume",
                    detected=work / "detect",
                    reduction=recipe.detector / "reduction",
                    device=device,
                    **settings[last],
                )
            read = "crop_patches"
            crop_patches.run(
                work / read,
                scans=[scan],
                caches=work / "cache_volume",
                detected=work / "detect",
                candidates=work / last,
                **settings[read],
            )
            kept = out / "candidates" / f"{scan}.csv"
            text = file(last, ".csv").read_text(encoding="utf-8")
            made_of = (file("cache_volume"), file("detect"), file(last, ".csv"))
            write_sealed_text(kept, text, Origin("predict", made_of))
            outline = {key: value for key, value in settings["extract_candidates"].items() if key in OUTLINE}
            searched = {"detected": file("detect"), "candidates": kept, **outline}
        say("scoring")
        alone, inputs = file("sheet", ".csv"), work / read
        write_sheet(alone, [row])
        predict_cancer.run(_answer_file(out, scan), model=recipe.model, scans=alone, inputs=inputs, device=device)
        say("describing")
        table, lungs = out / "nodules" / f"{scan}.json", file("segment_lungs")
        describe_nodules.run(
            table,
            scan=scan,
            ingested=file("ingest"),
            volume=file("resample"),
            lungs=lungs,
            answers=_answer_file(out, scan),
            system=recipe.system,
            learned_from=recipe.learned_from,
            **searched,
        )
        if pages:
            probability = searched.get("detected")
            draw_page.run(_page(out, scan), nodules=table, volume=file("resample"), lungs=lungs, detected=probability)
        write_dicom.forget(_dicom(out, scan))
        if dicom:
            write_dicom.run_or_say_why(_dicom(out, scan), scan, raw=raw, nodules=table, **searched)


def _answer_file(out: Path, scan: str) -> Path:
    return out / "answers" / f"{scan}.csv"


def _note(out: Path, scan: str) -> Path:
    return out / "answers" / f"{scan}.json"


def _page(out: Path, scan: str) -> Path:
    return out / "pages" / f"{scan}.html"


def _dicom(out: Path, scan: str) -> Path:
    return out / "private" / "dicom" / scan


def _is_answered(out: Path, scan: str, state: str, *, pages: bool, dicom: bool) -> bool:
    """Whether this scan has an answer, a page and DICOM as far as wanted, from the same files, models and code."""
    note = _note(out, scan)
    made = [note, _answer_file(out, scan), out / "nodules" / f"{scan}.json", *([_page(out, scan)] if pages else [])]
    if not all(path.is_file() for path in made) or (dicom and not write_dicom.is_written(_dicom(out, scan))):
        return False
    for path in made:
        check(path)
    return bool(json.loads(note.read_text(encoding="utf-8")).get("state") == state)
