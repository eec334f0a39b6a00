"""What a configuration will cost, as a page of text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lungline.config.models import Config

#: MB on disk of one adult chest (248 slices of 1.25 mm), measured; `detect` of a network that had hardly learnt, which
#: compresses worst, `crop_patches` of 20 candidates uncompressed.
INTERMEDIATE_MB = {"ingest": 58, "resample": 113}
KEPT_MB = {"segment_lungs": 1, "cache_volume": 7, "detect": 11, "crop_patches": 3}


@dataclass(frozen=True)
class Training:
    """A training: how many networks, steps of each, and seconds per step (None: the patients decide)."""

    name: str
    networks: int
    steps: int
    seconds_per_step: float | None

    @property
    def hours(self) -> float | None:
        return None if self.seconds_per_step is None else self.networks * self.steps * self.seconds_per_step / 3600


def plan_text(trainings: Sequence[Training], scans: Mapping[str, int], config: Config, device: str) -> str:
    """Hours of each training and gigabytes of all scans.

    Parameters
    ----------
    scans : mapping of data set to number of scans
    config : Config
    """
    lines = [f"| training, on {device} | networks | steps | s per step | hours |", "|---|---|---|---|---|"]
    for one in trainings:
        took, hours = ("not timed" if v is None else f"{v:.3g}" for v in (one.seconds_per_step, one.hours))
        lines.append(f"| {one.name} | {one.networks} | {one.steps} | {took} | {hours} |")
    total = sum(one.hours or 0.0 for one in trainings)
    lines += [
        "",
        f"Training: {total:.3g} hours one after the other; {len(config.folds)} times the detectors' for `snakemake "
        "folds`. Looks at the validation split and reading come on top; patients are timed with the most candidates.",
    ]
    size = config.cohort.anatomy_scale**3 if config.manifest is config.data is config.implanted is None else 1.0
    kept, between = (sum(table.values()) * size / 1000 for table in (KEPT_MB, INTERMEDIATE_MB))
    count = sum(scans.values())
    sets = ", ".join(f"{n} {name}" for name, n in scans.items())
    removed = "" if config.keep_intermediates else ", of which only those in work exist (keep_intermediates: false)"
    lines += [
        f"Disk: {count} scans ({sets}), about {count * kept:.3g} GB, and {count * between:.3g} GB of ingest/ and "
        f"resample/{removed}. One adult chest was measured; others differ with their size.",
    ]
    return "\n".join(lines)
