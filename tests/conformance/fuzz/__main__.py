"""Fuzz every reader of foreign bytes: `python -m tests.conformance.fuzz`, ten minutes each, a hundred in all.

    python -m tests.conformance.fuzz                              # every target
    python -m tests.conformance.fuzz zip marks --minutes 1        # two, shortly

Needs `pip install -r tests/conformance/fuzz/requirements.txt`; without atheris bytes are changed blindly. One input may
take 30 s and the process 2 GiB. Each kind of fault is told once, by its place in the code, and its input, made as
small as it goes, lies in OUT/TARGET/faults: mend the fault and put the file into tests/conformance/fuzz/seeds/TARGET,
where `tests/conformance/test_fuzz.py` reads it for ever. What found new lines lies in OUT/TARGET/corpus, and the next
call goes on from it. Exit code 1 if there was a fault.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import random
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from tests.repository import REPOSITORY

NAMES = ("dicom", "metaimage", "nifti", "label-map", "zip", "table", "patient", "model", "server", "marks")
INPUT_SECONDS = 30
MEMORY_MIB = 2048
MOST_BYTES = 1 << 16
MOST_RESTARTS = 20  # after an input that took too long or too much
PACKAGE = REPOSITORY / "src" / "lungline"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.fuzz", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)} (all)")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each target (10)")
    parser.add_argument("--out", type=Path, default=Path("results/fuzz"), help="where inputs are kept (results/fuzz)")
    parser.add_argument("--worker", choices=("fuzz", "cover"), help=argparse.SUPPRESS)
    words = parser.parse_args()
    if unknown := set(words.targets) - set(NAMES):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if words.worker == "fuzz":
        fuzz(words.targets[0], words.minutes * 60, words.out)
        return 0
    if words.worker == "cover":
        print(json.dumps(lines_reached(words.targets[0], words.out)))
        return 0
    faults = 0
    for name in words.targets or NAMES:
        faults += campaign(name, words.minutes, words.out.absolute())
    return 1 if faults else 0


def campaign(name: str, minutes: float, out: Path) -> int:
    """Fuzz one target, say what came of it, and return how many kinds of faults there are."""
    from tests.conformance.fuzz.targets import TARGETS, seeds

    folder = out / name
    for part in ("corpus", "faults"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for blob in [*TARGETS[name].sound(), *(path.read_bytes() for path in seeds(name))]:
        (folder / "corpus" / hashlib.sha256(blob).hexdigest()[:16]).write_bytes(blob)
    end, count = time.monotonic() + minutes * 60, 0
    for _ in range(MOST_RESTARTS):
        left = (end - time.monotonic()) / 60
        if left <= 0.02:
            break
        worker(name, out, "fuzz", left)
        count += int((folder / "count").read_text(encoding="ascii")) if (folder / "count").exists() else 0
        (folder / "count").unlink(missing_ok=True)
    found = sorted(path for path in (folder / "faults").iterdir() if path.suffix != ".txt")
    corpus = len(list((folder / "corpus").iterdir()))
    print(f"{name}: {count} inputs, {corpus} kept, {len(found)} kinds of faults; {coverage_of(name, out)}", flush=True)
    for path in found:
        words = path.with_suffix(".txt")
        print(f"  {path}: {words.read_text(encoding='utf-8').splitlines()[0] if words.exists() else path.name}")
    return len(found)


def worker(name: str, out: Path, what: str, minutes: float = 0.0) -> str:
    """What a process of its own prints."""
    command = [sys.executable, "-m", "tests.conformance.fuzz", name, "--worker", what, "--out", str(out)]
    log = out / name / f"{what}.log"
    with open(log, "a", encoding="utf-8") as errors:
        done = subprocess.run(
            [*command, "--minutes", str(minutes)],
            cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, check=False,
        )  # fmt: skip
    return done.stdout


def coverage_of(name: str, out: Path) -> str:
    """The share of lines of each module that the corpus reaches, in words."""
    if importlib.util.find_spec("coverage") is None:
        return "lines: not run, it needs coverage"
    said = worker(name, out, "cover").strip().splitlines()
    if not said:
        return f"lines: not run, see {out / name / 'cover.log'}"
    return ", ".join(f"{module} {share} %" for module, share in json.loads(said[-1]).items())


# ---- in a process of its own -----------------------------------------------------------------------------------


def fuzz(name: str, seconds: float, out: Path) -> None:
    """Try inputs for some time. An input that is too slow or too large ends the process; its file is kept."""
    folder = out / name
    tried = 0
    if importlib.util.find_spec("atheris"):
        import atheris

        with atheris.instrument_imports(include=["lungline"]):
            from tests.conformance.fuzz.targets import TARGETS
    else:
        from tests.conformance.fuzz.targets import TARGETS
    read = TARGETS[name].run

    def one(data: bytes) -> None:
        nonlocal tried
        tried += 1
        if tried % 50 == 0:
            (folder / "count").write_text(str(tried), encoding="ascii")
        try:
            read(data)
        except Exception as error:
            note(read, data, error, folder / "faults")

    if not importlib.util.find_spec("atheris"):
        blindly(one, seconds, folder)
        return
    limits = [
        f"-timeout={INPUT_SECONDS}",
        f"-report_slow_units={INPUT_SECONDS}",
        f"-rss_limit_mb={MEMORY_MIB}",
        f"-max_len={MOST_BYTES}",
    ]
    until = [f"-max_total_time={max(1, int(seconds))}", f"-artifact_prefix={folder / 'faults'}/"]
    atheris.Setup(["fuzz", *limits, *until, str(folder / "corpus")], one)
    atheris.Fuzz()


def blindly(one: Callable[[bytes], None], seconds: float, folder: Path) -> None:
    """Change what is known anywhere; an input that takes too long or too much is one of the faults."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MIB << 20, MEMORY_MIB << 20))

    def too_long(_: int, __: FrameType | None) -> None:
        raise TimeoutError(f"more than {INPUT_SECONDS} s")

    signal.signal(signal.SIGALRM, too_long)
    known = [path.read_bytes() for path in sorted((folder / "corpus").iterdir())]
    rng, end = random.Random(time.time_ns()), time.monotonic() + seconds
    while time.monotonic() < end:
        signal.alarm(INPUT_SECONDS)
        one(changed(rng.choice(known), rng))
        signal.alarm(0)


def changed(blob: bytes, rng: random.Random) -> bytes:
    """Some bytes of an input replaced, removed, doubled or put in."""
    out = bytearray(blob)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at, size = rng.randrange(len(out) + 1), rng.choice((1, 1, 2, 4, 16))
        part = bytes(out[at : at + size])
        out[at : at + rng.choice((0, size))] = rng.choice((rng.randbytes(size), b"", part * 2, b"9" * size))
    return bytes(out[:MOST_BYTES])


def place_of(error: BaseException) -> str:
    """Where an exception left our code, and what it is."""
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(PACKAGE))]
    where = f"{Path(ours[-1].filename).relative_to(PACKAGE)}:{ours[-1].lineno}" if ours else "outside"
    return f"{type(error).__name__} {where}"


def note(read: Callable[[bytes], object], data: bytes, error: Exception, folder: Path) -> None:
    """Keep an input that failed, made small, unless one has failed at the same place."""
    place = place_of(error)
    path = folder / hashlib.sha256(place.encode()).hexdigest()[:12]
    if not path.exists():
        path.write_bytes(smallest(read, data, place))
        path.with_suffix(".txt").write_text(f"{place}\n{''.join(traceback.format_exception(error))}", encoding="utf-8")


def smallest(read: Callable[[bytes], object], data: bytes, place: str, tries: int = 400) -> bytes:
    """The input without all parts that it does not need to fail at this place."""

    def fails(some: bytes) -> bool:
        try:
            read(some)
        except Exception as error:
            return place_of(error) == place
        return False

    size = max(1, len(data) // 2)
    while size and tries > 0:
        at = 0
        while at < len(data) and tries > 0:
            shorter = data[:at] + data[at + size :]
            tries -= 1
            if fails(shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data


def lines_reached(name: str, out: Path) -> dict[str, int]:
    """Module -> percent of its lines that the corpus of a target reaches, those that run at import included."""
    import coverage

    watch = coverage.Coverage(data_file=None, include=[f"{PACKAGE}/*"])
    watch.start()
    from tests.conformance.fuzz.targets import TARGETS

    for path in sorted((out / name / "corpus").iterdir()):
        try:
            TARGETS[name].run(path.read_bytes())
        except Exception as error:  # told by the fuzzer
            print(place_of(error), file=sys.stderr)
    watch.stop()
    shares = {}
    for module in TARGETS[name].modules:
        _, lines, _, missing, _ = watch.analysis2(str(PACKAGE / module))
        shares[module] = round(100 * (1 - len(missing) / max(1, len(lines))))
    return shares


if __name__ == "__main__":
    sys.exit(main())
