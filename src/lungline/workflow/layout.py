"""Which files there are in the results of a study, and which follows from which."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from lungline.workflow.steps import BY_NAME, CANDIDATES, LABELS
from lungline.workflow.study import AXES, Study, digest, entry_name, fold_of, folder_of_models

NAME = r"[A-Za-z0-9_][A-Za-z0-9_-]*"


@dataclass(frozen=True)
class Batch:
    """The scans that one process of a step takes.

    Attributes
    ----------
    rule : str
        Name of the rule of the workflow.
    detector : str
        A detector, or the wildcard for any that has no batches.
    constraint : str
        Regular expression of the detectors that the rule works for.
    scans : tuple of str
        Scans, or the wildcard for any one.
    """

    rule: str
    detector: str
    constraint: str
    scans: tuple[str, ...]

    @property
    def of_any(self) -> bool:
        """Whether it is of any detector and one scan."""
        return self.detector == "{detector}"

    @property
    def log(self) -> str:
        """Name of the log: of the scan, or of the batch."""
        return self.scans[0] if len(self.scans) == 1 else self.rule

    @property
    def description(self) -> str:
        """Detector and scans, for the message of a rule."""
        if self.of_any:
            return "{wildcards.detector} in {wildcards.scan}"
        return f"{self.detector} in {self.scans[0] if len(self.scans) == 1 else f'{len(self.scans)} scans'}"


@dataclass(frozen=True, eq=False)
class Layout:
    """The files of a study, as paths from the folder that the workflow runs in."""

    study: Study

    def out(self, path: str) -> str:
        """A file of the results."""
        return f"{self.study.config.outdir}/{path}"

    def of(self, pattern: str, scans: Iterable[str]) -> list[str]:
        """The same file of many scans."""
        return [self.out(pattern.replace("{scan}", scan)) for scan in scans]

    def step_inputs(self, step: str, **known: str) -> dict[str, str]:
        """The files that a step of a scan reads, by parameter, with wildcards where nothing is known."""
        found = {name: source for name, source in BY_NAME[step].reads.items() if source in BY_NAME}
        if not self.masks_of(known.get("scan", "")):
            found = {name: source for name, source in found.items() if source != "read_masks"}
        return {name: self.out(_filled(BY_NAME[source].makes, known)) for name, source in found.items()}

    # ---- scans and tables ----------------------------------------------------------------------------------

    @cached_property
    def manifest(self) -> str:
        """The list of scans."""
        return self.study.config.manifest or self.out("manifest.csv")

    @cached_property
    def config(self) -> str:
        """The whole checked configuration, which commands read."""
        return self.out("private/config.json")

    def manifest_of(self, detector: str) -> str:
        """The list of scans that says what a detector may be trained on."""
        fold = fold_of(detector)
        return self.manifest if fold is None else self.out(f"split_fold/{fold}.csv")

    def raw(self, scan: str) -> str:
        """The scan as the scanner left it, a file or a folder; of a listed one, the link to it."""
        study = self.study
        if study.scans_from == "listed":
            return str(Path(self.manifest).parent / "private" / "raw" / scan)
        folder = "cohort" if study.scans_from == "synthetic" else "implanted"
        return self.out(f"{folder}/{study.plans[scan].path}")

    def masks_of(self, scan: str) -> dict[str, str]:
        """Label maps by others that the manifest names for a scan: `lungs`, `lobes`."""
        return {name: str(Path(self.manifest).parent / path) for name, path in self.study.masks_of(scan).items()}

    def made_raw(self, scan: str) -> list[str]:
        """What of a raw scan the workflow makes itself; listed scans are watched by their state, file by file."""
        if self.study.scans_from == "listed":
            return []
        path = self.raw(scan)
        return [path, path.removesuffix(".mhd") + ".zraw"] if path.endswith(".mhd") else [path]

    def recipient(self, scan: str, step: str) -> str:
        """The file of a prepared chest that receives the nodules of a scan."""
        return self.out(f"implanted/chests/{step}/{self.study.plans[scan].chest}.h5")

    def beside_implanted(self, scan: str, suffix: str) -> str:
        """What lies beside a scan with implanted nodules: their segmentations (.h5), or where they are (.csv)."""
        return self.out(f"implanted/{self.study.plans[scan].path.removesuffix('.mhd')}{suffix}")

    @cached_property
    def annotations(self) -> str | None:
        """The table of annotated nodules."""
        config = self.study.config
        if config.annotations:
            return config.annotations
        if self.study.scans_from == "synthetic":
            return self.out("cohort/luna16/annotations.csv")
        if self.study.scans_from == "implanted":
            return self.out("implanted/luna16/annotations.csv")
        return f"{config.data.luna16}/annotations.csv" if config.data and config.data.luna16 else None

    @cached_property
    def every_nodule(self) -> str | None:
        """The table that recall is counted by; of the synthetic cohort the patients' nodules are known, too."""
        return self.out("cohort/nodules.csv") if self.study.scans_from == "synthetic" else self.annotations

    @cached_property
    def excluded_findings(self) -> list[str]:
        """Findings that count neither way: `annotations_excluded.csv` beside the annotations of LUNA-16."""
        if self.study.scans_from == "implanted":
            return [self.out("implanted/luna16/annotations_excluded.csv")]
        if self.study.scans_from == "synthetic" or not self.annotations:
            return []
        path = Path(self.annotations).with_name("annotations_excluded.csv")
        return [str(path)] if path.is_file() else []

    @cached_property
    def checked_annotations(self) -> list[str]:
        return [self.out("check_annotations.csv")] if self.study.annotated_scans else []

    # ---- models --------------------------------------------------------------------------------------------

    def model_folder(self, kind: Literal["detector", "classifier"], name: str) -> str:
        """Folder of a detector or classifier, given or trained here; `LunglineError` without a training scan."""
        if given := self.study.given(kind, name):
            return given
        self.study.refuse_untrainable(kind, name)
        return self.out(f"train_{'unet' if kind == 'detector' else kind}/{name}")

    def parts_of(self, detector: str) -> list[str]:
        """The networks of a detector: one per axis, and the one that ranks its candidates where there is one."""
        return [*AXES, "fpr"] if self.study.has_fpr(detector) else [*AXES]

    def network(self, detector: str, part: str) -> str:
        """The weights of one network of a detector."""
        return f"{self.model_folder('detector', detector)}/{part}/weights.safetensors"

    def networks(self, detector: str) -> list[str]:
        """The weights of its three U-Nets."""
        return [self.network(detector, axis) for axis in AXES]

    def cards_of(self, detector: str) -> list[str]:
        """The cards of all networks of a detector."""
        return [f"{self.model_folder('detector', detector)}/{part}/card.json" for part in self.parts_of(detector)]

    def cards_of_classifier(self, classifier: str) -> list[str]:
        """The cards of all networks of a classifier's detector, if it has one."""
        detector = self.study.detector_of(classifier)
        return self.cards_of(detector) if detector else []

    def initial_weights_of(self, classifier: str) -> list[str]:
        """The weights with which a classifier starts, of its detector's FPR network or of a classifier, or none."""
        entry = self.study.classifier(classifier)
        if entry.kind != "candidate" or entry.init_from == "random":
            return []
        if entry.init_from == "fpr":
            return [self.network(entry.detector, "fpr")]
        return [f"{folder_of_models('classifier', entry.init_from)}/weights.safetensors"]

    def initial_network_of(self, detector: str, part: str) -> list[str]:
        """The weights with which one network of a detector starts, or none."""
        begins = self.study.detector(detector).init_from
        return [f"{folder_of_models('detector', begins)}/{part}/weights.safetensors"] if begins else []

    def learning_curves_of(self, classifier: str) -> list[str]:
        """Curves of what is trained here for a classifier."""
        folders = [
            *(str(Path(card).parent) for card in self.cards_of_classifier(classifier)),
            self.model_folder("classifier", classifier),
        ]
        return [f"{folder}/learning_curve.csv" for folder in folders if folder.startswith(self.out("train_"))]

    # ---- candidates and answers ----------------------------------------------------------------------------

    def candidates_of(self, detector: str, scans: Sequence[str]) -> list[str]:
        """The candidates that count: those of the last step of a detector."""
        last = "rank_candidates" if self.study.has_fpr(detector) else "extract_candidates"
        return [self.out(f"{last}/{detector}/{scan}.csv") for scan in scans]

    def candidate_labels_of(self, detector: str, scans: Sequence[str]) -> list[str]:
        """Which voxels belong to each candidate."""
        return [self.out(f"extract_candidates/{detector}/{scan}.h5") for scan in scans]

    def read_by(self, classifier: str) -> str:
        """Folder of the files that a classifier reads, one per scan; a baseline reads no more than their headers."""
        entry = self.study.classifier(classifier)
        if entry.kind == "candidate":
            return self.out(f"crop_patches/{entry.detector}")
        size = entry.input.resize_to if entry.kind == "whole_volume" else None
        return self.out(f"resize_volume/{size}" if size else "cache_volume")

    def inputs_of(self, classifier: str, scans: Sequence[str]) -> list[str]:
        return [f"{self.read_by(classifier)}/{scan}.h5" for scan in scans]

    def training_inputs_of(self, classifier: str) -> list[str]:
        """What a classifier is trained on; a baseline counts labels alone."""
        is_baseline = self.study.classifier(classifier).kind == "baseline"
        return [] if is_baseline else self.inputs_of(classifier, self.study.cases_of(classifier))

    def of_nodules(self, step: str, classifier: str, scan: str) -> dict[str, str]:
        """The files that a step behind a classifier reads; those of its detector, too, where it has one."""
        detector = self.study.detector_of(classifier)
        files = self.step_inputs(step, classifier=classifier, scan=scan, **({"detector": detector} if detector else {}))
        if detector is None:
            return {name: path for name, path in files.items() if "{detector}" not in path}
        if CANDIDATES in BY_NAME[step].reads.values():
            files["candidates"] = self.candidates_of(detector, [scan])[0]
        if LABELS in BY_NAME[step].reads.values():
            files["labels"] = self.candidate_labels_of(detector, [scan])[0]
        return files

    def nodule_mask_of(self, scan: str) -> list[str]:
        annotated = self.study.rows[scan].dataset == "luna16" and self.study.annotated
        return [self.out(f"rasterise_nodules/{scan}.h5")] if annotated else []

    def batches(self, step: str) -> list[Batch]:
        """How the scans of a step are divided among processes: a rule of the workflow each.

        With `detect.jobs` the scans of a detector are dealt to so many batches by a hash, so that a new scan joins one
        batch and leaves the others alone; the scans of a fold are one batch. All else is one process per scan. The
        names follow from the configuration alone: a batch may be without scans.
        """
        study, jobs, data = self.study, self.study.config.detect.jobs, self.study.config.data
        scans_of = {"rank_candidates": study.answered, "crop_patches": study.cropped}.get(step, study.searched)
        named = study.searching if jobs else ()
        if step == "rank_candidates":
            named = tuple(filter(study.has_fpr, named))
        found = []
        for detector in named:
            groups: list[list[str]] = [[] for _ in range(int(jobs or 0))]
            for scan in scans_of(detector):
                groups[int(hashlib.sha256(scan.encode()).hexdigest(), 16) % len(groups)].append(scan)
            prefix = f"{step}_{entry_name(detector)}".replace("-", "_")
            found += [Batch(f"{prefix}_{n}", detector, detector, tuple(some)) for n, some in enumerate(groups)]
            for fold in study.config.folds if data is None or data.luna16 else ():
                name = f"{detector}@{fold}"
                found.append(Batch(f"{prefix}_fold_{fold}", name, name, tuple(scans_of(name))))
        others = "".join(rf"(?!{detector}[@/])" for detector in named)
        return [*found, Batch(step, "{detector}", rf"{others}{NAME}(@[0-9])?", ("{scan}",))]

    # ---- what can be measured and shown --------------------------------------------------------------------

    @cached_property
    def evaluations(self) -> list[str]:
        """What can be measured: recall of nodules needs annotated test scans, the answers need labels."""
        study = self.study
        detectors = study.detectors if study.detection_tests() else ()
        classifiers = study.config.run if study.labelled_tests else ()
        return [self.out(f"evaluate/detection-{name}.json") for name in detectors] + [
            self.out(f"evaluate/cancer-{name}.json") for name in classifiers
        ]

    def detection_of(self, classifier: str) -> list[str]:
        """The result of the detector of a classifier, where there is one."""
        detector = self.study.detector_of(classifier)
        return [self.out(f"evaluate/detection-{detector}.json")] if detector and self.study.detection_tests() else []

    @cached_property
    def bundles(self) -> list[str]:
        """What `lungline predict` needs to answer new scans."""
        return [self.out(f"bundle/{name}.json") for name in self._trained_classifiers()]

    @cached_property
    def curves(self) -> list[str]:
        run = self.study.config.run
        return [self.out(f"curves/{name}") for name in run if self.study.labelled_tests or self.detection_of(name)]

    @cached_property
    def figures(self) -> list[str]:
        """Figures 4 and 5 are a detector's: without one there are none."""
        return [self.out(f"figures/{scan}") for scan in self.study.figure_scans] if self.study.detectors else []

    @cached_property
    def pages(self) -> list[str]:
        """The page of the cohort by the first trained classifier, and those of its scans."""
        return [self.out(f"pages/{name}/index.html") for name in self._trained_classifiers()[:1]]

    def _trained_classifiers(self) -> list[str]:
        return [name for name in self.study.config.run if self.study.classifier(name).kind != "baseline"]

    def compared(self) -> dict[str, dict[str, Any]]:
        """Classifier -> the files that say how good it is and what it cost."""
        study = self.study
        return {
            classifier: {
                "kind": study.classifier(classifier).kind,
                "seed": None if study.given("classifier", classifier) else study.seed_of(classifier),
                "repeats": next(
                    other for other in study.compared if study.recipe_of(other) == study.recipe_of(classifier)
                ),
                "predictions": self.out(f"collect_predictions/{classifier}.csv"),
                "detection": next(iter(self.detection_of(classifier)), None),
                "benchmarks": [
                    self.out(f"benchmarks/{Path(curve).parent.relative_to(study.config.outdir)}.tsv")
                    for curve in self.learning_curves_of(classifier)
                ],
            }
            for classifier in study.compared
        }

    # ---- what a step depends on ----------------------------------------------------------------------------

    # A command reads its entry from the file of the configuration; what re-runs it is the digest of just that entry.

    def _digest(self, entry: dict[str, Any]) -> str:
        return digest([entry, self.study.config.seed, self.study.config.precision])

    def unet_digest(self, detector: str) -> str:
        """Changes when the settings of the U-Nets of a detector do."""
        return self._digest(self.study.detector(detector).model_dump(mode="json", exclude={"candidates", "fpr"}))

    def fpr_digest(self, detector: str) -> str:
        """Changes when the settings of the false-positive reduction do; `min_finding_score` trains nothing."""
        unread = {"candidates": {"min_finding_score"}}
        return self._digest(self.study.detector(detector).model_dump(mode="json", exclude=unread))

    def classifier_digest(self, classifier: str) -> str:
        """Changes when the settings of a classifier do."""
        return self._digest(self.study.classifier(classifier).model_dump(mode="json"))


def _filled(pattern: str, known: dict[str, str]) -> str:
    """A path with those wildcards filled that are known."""
    for name, value in known.items():
        pattern = pattern.replace(f"{{{name}}}", value)
    return pattern
