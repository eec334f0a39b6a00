# Shared by all rules: the study, where its files lie, what a job needs. Holds no step.
import functools
import gc
import os
import shutil
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

try:
    from lungline.config.loading import foreign_keys, read_config
except ModuleNotFoundError as missing:
    raise WorkflowError(
        f"{missing.name} is not installed beside Snakemake, which needs it to plan: pip install 'lungline[workflow]'"
    ) from None
from lungline.fingerprint import code_fingerprint
from lungline.readers.raw_state import RawState, raw_state, share_of_memory
from lungline.runner.run_events import attend
from lungline.storage.saved_config import write_saved_config
from lungline.workflow.layout import NAME
from lungline.workflow.opening import SOURCE, open_layouts
from lungline.workflow.steps import options, settings_of, settings_on_the_way
from lungline.workflow.study import AXES, digest, entry_name

os.environ.update(LUNGLINE_SOURCE=SOURCE)  # for envs/lungline.post-deploy.sh
gc.set_threshold(100_000)  # planning a study makes millions of objects that stay: looking for others took a fifth of it

# Where another workflow uses this one with a prefix, Snakemake moves inputs and outputs, but no parameters. FILES are
# the paths of inputs and outputs, PLACES are the same files as commands and this file find them.
FOREIGN = foreign_keys(config) if workflow.modifier.namespace else []
FILES, PLACES = open_layouts(
    read_config({key: value for key, value in config.items() if key not in FOREIGN}),
    lambda path: workflow.modifier.path_modifier.replace_prefix(path, "output"),
)
STUDY, CONFIG, out = FILES.study, FILES.study.config, FILES.out
FROM_MANIFEST, SYNTHETIC, IMPLANTED = (STUDY.scans_from == name for name in ("listed", "synthetic", "implanted"))


def begin():
    """Before the first job. The saved configuration is no job's output, since `ancient` inputs would hide its changes."""
    write_saved_config(Path(PLACES.config), PLACES.study.config)
    if FOREIGN:
        logger.info(f"Keys that lungline leaves to the workflow around it: {', '.join(FOREIGN)}.")


attend(logger, Path(PLACES.study.config.outdir), begin, WorkflowError, lambda: workflow.dryrun)


wildcard_constraints:
    scan=r"[A-Za-z0-9._-]+",
    fold=r"[0-9]",
    detector=rf"{NAME}(@([0-9]|folds))?",
    classifier=NAME,
    axis=r"[zyx]",
    size=r"[0-9]+",


def temp_unless_kept(path):
    """A large file that can be made again: kept only if the configuration says so."""
    return out(path) if CONFIG.keep_intermediates else temp(out(path))


def settings(step, **told):
    """The settings of a step as words of its command; as a parameter they re-run exactly this step."""
    return options(**settings_of(CONFIG, step, **told))


def fingerprint(stage):
    """Hash of the code behind a stage: as a parameter of a step, it re-runs exactly what an edit touches."""
    return code_fingerprint(f"lungline.stages.{stage}")


def per_scan(path_of):
    """The path of a job's scan, as an input; of listed scans it is one pattern, which Snakemake fills quicker."""
    return path_of("{scan}") if FROM_MANIFEST else lambda wildcards: path_of(wildcards.scan)


def of_batch(batch, find):
    """What `find` says of the detector and the scans of a job."""

    def found(wildcards):
        told = {"detector": batch.detector, **dict(wildcards.items())}
        return find(told["detector"], [scan.format(**told) for scan in batch.scans])

    return found


def folder_of(name):
    """Folder of the input or output files of a name, as a parameter."""

    def found(wildcards, input, output):
        files = input.get(name) or output.get(name)
        return os.path.dirname(files if isinstance(files, str) else files[0])

    return found


@functools.cache
def raw_of(scan):
    """The raw files of a scan as they are now; of a simulated one nothing is known, but that it is small."""
    return raw_state(Path(PLACES.raw(scan)), STUDY.rows[scan].source) if FROM_MANIFEST else RawState("simulated", 0)


# ---- resources ---------------------------------------------------------------------------------------------

AROUND_A_JOB_MB = 400  # what a cluster counts beside the command: two processes of Snakemake, 280 MB were measured


def memory(mb):
    """Memory of a job, in MB: what its command needs and what stands around it; more at every retry."""

    def needed(wildcards, attempt):
        return attempt * (AROUND_A_JOB_MB + (mb(wildcards) if callable(mb) else mb))

    return needed


def memory_by_voxels(mb, scans=("{scan}",)):
    """`memory` of a step on one scan, or on the largest of several: `mb` MB for the largest scan that ingest accepts, and
    less for fewer voxels."""

    def needed(wildcards):
        names = [scan.format(scan=wildcards.get("scan")) for scan in scans]
        return round(mb * share_of_memory(raw_of(scan).voxels for scan in names))

    return memory(needed)


def classifier_memory():
    """Of a job that trains or scores a classifier; a filled-up lung region at full size needs most."""

    def needed(wildcards):
        entry = STUDY.classifier(wildcards.classifier)
        return 32000 if entry.kind == "whole_volume" and entry.input.pad_to else 8000

    return memory(needed)


def gpu():
    """1 where a job will use the GPU; on a machine without one, jobs must not wait for each other."""
    wanted = CONFIG.device == "cuda" or (CONFIG.device == "auto" and shutil.which("nvidia-smi"))
    return 1 if wanted else 0


def launcher(processes):
    """What starts a training: `lungline`, or as many processes of it as train together."""
    if processes == 1:
        return "lungline"
    return f"torchrun --standalone --nproc-per-node {processes} -m lungline.cli"
