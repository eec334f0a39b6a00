"""Score points that a person has named, as the classifier scores a candidate there."""

from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
from scipy.special import expit

from lungline.detection.candidates import Candidate, read_candidates
from lungline.device import make_repeatable, pick_device
from lungline.imaging import geometry
from lungline.imaging.intensity import bounding_box
from lungline.imaging.volume import Volume
from lungline.names import SCORE_NAMES, Supervision
from lungline.nodules.given_points import COLUMNS, Point, PointRow, flag_of, nearest, outline_at, place_in, read_points
from lungline.nodules.measurements import Measurements, measure
from lungline.nodules.table import format_value
from lungline.runner.stage import stage
from lungline.storage import hdf5
from lungline.storage.checksums import write_checksummed_text
from lungline.storage.tables import table_text
from lungline.training.false_positive_reduction import read_candidate_cubes
from lungline.training.scoring import load_cube_scorer


@stage
def run(
    output: Path,
    *,
    scan: str,
    points: Path,
    cache: Path,
    detected: Path,
    lungs: Path,
    labels: Path,
    candidates: Path,
    model: Path,
    supervision: Supervision,
    device: str,
    reach_mm: float = 0.0,
) -> None:
    """Write OUTPUT (.csv): a row for each of POINTS, none is lost; a flag says which lies outside scan or lungs.

    POINTS has columns x_mm, y_mm, z_mm or coordX, coordY, coordZ (world mm, LPS), perhaps diameter_mm. The score is
    that of the cube around the point. What the classifier measures there is the outline of the candidate within 5 mm,
    or a ball of diameter_mm, else of 8 mm. A point outside the lungs, but at most REACH_MM away from them, keeps its
    flag and is scored at the voxel of theirs that is nearest. CACHE, DETECTED, LUNGS, LABELS and CANDIDATES are
    files of this scan.
    """
    named, own = read_points(points), list[Candidate]()
    usable = hdf5.read_header(cache).status != "quarantined"
    rows = [PointRow(point.line, *point.xyz_mm, flag="outside-lungs") for point in named]
    if usable and named:
        make_repeatable(seed=0)
        own = read_candidates(candidates)
        mask, ct, labelled = (
            hdf5.read_volume(path, name) for path, name in ((lungs, "mask"), (cache, "ct"), (labels, "labels"))
        )
        rows = [replace(row, flag=flag_of(point, mask)) for row, point in zip(rows, named, strict=True)]
        places = {n: place for n, point in enumerate(named) if (place := place_in(point, mask, reach_mm))}
        score = load_cube_scorer(model, pick_device(device))
        cubes = read_candidate_cubes(cache, detected, [_candidate(one, ct) for one in places.values()], score.size)
        outlines = [outline_at(one, labelled) for one in places.values()]
        measured = [_measured(ct, voxels) for _, voxels in outlines]
        for n, (kind, _), one, logit in zip(places, outlines, measured, score.logits(cubes, measured), strict=True):
            said = {SCORE_NAMES[supervision]: float(expit(logit))}
            rows[n] = replace(rows[n], logit=logit, outline=kind, volume_mm3=one.volume_mm3, **said)  # type: ignore[arg-type]
    for n, point in enumerate(named):
        index, away_mm = nearest(point, [one.centroid_xyz_mm for one in own])
        rank = None if index is None else own[index].rank
        rows[n] = replace(rows[n], nearest_rank=rank, nearest_mm=away_mm)
    cells = [[scan, *map(format_value, astuple(row))] for row in rows]
    write_checksummed_text(output, table_text(COLUMNS, cells))


def _candidate(point: Point, ct: Volume) -> Candidate:
    """A candidate of which only the place is known."""
    z, y, x = geometry.world_to_voxel(ct.affine, point.xyz_mm).tolist()
    return Candidate(point.line, 0.0, 0.0, 0.0, 0.0, 0, z, y, x, *point.xyz_mm, diameter_mm=0.0, label=0)


def _measured(ct: Volume, voxels: np.ndarray) -> Measurements:
    """What is measured over some voxels of the cache, cut out with a voxel around them."""
    box = tuple(slice(max(one.start - 1, 0), one.stop + 1) for one in bounding_box(voxels))
    return measure(ct.crop((box[0], box[1], box[2])), voxels[box])
