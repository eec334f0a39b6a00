"""Write the candidates of LUNA-16 scans as a submission in LUNA-16's format, with the list of searched scans."""

from pathlib import Path

from lungline.errors import LunglineError
from lungline.evaluation.marks import candidate_marks
from lungline.evaluation.patient_metrics import refuse_scans_of
from lungline.runner.stage import stage
from lungline.storage.checksums import write_checksummed_text
from lungline.storage.scan_rows import read_manifest
from lungline.storage.submissions import Mark, ids_text, marks_text, submitted


@stage
def run(
    output: Path, *, manifests: tuple[Path, ...], candidates: tuple[Path, ...], detectors: tuple[Path, ...]
) -> None:
    """Write OUTPUT (seriesuid,coordX,coordY,coordZ,probability) and beside it OUTPUT's .seriesuids.csv.

    Of one detector: its MANIFESTS, the folder CANDIDATES with {scan}.csv, and the trained folder DETECTORS. Of a
    cross-validation: several of each, in the same order, put together. A scan is submitted when it is of LUNA-16
    and of the manifest's split `test`; one that its detector was trained on is refused. The probability is
    `submitted` of a candidate's score.
    """
    if not len(manifests) == len(candidates) == len(detectors):
        counts = f"{len(manifests)}, {len(candidates)}, {len(detectors)}"
        raise LunglineError(f"expected as many manifests as folders of candidates and detectors. Got {counts}.")
    marks: dict[str, list[Mark]] = {}
    for manifest, folder, detector in zip(manifests, candidates, detectors, strict=True):
        names = [row.scan for row in read_manifest(manifest) if row.dataset == "luna16" and row.split == "test"]
        refuse_scans_of(detector, names)
        if twice := sorted(marks.keys() & set(names)):
            raise LunglineError(
                f"{manifest}: {len(twice)} scans are tested by another manifest, too ({', '.join(twice[:3])})."
            )
        for scan, found in candidate_marks(names, folder).items():
            marks[scan] = [(x, y, z, submitted(score)) for x, y, z, score in found]
    write_checksummed_text(output, marks_text((scan, mark) for scan, some in marks.items() for mark in some))
    write_checksummed_text(output.with_suffix(".seriesuids.csv"), ids_text(marks))
    print(f"{sum(map(len, marks.values()))} marks in {len(marks)} scans")
