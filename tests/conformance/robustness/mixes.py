"""In = predicted + quarantined: random folders of sound and faulty scans, to their end.

    python -m tests.conformance.robustness.mixes [--mixes 500] [--workflow 20] [--seed 1]

Ingest level: each mix is a folder of several scans, listed by `lungline manifest folder` and read by `lungline ingest`.
Every scan of the manifest must come out as one file that is ok, warned or quarantined, and every input must stand in
the manifest unless it holds no scan at all. Workflow level: each mix runs through the whole workflow (preset `micro`)
with trained weights. Every scan must have a row, and sound scans must have the very probabilities that they have alone.
Ends with exit code 1 if anything is lost.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import yaml

from lungline.errors import LunglineError
from lungline.privacy.pseudonyms import read_map
from lungline.storage import hdf5
from lungline.storage.scan_rows import read_manifest
from tests.conformance.robustness.case import Case
from tests.conformance.robustness.dicom_cases import dicom_cases
from tests.conformance.robustness.mhd_cases import mhd_cases
from tests.conformance.robustness.nifti_cases import nifti_cases
from tests.workflow_copy import Workflow, copy_workflow

SECONDS = 60.0
_FORK = multiprocessing.get_context("fork")


@dataclass
class Tally:
    """What came out of all mixes."""

    inputs: int = 0
    listed: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    unlisted: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.robustness.mixes", description=__doc__)
    parser.add_argument("--mixes", type=int, default=500, help="folders at ingest level")
    parser.add_argument("--workflow", type=int, default=20, help="folders through the whole workflow")
    parser.add_argument("--trained", type=Path, help="results of a finished micro run, whose weights are used")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    cases = [case for case in (*dicom_cases(), *mhd_cases(), *nifti_cases()) if case.kind != "bomb"]
    tally = Tally()
    for k in range(options.mixes):
        mix_at_ingest(random.Random(f"{options.seed} {k}"), cases, tally)
        if (k + 1) % 50 == 0:
            print(f"{k + 1} mixes: {tally.inputs} inputs, {dict(tally.statuses)}", file=sys.stderr, flush=True)
    print(f"ingest level: {options.mixes} mixes, {tally.inputs} inputs, {tally.listed} in the manifests")
    print(f"came out as: {dict(sorted(tally.statuses.items()))}")
    print(f"not in a manifest: {sum(tally.unlisted.values())} inputs: {dict(sorted(tally.unlisted.items()))}")
    faults = tally.faults
    if options.workflow:
        faults = faults + mixes_in_the_workflow(options.workflow, options.seed, cases, options.trained)
    for fault in faults:
        print(f"FAULT {fault}")
    print(f"{len(faults)} faults")
    return 1 if faults else 0


def build_mix(folder: Path, rng: random.Random, cases: Sequence[Case], count: int) -> dict[str, Case]:
    """Write `count` inputs, each below a folder of its own, one in three sound: folder name to case."""
    sound = [case for case in cases if case.kind == "sound"]
    chosen = {f"s{k}": rng.choice(sound if rng.random() < 1 / 3 else cases) for k in range(count)}
    for name, case in chosen.items():
        (folder / name).mkdir(parents=True)
        case.build(folder / name)
    return chosen


def mix_at_ingest(rng: random.Random, cases: Sequence[Case], tally: Tally) -> None:
    """One mix: manifest, then ingest of every scan of the manifest."""
    root = Path(tempfile.mkdtemp(prefix="lungline-mix-"))
    try:
        chosen = build_mix(root / "scans", rng, cases, rng.randrange(2, 5))
        tally.inputs += len(chosen)
        told = apart(lambda: _manifest(root))
        if told not in ("", "LunglineError"):
            tally.faults.append(f"manifest: {told}: {sorted(case.title for case in chosen.values())}")
            return
        rows = read_manifest(root / "out" / "manifest.csv") if not told else []
        places = {scan: path for scan, (_, path) in read_map(root / "out" / "private").items()}
        tally.listed += len(rows)
        for row in rows:
            output = root / "out" / "ingest" / f"{row.scan}.h5"
            told = apart(lambda row=row, output=output: _ingest(root, row.scan, row.source, output))
            title = chosen[places[row.scan].relative_to(root / "scans").parts[0]].title
            if told or not output.is_file():
                tally.faults.append(f"ingest: {told or 'no file'}: {title}")
            else:
                tally.statuses[hdf5.read_header(output).status] += 1
        listed = {path.relative_to(root / "scans").parts[0] for path in places.values()} if rows else set()
        for name, case in chosen.items():
            if name not in listed:
                tally.unlisted[case.title] += 1
                if case.ground_truth.expect == "answer":
                    tally.faults.append(f"manifest: a usable scan is not listed: {case.title}")
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _manifest(root: Path) -> None:
    from lungline.stages import manifest

    manifest.run("folder", root / "scans", root / "out")


def _ingest(root: Path, scan: str, source: str, output: Path) -> None:
    from lungline.stages import ingest

    ingest.run(root / "out" / "private" / "raw" / scan, output, source=source)  # type: ignore[arg-type]


def apart(work: Callable[[], None]) -> str:
    """Run something in a process of its own: "" if it ends well, else an exception's name, a signal or `hung`."""
    reader, writer = _FORK.Pipe(duplex=False)

    def body() -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            work()
        except LunglineError:
            writer.send("LunglineError")
        except BaseException as error:
            writer.send(f"{type(error).__name__}: {error}"[:300])

    process = _FORK.Process(target=body)
    process.start()
    writer.close()
    process.join(SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
        return "hung"
    if process.exitcode:
        return f"ended with {process.exitcode}"
    try:
        return str(reader.recv())
    except EOFError:
        return ""


# ---- the whole workflow --------------------------------------------------------------------------------------


def mixes_in_the_workflow(count: int, seed: int, cases: Sequence[Case], trained: Path | None = None) -> list[str]:
    """Mixes through the preset `micro` with weights that are trained once, or stand in `trained`; what was lost."""
    faults: list[str] = []
    workflow = copy_workflow(Path(tempfile.mkdtemp(prefix="lungline-workflow-")))
    home = workflow.folder
    try:
        if trained:
            shutil.copytree(trained, home / "results" / "micro", symlinks=True)
        else:
            models = "results/micro/train_classifier/m2-micro/weights.safetensors"
            done = workflow.snakemake("--configfile", "config/micro.yaml", "--", models)
            assert done.returncode == 0, done.stdout[-3000:]
        good = _sound_scans(home / "results" / "micro")
        alone: dict[str, str] = {}
        for k in range(count + 1):
            rng = random.Random(f"{seed} workflow {k}")
            scans = home / "scans"
            shutil.rmtree(scans, ignore_errors=True)
            _copy_good(good, scans / "good")
            chosen = build_mix(scans, rng, cases, 3) if k else {}
            told = len(faults)
            answers, statuses, fault = _run_mix(workflow, f"mix{k}")
            print(f"workflow mix {k}: {dict(statuses)} {sorted(c.title for c in chosen.values())}", flush=True)
            faults += [f"workflow mix {k}: {fault}"] if fault else []
            if k == 0:
                alone = answers
                if len(alone) != len(good) or not all(map(str.strip, alone.values())):
                    return [f"workflow: sound scans alone are not all answered: {statuses}"]
            changed = [name for name, value in alone.items() if answers.get(name) != value]
            if changed:
                faults.append(f"workflow mix {k}: the probabilities of {len(changed)} sound scans changed")
            for line in faults[told:]:
                print(f"FAULT {line}", flush=True)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(f"workflow level: {count} mixes; sound scans alone: {sorted(alone.values())}")
    return faults


def _sound_scans(results: Path) -> list[Path]:
    """Two patients and a LUNA-16 scan of the synthetic cohort that were not quarantined."""
    cohort = results / "cohort"

    def usable(path: Path) -> bool:
        cache = results / "cache_volume" / f"{path.name.removesuffix('.mhd')}.h5"
        return cache.is_file() and hdf5.read_header(cache).status != "quarantined"

    patients = filter(usable, sorted((cohort / "dsb17" / "stage1").iterdir()))
    scans = filter(usable, sorted(cohort.glob("luna16/subset*/*.mhd")))
    return [*islice(patients, 2), *islice(scans, 1)]


def _copy_good(good: Sequence[Path], target: Path) -> None:
    for k, path in enumerate(good):
        if path.is_dir():
            shutil.copytree(path, target / f"g{k}")
        else:
            (target / f"g{k}").mkdir(parents=True)
            for file in (path, path.with_suffix(".zraw")):
                shutil.copy(file, target / f"g{k}" / file.name)


def _run_mix(workflow: Workflow, name: str) -> tuple[dict[str, str], Counter[str], str]:
    """Probability as text of each sound scan, statuses of all rows, and what is lost."""
    home = workflow.folder
    change = {
        "outdir": f"results/{name}",
        "data": {"folder": str(home / "scans")},
        "detect": {"jobs": 1},
        "models": {
            "detectors": {"micro": "results/micro/train_unet/micro"},
            "classifiers": {"m2-micro": "results/micro/train_classifier/m2-micro"},
        },
    }
    (home / f"{name}.yaml").write_text(yaml.safe_dump(change), encoding="utf-8")
    results = home / "results" / name
    # the same key, so that a scan at the same place has the same pseudonym in every mix
    key = home / "results" / "mix0" / "private" / "key"
    if key.is_file() and name != "mix0":
        (results / "private").mkdir(parents=True, mode=0o700)
        shutil.copy(key, results / "private" / "key")
    configured = ("--configfile", "config/micro.yaml", f"{name}.yaml")
    listed = workflow.list_scans(*configured[1:])
    if listed.returncode:
        return {}, Counter(), f"the scans were not listed: {listed.stderr[-1500:]}"
    done = workflow.snakemake(*configured, "--", f"results/{name}/predictions.csv")
    if done.returncode:
        return {}, Counter(), f"the workflow failed: {done.stdout[-1500:]}"
    with open(results / "predictions.csv", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    places = {scan: path for scan, (_, path) in read_map(results / "private").items()}
    listed = {row.scan for row in read_manifest(results / "manifest.csv")}
    statuses = Counter(row["status"] for row in rows)
    fault = ""
    if sorted(row["scan"] for row in rows) != sorted(listed):
        fault = f"{len(listed)} scans in, {len(rows)} rows out"
    for row in rows:
        answered, quarantined = bool(row["probability"]), row["status"] == "quarantined"
        if answered == quarantined or (quarantined and "Q_" not in row["codes"]):
            fault = f"a row with status {row['status']} and flags {row['codes']}"
    good = {
        str(places[row["scan"]].relative_to(home / "scans")): f"{row['logit']} {row['probability']}"
        for row in rows
        if places[row["scan"]].is_relative_to(home / "scans" / "good")
    }
    return good, statuses, fault


if __name__ == "__main__":
    sys.exit(main())
