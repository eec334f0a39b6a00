"""How the scans of a step are divided among processes: a rule of the workflow each."""

import hashlib
from dataclasses import dataclass

from lungline.workflow.study import Study, entry_name

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


def batches_of(study: Study, step: str) -> list[Batch]:
    """How the scans of a step are divided among processes: a rule of the workflow each.

    With `detect.jobs` the scans of a detector are dealt to so many batches by a hash, so that a new scan joins one
    batch and leaves the others alone; the scans of a fold are one batch. All else is one process per scan. The
    names follow from the configuration alone: a batch may be without scans.
    """
    jobs, data = study.config.detect.jobs, study.config.data
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
