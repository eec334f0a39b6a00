"""Run the whole workflow: Snakemake with the Snakefile, the presets and the profiles of this package."""

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from lungline.errors import LunglineError, missing
from lungline.stages import list_scans
from lungline.workflow.opening import ROOT

#: All words of the command line go to `run`, since most are Snakemake's.
TAKES_ALL_WORDS = True
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
ONLY_ASKS = re.compile(r"-[a-zA-Z]*n[a-zA-Z]*|--(dry-?run|lint|report|unlock|(detailed-)?summary|list.*|help|version)")


def run(words: Sequence[str]) -> int:
    """lungline run [--configfile FILE ...] [words for Snakemake]

    Without words: the default workflow on synthetic scans, in this folder, on all cores. FILE is yours, or a preset of
    the package: real.yaml scores your scans with the weights of the package, micro.yaml is the whole graph in a minute.
    The scans in the folders of `data:` are listed first. All other words are Snakemake's: -n plans only, --cores 4, ...
    The exit code is Snakemake's.
    """
    if find_spec("snakemake") is None:
        raise LunglineError(missing("snakemake"))
    words, configured = _with_presets(words)
    only_asks = any(ONLY_ASKS.fullmatch(word) for word in words)
    if not only_asks:
        list_scans.run(configfile=tuple(map(Path, configured.configfile)), config=tuple(configured.config))
    command = [*_snakemake(words), *words]
    print(f"[run] {shlex.join(['snakemake', *command])}", file=sys.stderr, flush=True)
    signal.signal(signal.SIGINT, lambda *_: None)  # Snakemake gets it, too, and ends its jobs
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path}  # of rules, which call `lungline`
    code = subprocess.run([sys.executable, "-m", "snakemake", *command], env=environment, check=False).returncode
    if code and not only_asks and any(Path(".snakemake", "locks").glob("*")):
        unlock = shlex.join([*os.environ.get("LUNGLINE_CALLED_AS", "lungline run").split(), "--unlock", *words])
        print(
            "[run] This folder is locked: by a run, or by one that was killed. "
            f"If no run is alive, on no machine: {unlock}",
            file=sys.stderr,
        )
    return code


def _with_presets(words: Sequence[str]) -> tuple[list[str], argparse.Namespace]:
    """The words, with presets of the package as files, and what of them says how the workflow is configured."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--configfile", "--configfiles", nargs="+", default=[])
    parser.add_argument("--config", "-C", nargs="*", default=[])
    configured = parser.parse_known_args(list(words))[0]
    presets = {
        file: str(preset)
        for file in configured.configfile
        if not Path(file).exists() and (preset := ROOT / "config" / Path(file).name).is_file()
    }
    configured.configfile = [presets.get(file, file) for file in configured.configfile]
    return [presets.get(word, word) for word in words], configured


def _snakemake(words: Sequence[str]) -> list[str]:
    """Words for Snakemake that a person need not write."""
    has_cores = any(re.fullmatch(r"-[cj].*|--(cores|jobs)(=.*)?", word) for word in words)
    return [
        *([] if Path.cwd() == ROOT else ["--snakefile", str(ROOT / "Snakefile")]),
        *(["--logger=lungline"] if find_spec("snakemake_interface_logger_plugins") else []),  # from Snakemake 9 on
        *([] if has_cores else ["--cores", str(CORES)]),
    ]
