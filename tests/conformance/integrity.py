"""Damage copies of every kind of cached file and count what their readers do.

    ./run --configfile config/micro.yaml
    python -m tests.conformance.integrity results/micro

Single flipped bits, truncations, and replacements by another file, by nothing and by noise; all seeded. Each damaged
copy is read in a child process by the function that the next stage uses, whole:

noticed     CorruptFileError or another LunglineError
harmless    every value and attribute that is read is the original's
silent      something else is read: must be 0
traceback   another exception: must be 0
crash, hang the process died, or did not answer in time: must be 0
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from lungline.config.loading import config_text
from lungline.detection.candidates import read_candidates
from lungline.errors import LunglineError
from lungline.storage import checksums, hdf5
from lungline.storage.frames import read_curve
from lungline.storage.predictions import read_answers, read_predictions
from lungline.storage.results import read_result
from lungline.storage.saved_config import read_saved_config
from lungline.storage.weights import read_card, read_tensors

OUTCOMES = ("noticed", "harmless", "silent", "traceback", "crash", "hang")
WRONG = OUTCOMES[2:]
PATIENCE_S = 120


def read_hdf5(path: Path) -> object:
    """Header and every field, as the stages read them."""
    return hdf5.read_header(path), {name: hdf5.read_field(path, name) for name in hdf5.field_names(path)}


def read_checksummed(path: Path) -> object:
    """The file beside whose checksum this is."""
    return checksums.check(_checksummed_by(path))


#: kind -> (where such files lie in a result tree, how the next stage reads one)
KINDS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "ingest": ("ingest/*.h5", read_hdf5),
    "resample": ("resample/*.h5", read_hdf5),
    "segment_lungs": ("segment_lungs/*.h5", read_hdf5),
    "cache_volume": ("cache_volume/*.h5", read_hdf5),
    "rasterise_nodules": ("rasterise_nodules/*.h5", read_hdf5),
    "detect": ("detect/*/*.h5", read_hdf5),
    "candidates": ("extract_candidates/*/*.csv", read_candidates),
    "label map": ("extract_candidates/*/*.h5", read_hdf5),
    "crop_patches": ("crop_patches/*/*.h5", read_hdf5),
    "weights, checkpoint": ("train_*/**/weights.safetensors", read_tensors),
    "card": ("train_*/**/card.json", read_card),
    "learning curve": ("train_*/**/learning_curve.csv", read_curve),
    "answers": ("predict_cancer/*.csv", read_answers),
    "predictions": ("collect_predictions/*.csv", read_predictions),
    "evaluation": ("evaluate/*.json", read_result),
    "nodule table": ("describe_nodules/*/*.json", read_result),
    "configuration": ("private/config.json", lambda path: config_text(read_saved_config(path))),
    "checksum": ("crop_patches/*/.*.sha256", read_checksummed),
}


def digest(value: object) -> str:
    """The same for two values exactly when every array, attribute and word in them is the same."""
    if isinstance(value, np.ndarray):
        inside = f"{value.dtype} {value.shape} {hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
    elif hasattr(value, "numpy"):
        inside = digest(value.numpy())
    elif is_dataclass(value) and not isinstance(value, type):
        inside = digest({name: getattr(value, name) for name in value.__dataclass_fields__})
    elif isinstance(value, dict):
        inside = repr([(key, digest(item)) for key, item in sorted(value.items())])
    elif isinstance(value, list | tuple):
        inside = repr([digest(item) for item in value])
    else:
        inside = repr(value)
    return hashlib.sha256(f"{type(value).__name__} {inside}".encode()).hexdigest()


def damages(good: bytes, other: bytes, flips: int, truncations: int, seed: int) -> Iterator[bytes]:
    """Damaged versions of a file: flipped bits, truncations, replacements."""
    rng = np.random.default_rng([seed, len(good)])
    for place in rng.integers(len(good) * 8, size=flips):
        bad = bytearray(good)
        bad[place // 8] ^= 1 << (place % 8)
        yield bytes(bad)
    for length in rng.integers(len(good), size=truncations):
        yield good[:length]
    yield from (bad for bad in (other, b"", rng.bytes(len(good))) if bad != good)


def judge(read: Callable[[Path], object], path: Path, expected: str) -> str:
    """What a reader does with one damaged file."""
    checksums.sha256_of_this_moment.cache_clear()  # copies are rewritten faster than clocks tick
    try:
        found = digest(read(path))
    except LunglineError:
        return "noticed"
    except BaseException as error:
        print(f"{path.name}: {type(error).__name__}: {error}", file=sys.stderr)
        return "traceback"
    return "harmless" if found == expected else "silent"


def _child(pipe: Connection, read: Callable[[Path], object], path: Path, expected: str) -> None:
    while (bad := pipe.recv()) is not None:
        path.write_bytes(bad)
        pipe.send(judge(read, path, expected))


def survey(kind: str, results: Path, flips: int, truncations: int, seed: int, *, checksum: bool = True) -> Counter[str]:
    """Count the outcomes for one kind of file; `checksum=False` measures what the readers notice without checksums."""
    pattern, read = KINDS[kind]
    files = sorted(results.glob(pattern), key=lambda path: (path.stat().st_size, path.name))
    if not files:
        raise SystemExit(f"{results}: no file {pattern}. Run the workflow first.")
    original = files[len(files) // 2]  # not the file of a quarantined scan, which is the smallest
    good, other = original.read_bytes(), files[-1].read_bytes()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, original.name)
        beside = (
            [original, checksums.checksum_path(original)]
            if kind != "checksum"
            else [original, _checksummed_by(original)]
        )
        for file in beside:
            if file.is_file():
                shutil.copy(file, folder)
        if not checksum:
            checksums.checksum_path(path).unlink(missing_ok=True)
        expected = digest(read(path))
        child = None
        for bad in damages(good, other, flips, truncations, seed):
            child = child or _start(read, path, expected)
            process, pipe = child
            try:
                pipe.send(bad)
                outcome = pipe.recv() if pipe.poll(PATIENCE_S) else "hang"
            except (EOFError, BrokenPipeError):
                outcome = "crash"
            if outcome in ("hang", "crash"):
                process.kill()
                child = None
            counts[outcome] += 1
        if child:
            child[1].send(None)
            child[0].join()
    return counts


def _checksummed_by(checksum: Path) -> Path:
    return checksum.with_name(checksum.name.removeprefix(".").removesuffix(".sha256"))


def _start(read: Callable[[Path], object], path: Path, expected: str) -> tuple[multiprocessing.Process, Connection]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_child, args=(there, read, path, expected), daemon=True)
    process.start()
    there.close()
    return process, here


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance.integrity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("results", type=Path, help="a finished result tree")
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--truncations", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--without-checksums", action="store_true", help="what the formats' own checks notice")
    options = parser.parse_args()
    print("| kind | " + " | ".join(OUTCOMES) + " |\n|---|" + "---|" * len(OUTCOMES))
    wrong = 0
    for kind in options.kinds:
        counts = survey(
            kind,
            options.results,
            options.flips,
            options.truncations,
            options.seed,
            checksum=not options.without_checksums,
        )
        print(f"| {kind} | " + " | ".join(str(counts[outcome]) for outcome in OUTCOMES) + " |", flush=True)
        wrong += sum(counts[outcome] for outcome in WRONG)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
