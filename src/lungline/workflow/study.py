"""Which scans train, test and are scored, from the configuration and the manifest.

Pure: nothing is read or written here. `lungline.workflow.opening` makes a `Study` of files, `lungline.workflow.layout`
says which file of the results follows from which.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from lungline.config.entries import ClassifierSpec, DetectorSpec
from lungline.config.models import Config
from lungline.errors import LunglineError
from lungline.names import known
from lungline.splits import split_of_luna_fold
from lungline.storage.scan_rows import MASKS, ScanRow

AXES = ("z", "y", "x")
#: What stands in `models:` for the folders that come with the package, and where those lie.
PACKAGED, PACKAGED_FOLDER = "packaged", Path(__file__).parents[1] / "pretrained"
#: Where scans come from: simulated by the workflow, real nodules implanted by it, or listed in a manifest.
ScansFrom = Literal["synthetic", "implanted", "listed"]
Rows = Mapping[str, ScanRow]


@dataclass(frozen=True, eq=False)
class Study:
    """The configuration, the scans, and what follows from both.

    Attributes
    ----------
    config : Config
    rows : mapping
        Scan -> its row of the manifest, in the order of the manifest.
    scans_from : "synthetic", "implanted" or "listed"
    annotated : bool
        Whether there is a table of annotated nodules.
    nodules : mapping
        Scan -> what changes when its annotated nodules do; scans without any may be missing.
    plans : mapping
        Scan -> what the workflow makes of it, where it makes the scans itself.

    Notes
    -----
    A detector is called by its entry in `detectors:`; `NAME@3` is the same trained without subset 3 of LUNA-16, and
    `NAME@folds` stands for all of those.
    """

    config: Config
    rows: Rows
    scans_from: ScansFrom = "listed"
    annotated: bool = False
    nodules: Mapping[str, Any] = field(default_factory=dict)
    plans: Mapping[str, Any] = field(default_factory=dict)

    # ---- classifiers and detectors -----------------------------------------------------------------------------

    @cached_property
    def detectors(self) -> tuple[str, ...]:
        """Detectors of the classifiers that are run."""
        return self._detectors_of(self.config.run)

    @cached_property
    def compared(self) -> tuple[str, ...]:
        """Classifiers that are compared."""
        return tuple(self.config.compare.classifiers or self.config.run)

    @cached_property
    def searching(self) -> tuple[str, ...]:
        """Detectors of all classifiers that are run or compared."""
        return self._detectors_of((*self.config.run, *self.compared))

    def _detectors_of(self, classifiers: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for classifier in classifiers if (name := self.detector_of(classifier))))

    def classifier(self, name: str) -> ClassifierSpec:
        return self.config.classifiers[name]

    def detector(self, name: str) -> DetectorSpec:
        """The settings of a detector, also of one trained without a subset."""
        return self.config.detectors[entry_name(name)]

    def detector_of(self, classifier: str) -> str | None:
        """The detector whose candidates a classifier reads."""
        entry = self.config.classifiers[classifier]
        return entry.detector if entry.kind == "candidate" else None

    def has_fpr(self, detector: str) -> bool:
        """Whether a detector has false-positive reduction."""
        return self.detector(detector).fpr is not None

    def is_supervised_by_nodules(self, classifier: str) -> bool:
        """Whether a classifier learns from single nodules of annotated scans instead of patients."""
        entry = self.config.classifiers[classifier]
        return entry.kind == "candidate" and entry.supervision == "nodules"

    def given(self, kind: Literal["detector", "classifier"], name: str) -> str | None:
        """The folder of a model that the configuration names, so that it is not trained."""
        folder = (self.config.models.detectors if kind == "detector" else self.config.models.classifiers).get(name)
        return folder and folder_of_models(kind, folder)

    def refuse_untrainable(self, kind: Literal["detector", "classifier"], name: str) -> None:
        """`LunglineError` where there is no training scan for a detector or classifier."""
        if not (self.detector_cases(name) if kind == "detector" else self.cases_of(name)):
            lacks = "annotated LUNA-16 scan" if kind == "detector" else "labelled patient"
            raise LunglineError(
                f"{kind} '{name}' cannot be trained: no {lacks} for training. Name its folder under models.{kind}s."
            )

    # ---- scans ---------------------------------------------------------------------------------------------

    def where(self, rows: Rows | None = None, **wanted: Sequence[Any]) -> list[str]:
        """Scans whose row has one of the wanted values in every named column."""
        listed = self.rows if rows is None else rows
        return [scan for scan, row in listed.items() if all(getattr(row, key) in wanted[key] for key in wanted)]

    def rows_of(self, detector: str) -> Rows:
        """The rows that say what a detector may be trained on."""
        fold = fold_of(detector)
        if fold is None:
            return self.rows
        return {
            scan: replace(row, split=split_of_luna_fold(row.fold, fold))
            for scan, row in self.rows.items()
            if row.fold is not None
        }

    @cached_property
    def patients(self) -> list[str]:
        """Scans that get an answer: all that are not for detection only."""
        return self.where(dataset=("dsb17", "folder"))

    @cached_property
    def labelled_cases(self) -> list[str]:
        """Patients of train and valid with a label."""
        return self.where(dataset=("dsb17", "folder"), split=("train", "valid"), label=(0, 1))

    @cached_property
    def labelled_tests(self) -> list[str]:
        """Patients of the test with a label."""
        return self.where(dataset=("dsb17", "folder"), split=("test",), label=(0, 1))

    def detector_cases(self, detector: str = "") -> list[str]:
        """Annotated scans of train and valid, from which a detector learns."""
        if not self.annotated:
            return []
        return self.where(self.rows_of(detector), dataset=("luna16",), split=("train", "valid"))

    def detection_tests(self, detector: str = "") -> list[str]:
        """Annotated scans on which a detector is tested."""
        return self.where(self.rows_of(detector), dataset=("luna16",), split=("test",)) if self.annotated else []

    @cached_property
    def recall_tests(self) -> list[str]:
        """Test scans of which every nodule is known; of synthetic patients, too."""
        patients = self.where(dataset=("dsb17",), split=("test",)) if self.scans_from == "synthetic" else []
        return self.detection_tests() + patients

    def fpr_cases(self, detector: str) -> list[str]:
        """Training and validation scans whose candidates a false-positive reduction learns from."""
        scans, rows, second = self.detector_cases(detector), self.rows_of(detector), self.detector(detector).fpr
        train = [scan for scan in scans if rows[scan].split == "train"]
        return train[: second.scans if second else None] + [scan for scan in scans if rows[scan].split == "valid"]

    def cases_of(self, classifier: str) -> list[str]:
        """Scans that a classifier learns from."""
        if self.is_supervised_by_nodules(classifier):
            return self.fpr_cases(str(self.detector_of(classifier)))
        return self.labelled_cases

    @cached_property
    def annotated_scans(self) -> list[str]:
        """Scans whose annotations are used: to train a detector here, or to measure one."""
        if not self.detectors:
            return []
        learned = [] if all(self.given("detector", name) for name in self.detectors) else self.detector_cases()
        return learned + self.detection_tests()

    @cached_property
    def compared_for_leakage(self) -> list[str]:
        """Scans that something is learned from here, or that answers are measured on."""
        learned = [] if all(self.given("classifier", name) for name in self.config.run) else self.labelled_cases
        return self.annotated_scans + learned + self.labelled_tests

    @cached_property
    def nodule_training_scans(self) -> list[str]:
        """Annotated scans whose candidates classifiers learn from one by one."""
        classifiers = filter(self.is_supervised_by_nodules, self.config.run)
        return list(dict.fromkeys(scan for classifier in classifiers for scan in self.cases_of(classifier)))

    def answered(self, detector: str) -> list[str]:
        """Scans whose candidates count: of a fold its test scans, else those and the patients."""
        if fold_of(detector) is not None:
            return self.detection_tests(detector)
        return self.detection_tests(detector) + self.cropped(detector)

    def cropped(self, detector: str) -> list[str]:
        """Scans whose candidates a classifier looks at."""
        return self.patients + self.nodule_training_scans if fold_of(detector) is None else []

    def searched(self, detector: str) -> list[str]:
        """Scans that a detector searches; its FPR network learns from the candidates of training scans, too."""
        more = self.fpr_cases(detector) if self.has_fpr(detector) else []
        return list(dict.fromkeys(self.answered(detector) + more))

    def masks_of(self, scan: str) -> dict[str, str]:
        """Label maps by others that the manifest names for a scan: `lungs`, `lobes`; paths from its folder."""
        return {name: path for name in MASKS if scan in self.rows and (path := getattr(self.rows[scan], name))}

    @cached_property
    def has_masks(self) -> bool:
        """Whether any scan has masks by others."""
        return any(map(self.masks_of, self.rows))

    # ---- folds of LUNA-16 ----------------------------------------------------------------------------------

    @cached_property
    def folds(self) -> list[int]:
        """The subsets that are held out one after the other: those of the configuration that have scans."""
        return [fold for fold in self.config.folds if self.where(dataset=("luna16",), fold=(fold,))]

    def members(self, detector: str) -> list[str]:
        """The detectors of whose test scans a submission is made: itself, or those of all folds for `NAME@folds`."""
        name, _, which = detector.partition("@")
        return [f"{name}@{fold}" for fold in self.folds] if which == "folds" else [detector]

    # ---- what a step depends on ----------------------------------------------------------------------------

    def plausible_ml(self) -> dict[str, float]:
        """Volumes of both lungs that raise no warning; the synthetic chests are smaller than an adult's."""
        scale = self.config.cohort.anatomy_scale**3 if self.scans_from == "synthetic" else 1
        low, high = (round(volume * scale, 1) for volume in self.config.segment_lungs.plausible_ml)
        return {"plausible_ml_low": low, "plausible_ml_high": high}

    def rows_digest(self, scans: Iterable[str], *columns: str, rows: Rows | None = None) -> str:
        """Changes when these columns of these scans change, and not when the rest of the manifest does."""
        listed = self.rows if rows is None else rows
        return digest([[getattr(listed[scan], column) for column in columns] for scan in sorted(scans)])

    def nodules_digest(self, scans: Iterable[str]) -> str:
        """Changes when the annotated nodules of these scans change, and not when others do."""
        return digest([self.nodules.get(scan, []) for scan in scans])

    def seed_of(self, classifier: str) -> int:
        """The seed of a classifier's training."""
        entry = self.config.classifiers[classifier]
        return self.config.seed if entry.kind == "baseline" else entry.training.seed_in(self.config.seed)

    def recipe_of(self, classifier: str) -> str:
        """All settings of a classifier and its detector but their seeds: equal for repeated trainings."""
        entry = self.config.classifiers[classifier].model_dump(mode="json")
        if detector := self.detector_of(classifier):
            entry["detector"] = self.detector(detector).model_dump(mode="json")
        return json.dumps(_without_seeds(entry), sort_keys=True)

    # ---- what is shown -------------------------------------------------------------------------------------

    @cached_property
    def rendered_detector(self) -> str:
        """The detector of Figures 4 and 5."""
        return next(iter(self.detectors or self.config.detectors))

    @cached_property
    def figure_scans(self) -> list[str]:
        """Scans of Figures 1 to 5: the named ones, or the first test scan with nodules and the first test patient."""
        chosen = self.config.figures.scans
        if chosen == "auto":
            return self.detection_tests()[:1] + self._first_test_patient()
        for scan in chosen:
            candidates = self.answered(self.rendered_detector) if self.detectors else []
            known(scan, candidates, "figures.scans: no scan that is searched for nodules is called")
        return list(chosen)

    @cached_property
    def page_scans(self) -> list[str]:
        """Patients with a page: the named ones, all, or the first test patient."""
        chosen = self.config.pages.scans
        if chosen == "auto":
            return self._first_test_patient()
        if chosen == "all":
            return self.patients
        for scan in chosen:
            known(scan, self.patients, "pages.scans: no patient is called")
        return list(chosen)

    def _first_test_patient(self) -> list[str]:
        return [scan for scan in self.patients if self.rows[scan].split == "test"][:1]


def folder_of_models(kind: Literal["detector", "classifier"], folder: str) -> str:
    """The folder of a detector or classifier that a configuration names: a path, or `packaged`."""
    return str(PACKAGED_FOLDER / kind) if folder == PACKAGED else folder


def entry_name(detector: str) -> str:
    """The entry of `detectors:` that a detector is trained by."""
    return detector.partition("@")[0]


def fold_of(detector: str) -> int | None:
    """The subset of LUNA-16 that a detector is trained without."""
    which = detector.partition("@")[2]
    return int(which) if which.isdigit() else None


def digest(value: Any) -> str:
    """Sixteen hexadecimal digits that change when a value of JSON changes."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _without_seeds(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    return {key: _without_seeds(value) for key, value in entry.items() if key != "seed"}
