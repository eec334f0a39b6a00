"""Export results under the scans' original identifiers, for the owner of `private/` alone."""

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lungline import NOTICE, reports
from lungline.detection.candidates import read_candidates
from lungline.errors import LunglineError, Quarantine
from lungline.nodules.table import NoduleRow, read_nodules
from lungline.privacy.permissions import open_to_others, secret_folder, write_secret
from lungline.privacy.pseudonyms import Original, read_map
from lungline.readers.dicom import nearest_slices
from lungline.readers.dicom_sniff import is_dicom
from lungline.readers.series_uids import SeriesOfScan, series_of_scan
from lungline.readers.studies import place_of_study
from lungline.readers.zips import place_in_zip, unpacked
from lungline.reports.export_tables import (
    SERIES_UID,
    cancer_submission,
    nodule_submission,
    nodule_table,
    original_names,
    predictions_table,
    series_table,
)
from lungline.scan_formats import Source, scan_suffix, source_of_name
from lungline.stages import write_dicom, write_masks
from lungline.storage.predictions import Prediction, read_predictions
from lungline.storage.results import read_result
from lungline.storage.tables import Faults, kind_of_word, read_rows, table_text

#: Parameter files for other programs, as they are exported.
PARAMETERS = Path(reports.__file__).parent / "radiomics"


def run(
    results: Path,
    *,
    out: Path,
    private: Path | None = None,
    dicom: bool = True,
    radiomics: bool = False,
    series: Path | None = None,
) -> None:
    """Write OUT/predictions.csv and, of each data set, its submissions and nodule tables.

    Those are {dataset}-cancer.csv, {dataset}-nodules-{detector}.csv and {dataset}-nodule-table-{classifier}.csv. The
    last names the source slice (SOPInstanceUID) of every candidate of a DICOM scan whose files still lie where they
    were. Such a scan is also written as DICOM, for a PACS: OUT/dicom/{classifier}/{scan}/, see `lungline write-dicom`.

    Folders that are made have mode 0700, files 0600. In a name, what a terminal or a spreadsheet would act upon
    (line ends, a leading = + - @, control characters) stands as \\xNN.

    RESULTS is the folder `outdir` of a finished run, OUT a new folder, or one of yours that nobody else can read.
    PRIVATE is the private folder: RESULTS/private unless your manifest lies elsewhere. DICOM false writes no DICOM.
    With RADIOMICS, OUT/radiomics/ holds image.nii.gz and nodules.nii.gz (labels are ranks) of each scan, the table of
    these pairs, and parameters for PyRadiomics and MIRP (docs/how-to/masks.md).
    SERIES is a table with a column SeriesInstanceUID, as idc-index gives of a selection (`to_csv`): OUT/series.csv says
    of each series in it what predictions.csv says of its scan; its status is missing where no file of it was there, and
    not-chosen where another series of its folder was read. So are the answers for a download of the Imaging Data
    Commons named (`idc download-from-selection`, in folders of any layout), after `lungline predict DOWNLOAD --out
    RESULTS`, which goes on where it stopped.
    """
    if out.exists() and (not out.is_dir() or open_to_others(out)):
        raise LunglineError(f"{out}: expected a new folder, or one of mode 700. Others have rights on this one.")
    rows = read_predictions(results / "predictions.csv")
    private = results / "private" if private is None else private
    known = read_map(private)
    names = original_names(rows, {scan: original.name for scan, original in known.items()})
    tables = {"predictions.csv": predictions_table(rows, names)}
    if series is not None:
        tables["series.csv"] = series_table(_wanted(series), _series(rows, known), rows)
    for dataset in sorted({row.dataset for row in rows}):
        of_set = [row for row in rows if row.dataset == dataset]
        answered = [row for row in of_set if row.split == "test" and row.score is not None]
        if answered:
            tables[f"{dataset}-cancer.csv"] = cancer_submission(answered, names)
        for folder, scans in _searched(results, [row.scan for row in of_set]):
            candidates = {scan: read_candidates(folder / f"{scan}.csv") for scan in scans}
            tables[f"{dataset}-nodules-{folder.name}.csv"] = nodule_submission(candidates, names)
        for classifier, nodules in _described(results, of_set).items():
            slices = {scan: _slices(known[scan].path, those) for scan, those in nodules.items() if scan in known}
            tables[f"{dataset}-nodule-table-{classifier}.csv"] = nodule_table(nodules, slices, names)
    for name, text in tables.items():
        write_secret(out / name, text)
    if dicom:
        _export_dicom(results, private, [row for row in rows if row.scan in known], known, out / "dicom")
    if radiomics:
        _export_radiomics(results, [row for row in rows if row.scan in known], known, out / "radiomics")
    silent = sum(row.status == "quarantined" for row in rows)
    print(f"{out}: {', '.join(tables)}. Original names: do not share. {NOTICE}", file=sys.stderr)
    if silent:
        print(f"{silent} quarantined scans have no probability and no line in a -cancer.csv.", file=sys.stderr)


def _described(results: Path, rows: list[Prediction]) -> dict[str, dict[str, list[NoduleRow]]]:
    """Classifier -> scan -> nodule table, of the scans of `rows` that were described."""
    found: dict[str, dict[str, list[NoduleRow]]] = {}
    for row in rows:
        for path in _tables(results, row.scan):
            if nodules := read_nodules(table := read_result(path)):
                found.setdefault(table["classifier"] or "none", {})[row.scan] = nodules
    return dict(sorted(found.items()))


def _tables(results: Path, scan: str) -> list[Path]:
    """The nodule tables of a scan, one per classifier, by the workflow or by `predict`."""
    found = [*results.glob(f"describe_nodules/*/{scan}.json"), results / f"nodules/{scan}.json"]
    return sorted(path for path in found if path.is_file())


def _export_dicom(
    results: Path, private: Path, rows: list[Prediction], known: Mapping[str, Original], out: Path
) -> None:
    """Every described scan of DICOM as DICOM, below `out`; one line says how many, and why not the others."""
    written, reasons = 0, Counter[str]()
    for row in rows:
        if not _is_dicom(known[row.scan].path):
            continue
        for path in _tables(results, row.scan):
            table = read_result(path)
            folder = out / (table["classifier"] or "none") / row.scan
            made = private / "dicom" / row.scan  # by `lungline predict`
            try:
                if (made / write_dicom.SR).is_file():
                    write_dicom.copy(made, folder)
                else:
                    options = {**_labelled(results, row.scan, table), "input_sha256": row.input_sha256 or None}
                    write_dicom.run(folder, raw=known[row.scan].path, nodules=path, **options)
                written += (folder / write_dicom.SR).is_file()
            except LunglineError as reason:
                reasons[str(reason)] += 1
    if written:
        print(f"{out}: {written} answers as DICOM.", file=sys.stderr)
    for why, count in reasons.items():
        print(f"{count} answers were not written as DICOM: {why}", file=sys.stderr)


def _export_radiomics(results: Path, rows: list[Prediction], known: Mapping[str, Original], out: Path) -> None:
    """Image and mask of every described scan that has findings, their table, and parameter files, below `out`."""
    secret_folder(out)
    pairs, reasons = list[list[object]](), Counter[str]()
    for row in rows:
        for path in _tables(results, row.scan):
            table, raw = read_result(path), known[row.scan].path
            ranks = [nodule.rank for nodule in read_nodules(table) if nodule.finding]
            if not ranks:
                continue
            folder = Path(table["classifier"] or "none") / row.scan
            try:
                options = _labelled(results, row.scan, table)
                write_masks.run(out / folder, raw=raw, source=_source_of(raw), nodules=path, image=True, **options)
            except LunglineError as reason:
                reasons[str(reason)] += 1
                continue
            files = [folder / name for name in (write_masks.IMAGE, f"{write_masks.NODULES}.nii.gz")]
            pairs += [[row.scan, *files, rank] for rank in ranks]
    write_secret(out / "pairs.csv", table_text(("ID", "Image", "Mask", "Label"), pairs))
    for parameters in sorted(PARAMETERS.iterdir()):
        write_secret(out / parameters.name, parameters.read_text(encoding="utf-8"))
    print(f"{out}: {len(pairs)} findings as image and mask.", file=sys.stderr)
    for why, count in reasons.items():
        print(f"{count} scans were not written for radiomics: {why}", file=sys.stderr)


def _source_of(raw: Path) -> Source:
    """The format of a scan."""
    place = place_in_zip(raw)
    return "dicom" if _is_dicom(raw) else source_of_name(place[1] if place else raw.name)


def _labelled(results: Path, scan: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """Label map and table of a scan's candidates, by the workflow or by `predict`: options of `write-dicom`."""
    centres = [(row.z, row.y, row.x) for row in read_nodules(table)]
    if not centres:
        return {}
    folders = [(results / "candidates", results / "candidates")]  # by `predict`
    folders += [(results / "extract_candidates" / last.name, last) for last, _ in _searched(results, [scan])]
    for first, last in folders:
        labels, candidates = first / f"{scan}.h5", last / f"{scan}.csv"
        both = labels.is_file() and candidates.is_file()
        if both and [found.centroid_zyx for found in read_candidates(candidates)] == centres:
            return {"labels": labels, "candidates": candidates}
    raise LunglineError("the label maps of the candidates are gone. Call `lungline predict` or `./run` again.")


def _is_dicom(raw: Path) -> bool:
    if place_of_study(raw):
        return True
    if place := place_in_zip(raw):
        return not scan_suffix(place[1])
    return raw.is_dir() or (raw.is_file() and is_dicom(raw))


def _slices(raw: Path, nodules: list[NoduleRow]) -> list[tuple[str, int]]:
    """Where in the source series each candidate lies; nothing for a scan that is no DICOM or is gone."""
    if not _is_dicom(raw):
        return []
    try:
        with unpacked(raw, "dicom") as files:
            return nearest_slices(files, [(n.x_mm, n.y_mm, n.z_mm) for n in nodules])
    except Quarantine:
        return []


def _wanted(path: Path) -> list[str]:
    """The series of a table, each once, in its order."""
    faults, uids = Faults(path), dict[str, int]()
    for line, cells in read_rows(path, (SERIES_UID,), faults, foreign=True):
        if not re.fullmatch(r"[0-9.]{1,64}", uid := cells[SERIES_UID]):
            faults.add(line, f"expected a {SERIES_UID}, digits and points. Found {kind_of_word(uid)}.")
        uids.setdefault(uid, line)
    faults.refuse()
    return list(uids)


def _series(rows: list[Prediction], known: Mapping[str, Original]) -> dict[str, SeriesOfScan]:
    """The DICOM series of each scan whose files still lie where they were."""
    found = {}
    for row in rows:
        if row.scan in known and os.path.lexists(known[row.scan].path) and _is_dicom(known[row.scan].path):
            with suppress(Quarantine, OSError), unpacked(known[row.scan].path, "dicom") as files:
                found[row.scan] = series_of_scan(files)
    return found


def _searched(results: Path, wanted: list[str]) -> Iterator[tuple[Path, list[str]]]:
    """Each detector's folder of candidates, those of its last stage, and the wanted scans that it searched."""
    last = {path.name: path for stage in ("extract", "rank") for path in results.glob(f"{stage}_candidates/*")}
    for _, detector in sorted(last.items()):
        scans = [scan for scan in wanted if (detector / f"{scan}.csv").is_file()]
        if scans:
            yield detector, scans
