"""Figures on the implanted test scans of a finished `config/pretrained.yaml`: nothing is chosen here."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from lungline.config.entries import DetectorSpec
from lungline.config.settings import read_settings
from lungline.detection.candidates import Candidate, read_candidates
from lungline.evaluation.auc import auc, auc_difference
from lungline.evaluation.cancer_metrics import brier, calibration_error
from lungline.evaluation.free_response import CPM_POINTS, Finding, ScanMarks, ScanScore, froc, froc_intervals, match
from lungline.evaluation.intervals import Estimate, bootstrap, percentile_interval, resamples, wilson
from lungline.evaluation.marks import candidate_marks, submitted_marks
from lungline.nodules.annotations import read_annotations
from lungline.nodules.measurements import measure_candidates
from lungline.stages import rank_candidates
from lungline.storage import hdf5
from lungline.storage.scan_rows import read_manifest
from lungline.storage.submissions import Mark
from lungline.training.cases import RatedNodule, read_rated_nodules
from lungline.training.false_positive_reduction import read_candidate_cubes
from lungline.training.model_folder import checked_card, load_cancer_net
from lungline.training.patients import features_of, patient_logits

OURS, BASELINE = "pretrained", "paper-small"  # entries of the configuration
ROUNDS = 1000
LARGE_MM = 5.0
KEPT = 20  # candidates of a scan
ASKED = 0.8  # sensitivity at which false positives are counted
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
_AROUND = 6  # voxels around a nodule in which its Dice is measured


@dataclass(frozen=True)
class Line:
    """One figure of one detector or classifier."""

    who: str
    figure: str
    count: str
    value: Estimate


def scans_of(results: Path, split: str) -> list[str]:
    return [row.scan for row in read_manifest(results / "manifest.csv") if row.split == split]


def without_lesions(marks: Mapping[str, ScanMarks], known: Mapping[str, ScanMarks], most: int) -> dict[str, ScanMarks]:
    """The first `most` marks of each scan that lie on none of the excluded findings of `known`, unless on a nodule.

    A consolidation that fills half a lobe takes most places among 20; it is known, and not what is measured.
    """
    kept = {}
    for scan, own in marks.items():
        points, scores = np.asarray(own.points_xyz_mm, dtype=np.float64).reshape(-1, 3), np.asarray(own.scores)
        on_lesion = _inside_any(points, known[scan].excluded) & ~_inside_any(points, known[scan].nodules)
        order = np.argsort(-scores[~on_lesion], kind="stable")[:most]
        kept[scan] = ScanMarks(points[~on_lesion][order], scores[~on_lesion][order], own.nodules, own.excluded)
    return kept


def _inside_any(points: NDArray[np.float64], findings: Sequence[Finding]) -> NDArray[np.bool_]:
    inside = np.zeros(len(points), dtype=bool)
    for finding in findings:
        inside |= np.linalg.norm(points - np.asarray(finding.centre_xyz_mm), axis=1) < finding.diameter_mm / 2
    return inside


def folder_of(output: Path, *made_by: Path) -> Path:
    """OUTPUT/{key}: one folder for all that is made with the weights of which these files tell, and with no others."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in made_by))
    return output / digest.hexdigest()[:12]


def rank_all(results: Path, detector: str, output: Path) -> Path:
    """Every candidate of the test scans ranked by the FPR network of the result tree: in which folder."""
    fpr = results / "train_unet" / detector / "fpr"
    output = folder_of(output, fpr / "card.json")
    detected, candidates = results / "detect" / detector, results / "extract_candidates" / detector
    rank_every(scans_of(results, "test"), candidates, output, results / "cache_volume", detected, fpr)
    return output


def rank_every(scans: Sequence[str], candidates: Path, output: Path, caches: Path, detected: Path, fpr: Path) -> None:
    """As `rank_candidates`, but of every candidate, not the first 20 alone; what is in OUTPUT is kept."""
    missing = [scan for scan in scans if not (output / f"{scan}.csv").is_file()]
    spec = read_settings(DetectorSpec, checked_card(fpr)["detector"], str(fpr)).fpr
    assert spec is not None
    if missing:
        rank_candidates.run(
            candidates,
            output,
            scans=missing,
            caches=caches,
            detected=detected,
            fpr=fpr,
            count=10_000,
            test_time_augmentation=spec.test_time_augmentation,
            device="auto",
        )


def recall(scores: Sequence[ScanScore]) -> tuple[int, int]:
    """Nodules that are hit, and all."""
    return sum(len(score.hits) for score in scores), sum(score.nodules for score in scores)


def detection(results: Path, detector: str, candidates: Path, seed: int) -> list[Line]:
    """Recall, CPM and false positives on the test scans, all 95 % intervals over scans but Wilson's of recall.

    Of CANDIDATES (all that were ranked) those on known lesions are left out before the first 20 are counted.
    """
    lines = []
    for size, least in ((f"{LARGE_MM:.0f} mm and more", LARGE_MM), ("all", 0.0)):
        marks = first_marks(results, candidates, "test", least)
        scans = list(marks)
        hits, count = recall([match(own) for own in marks.values()])
        curve = froc(marks)
        intervals = froc_intervals(curve, rounds=ROUNDS, seed=seed)
        lines += [
            Line(detector, f"recall among 20, nodules of {size}", f"{hits}/{count}", wilson(hits, count)),
            Line(detector, f"CPM, nodules of {size}", f"{len(scans)} scans", intervals.cpm),
            *(
                Line(detector, f"sensitivity at {point:g} FP per scan, nodules of {size}", f"{len(scans)} scans", value)
                for point, value in zip(CPM_POINTS, intervals.at, strict=True)
                if point in (0.125, 1.0, 4.0)
            ),
            Line(detector, f"FP per scan at {ASKED:.0%} sensitivity, nodules of {size}", f"{len(scans)} scans",
                 false_positives_at(marks, seed)),
        ]  # fmt: skip
    return lines


def first_marks(results: Path, candidates: Path, split: str, least_mm: float) -> dict[str, ScanMarks]:
    """The first `KEPT` marks of each scan of a split, beside its nodules of `least_mm` and more.

    CANDIDATES holds all that were ranked: those on known lesions take no place. Smaller nodules count neither way.
    """
    return first_of(results, candidate_marks(scans_of(results, split), candidates), least_mm)


def first_of(results: Path, marks: Mapping[str, Sequence[Mark]], least_mm: float) -> dict[str, ScanMarks]:
    """As `first_marks`, of all ranked MARKS of each scan."""
    luna16 = results / "implanted" / "luna16"
    nodules = read_annotations(luna16 / "annotations.csv")
    excluded = read_annotations(luna16 / "annotations_excluded.csv", measured=False)
    wanted = [nodule for nodule in nodules if nodule.diameter_mm >= least_mm]
    small = [nodule for nodule in nodules if nodule.diameter_mm < least_mm]
    known = submitted_marks(marks, list(marks), nodules, excluded)
    return without_lesions(submitted_marks(marks, list(marks), wanted, [*excluded, *small]), known, KEPT)


def false_positives_at(marks: Mapping[str, ScanMarks], seed: int) -> Estimate:
    """False positives per scan where the sensitivity first reaches `ASKED`; no value where it never does."""
    scores = [match(own) for own in marks.values()]

    def of(chosen: NDArray[np.int64]) -> float:
        return _fps([scores[i] for i in chosen])

    value = of(np.arange(len(scores)))
    if not np.isfinite(value):
        return Estimate(None, reason=f"a sensitivity of {ASKED:.0%} is not reached")
    drawn = np.array([of(draw) for draw in resamples(len(scores), rounds=ROUNDS, seed=seed)])
    return percentile_interval(value, np.where(np.isfinite(drawn), drawn, 20.0))


def _fps(scores: Sequence[ScanScore]) -> float:
    hits = np.sort(np.concatenate([score.hits for score in scores]))[::-1]
    needed = int(np.ceil(ASKED * sum(score.nodules for score in scores)))
    if len(hits) < max(needed, 1):
        return float("inf")
    return float(np.mean([np.sum(score.false_positives >= hits[needed - 1]) for score in scores]))


def choose_threshold(results: Path, detected: Path) -> float:
    """The fused probability from which a voxel counts as nodule, with the best mean Dice on the validation scans."""
    means = [np.mean(_dice(results, detected, "valid", threshold)) for threshold in THRESHOLDS]
    return float(THRESHOLDS[int(np.argmax(means))])


def outlines(results: Path, detector: str, detected: Path, threshold: float, seed: int) -> list[Line]:
    """Dice of the fused mask, a nodule at a time, within a few voxels of it; a nodule that is not found has 0."""
    dice = _dice(results, detected, "test", threshold)
    draws = resamples(len(dice), rounds=ROUNDS, seed=seed)
    found = dice[dice > 0]
    return [
        Line(detector, f"Dice of the fused mask at {threshold:g}, all nodules", str(len(dice)),
             bootstrap(float(dice.mean()), draws, lambda i: float(dice[i].mean()))),
        Line(detector, "Dice, those that it touches", str(len(found)),
             bootstrap(float(found.mean()), resamples(len(found), rounds=ROUNDS, seed=seed),
                       lambda i: float(found[i].mean())) if len(found) else Estimate(None, reason="none")),
    ]  # fmt: skip


def _dice(results: Path, detected: Path, split: str, threshold: float) -> NDArray[np.float64]:
    found = []
    for path in sorted((results / "implanted" / "luna16").glob(f"subset*/implanted-{split}-*.h5")):
        if not (detected / path.name).is_file():
            continue  # a validation scan that no second stage needed
        probability = hdf5.read_volume(detected / path.name, "probability")
        numbers = hdf5.read_volume(path, "nodules").part(probability.shape_zyx, probability.affine).array
        for number in range(1, int(numbers.max(initial=0)) + 1):
            voxels = np.argwhere(numbers == number)
            if not len(voxels):
                continue
            low, high = np.maximum(voxels.min(axis=0) - _AROUND, 0), voxels.max(axis=0) + _AROUND + 1
            box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            ours, theirs = probability.array[box] >= threshold, numbers[box] == number
            ours &= (numbers[box] == 0) | theirs  # a neighbour's mask is not a mistake
            found.append(2 * np.sum(ours & theirs) / (np.sum(ours) + np.sum(theirs)))
    return np.array(found, dtype=np.float64)


@dataclass(frozen=True)
class Judged:
    """Nodules with a candidate on them, as a classifier judges them.

    Attributes
    ----------
    nodules : list of RatedNodule
    patients : list of str
        Whose each nodule is.
    logits : (n,) float64
        Calibrated.
    measured_mm : (n,) float64
        Diameter of what the detector outlines.
    """

    nodules: list[RatedNodule]
    patients: list[str]
    logits: NDArray[np.float64]
    measured_mm: NDArray[np.float64]

    @property
    def labels(self) -> NDArray[np.int64]:
        """1 where readers took the nodule for malignant, (n,)."""
        return np.array([nodule.malignant for nodule in self.nodules])

    @property
    def diameters_mm(self) -> NDArray[np.float64]:
        """Of the readers' outline, (n,)."""
        return np.array([nodule.diameter_mm for nodule in self.nodules])

    def over_patients(self, value: float, statistic: Callable[[NDArray[np.int64]], float], seed: int) -> Estimate:
        """A statistic of rows, with its bootstrap interval over patients."""
        members = [np.flatnonzero(np.array(self.patients) == patient) for patient in sorted(set(self.patients))]
        draws = resamples(len(members), rounds=ROUNDS, seed=seed)
        return bootstrap(value, draws, lambda draw: statistic(np.concatenate([members[i] for i in draw])))


def judge(results: Path, detected: Path, classifier: Path, candidates: Path, split: str) -> Judged:
    """The nodules of a split with any candidate of CANDIDATES on them, judged by the classifier in a folder."""
    card = checked_card(classifier)
    network = load_cancer_net(classifier, torch.device("cpu"))
    fitted = card["calibration"]
    nodules, patients, logits, measured = [], [], [], []
    rated = read_rated_nodules(results / "implanted" / "nodules.csv")
    sources = sources_of(results)
    for scan in scans_of(results, split):
        found = read_candidates(candidates / f"{scan}.csv")
        hits = [(nodule, _first_inside(found, nodule)) for nodule in rated if nodule.scan == scan]
        own = [(nodule, candidate) for nodule, candidate in hits if candidate is not None]
        if not own:
            continue
        size = network.spec.shape_zyx[0]
        paths = results / "cache_volume" / f"{scan}.h5", detected / f"{scan}.h5"
        cubes = read_candidate_cubes(*paths, [candidate for _, candidate in own], size)
        with torch.inference_mode():
            each = patient_logits(network, cubes, torch.device("cpu"), card["classifier"]["test_time_augmentation"])
            features = _features(results, candidates, scan, [candidate for _, candidate in own])
            s = network.weighed(each, features).numpy()
        logits += (fitted["scale"] * s + fitted["shift"]).tolist()
        nodules += [nodule for nodule, _ in own]
        measured += [candidate.diameter_mm for _, candidate in own]
        patients += [sources[(scan, f"{n.centre_xyz_mm[0]:.3f}", f"{n.centre_xyz_mm[1]:.3f}")] for n, _ in own]
    return Judged(nodules, patients, np.array(logits), np.array(measured))


def _features(results: Path, table: Path, scan: str, candidates: Sequence[Candidate]) -> NDArray[np.float32]:
    """Hand-crafted features (n, 4) of candidates of TABLE/{scan}.csv, by the label map that lies where it was made."""
    made = Path(*("extract_candidates" if part == "rank_candidates" else part for part in table.parts))
    labels = hdf5.read_volume(made / f"{scan}.h5", "labels")
    ct = hdf5.read_volume(results / "resample" / f"{scan}.h5", "ct").part(labels.shape_zyx, labels.affine)
    return features_of(measure_candidates(ct, labels.array, [candidate.label for candidate in candidates]))


def malignancy(results: Path, detector: str, classifier: str, candidates: Path, seed: int) -> list[Line]:
    """AUC of the readers' malignant against benign among the test nodules with any candidate of CANDIDATES on them."""
    judged = judge(
        results, results / "detect" / detector, results / "train_classifier" / classifier, candidates, "test"
    )
    y, own, ruler, seen = judged.labels, judged.logits, judged.diameters_mm, judged.measured_mm
    p = expit(own)

    def over_patients(value: float, statistic: Callable[[NDArray[np.int64]], float]) -> Estimate:
        return judged.over_patients(value, statistic, seed)

    difference, to_seen = auc_difference(y, own, ruler), auc_difference(y, own, seen)
    n = f"{int(y.sum())} malignant, {int((y == 0).sum())} benign, {len(set(judged.patients))} patients"
    return [
        Line(classifier, "malignancy: AUC (DeLong)", n, auc(y, own)),
        Line("diameter of the readers' outline", "malignancy: AUC (DeLong)", n, auc(y, ruler)),
        Line(classifier, "malignancy: AUC minus that of the diameter (DeLong, paired)", n, difference),
        Line(classifier, "the same, over patients", n,
             over_patients(difference.value or 0.0, lambda i: auc_difference(y[i], own[i], ruler[i]).value or 0.0)),
        Line("diameter that the detector measures", "malignancy: AUC (DeLong)", n, auc(y, seen)),
        Line(classifier, "malignancy: AUC minus that of the measured diameter (DeLong, paired)", n, to_seen),
        Line(classifier, "the same as to the measured diameter, over patients", n,
             over_patients(to_seen.value or 0.0, lambda i: auc_difference(y[i], own[i], seen[i]).value or 0.0)),
        Line(classifier, "malignancy: Brier score", n, over_patients(brier(y, p), lambda i: brier(y[i], p[i]))),
        Line(classifier, "malignancy: calibration error", n,
             over_patients(calibration_error(y, p), lambda i: calibration_error(y[i], p[i]))),
    ]  # fmt: skip


def sources_of(results: Path) -> dict[tuple[str, str, str], str]:
    """(scan, x, y) of an implanted nodule -> the patient it is from."""
    with open(results / "implanted" / "nodules.csv", newline="", encoding="utf-8") as handle:
        return {
            (r["seriesuid"], r["coordX"], r["coordY"]): r["source"].partition("_R_")[0] for r in csv.DictReader(handle)
        }


def _first_inside(candidates: Sequence[Candidate], nodule: RatedNodule) -> Candidate | None:
    for candidate in candidates:
        away = np.linalg.norm(np.array(candidate.centroid_xyz_mm) - nodule.centre_xyz_mm)
        if away < nodule.diameter_mm / 2:
            return candidate
    return None
