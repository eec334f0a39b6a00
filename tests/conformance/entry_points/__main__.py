"""One command: change the files of everything that lungline reads but scans, and see how each reading ends.

    python -m tests.conformance.entry_points [--mutants N] [--only NAME] [--seed S] [--seconds S]

A reading ends with an answer, or with what a person can mend, in lines without a traceback; anything else is printed,
with how to make it again, and the exit code is 1. Each is done in a fork: a crash, a hang or more memory than
`lungline.limits` states for its reader costs one mutant.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from lungline.limits import READERS
from lungline.readers.sandbox import end_with_parent
from lungline.runner.commands import exit_code_of
from tests.conformance.entry_points.subjects import SUBJECTS, NoRowError, Subject
from tests.conformance.entry_points.text_mutations import changed

KEPT = ("answer", "refused in words")


@dataclass(frozen=True)
class End:
    """How a reading ended: one of `KEPT` or another word, what was said last, and what it cost."""

    verdict: str
    words: str
    seconds: float
    memory_bytes: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.entry_points", description=__doc__)
    parser.add_argument("--mutants", type=int, default=10_000, help="of all entry points together (default 10000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="entry points whose name holds one of these words, a comma between")
    parser.add_argument("--seconds", type=float, default=20.0, help="after which a reading counts as hung")
    options = parser.parse_args()
    chosen = {
        name: subject for name, subject in SUBJECTS.items() if any(word in name for word in options.only.split(","))
    }
    ends: dict[str, list[End]] = defaultdict(list)
    for name, subject in chosen.items():
        for number, (how, end) in enumerate(mutants(name, subject, options.mutants // len(chosen), options)):
            ends[name].append(end)
            if end.verdict not in KEPT:
                print(f"{name}, mutant {number} ({how}): {end.verdict}: {end.words}", flush=True)
        print(_row(name, ends[name]), file=sys.stderr, flush=True)
    print("| entry point | mutants | answered | refused in words | else | longest, s | most memory, MiB |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(_row(name, some) for name, some in ends.items()))
    every = [end for some in ends.values() for end in some]
    print(_row("all", every))
    return int(any(end.verdict not in KEPT for end in every))


def mutants(name, subject: Subject, count: int, options):  # type: ignore[no-untyped-def]
    """The way and the end of each of `count` changes; the sound input, which must be answered, comes first."""
    with tempfile.TemporaryDirectory(prefix="lungline-entry-") as scratch:
        sound = Path(scratch) / "sound"
        sound.mkdir()
        subject.build(sound)
        files = sorted(file.relative_to(sound) for file in sound.glob(subject.files) if file.is_file())
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            subject.ask(Path(shutil.copytree(sound, Path(scratch) / "first")))  # so that no fork imports anything
        for number in range(count):
            rng = random.Random(f"{options.seed} {name} {number}")
            folder = Path(shutil.copytree(sound, Path(scratch) / "mutant"))
            how = "sound"
            if number:
                file = rng.choice(files)
                way, content = changed((sound / file).read_bytes(), rng, subject.ways)
                (folder / file).write_bytes(content)
                how = f"{way} of {file}"
            end = read_apart(subject, folder, options.seconds)
            yield (
                how,
                End("refused a sound input", *list(vars(end).values())[1:])
                if not number and end.verdict != KEPT[0]
                else end,
            )
            shutil.rmtree(folder)


def read_apart(subject: Subject, folder: Path, seconds: float) -> End:
    """How reading a folder ends, in a fork."""
    reading, writing = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os.setsid()
        end_with_parent()
        _be_the_child(subject, folder, writing)
    os.close(writing)
    said = b""
    while select.select([reading], [], [], max(0.0, started + seconds - time.monotonic()))[0]:
        piece = os.read(reading, 1 << 16)
        if not piece:
            break
        said += piece
    else:
        os.killpg(child, signal.SIGKILL)
    os.close(reading)
    status = os.waitpid(child, 0)[1]
    took = time.monotonic() - started
    peak, _, text = said.decode("utf-8", "replace").partition(" ")
    memory = int(peak or 0)
    verdict, _, words = text.partition(": ")
    if took >= seconds:
        verdict, words = "hung", f"after {seconds:g} s"
    elif not verdict:
        verdict, words = "crashed", f"status {os.waitstatus_to_exitcode(status)}"
    elif memory > READERS[subject.reader].memory_bytes:
        verdict, words = "memory", f"{memory >> 20} MiB"
    return End(verdict, words, took, memory)


def _be_the_child(subject: Subject, folder: Path, writing: int) -> None:
    try:
        os.chdir(folder)
        before = _memory("VmRSS")
        with open(folder / "said", "wb") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
        sys.stdout = sys.stderr = open(folder / "said", "a", encoding="utf-8")  # noqa: SIM115  ends with the fork
        try:
            refused = exit_code_of("asked", lambda: subject.ask(folder)) == 2
            sys.stderr.flush()
            lines = (folder / "said").read_text("utf-8", "replace").splitlines()
            if refused and not any(line.startswith("lungline asked: ") for line in lines):
                end = f"refused without words: {lines[-1:]}"
            else:
                end = f"refused in words: {lines[-1:]}" if refused else "answer: "
        except NoRowError:
            end = "no row: "
        except BaseException:
            last = traceback.format_exc().strip().splitlines()
            end = f"traceback: {last[-1][:200]} | {' '.join(' '.join(last[-5:-1]).split())[:300]}"
        of_children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
        os.write(writing, f"{max(0, _memory('VmHWM') - before, of_children - before)} {end[:4000]}".encode())
    finally:
        os._exit(0)


def _memory(key: str) -> int:
    """Bytes that this process holds now (VmRSS), or held at most (VmHWM)."""
    return int(Path("/proc/self/status").read_text("ascii").partition(f"{key}:")[2].split()[0]) << 10


def _row(name: str, ends: list[End]) -> str:
    found = Counter(end.verdict for end in ends)
    other = ", ".join(f"{count} {word}" for word, count in found.items() if word not in KEPT) or "0"
    longest, most = max(end.seconds for end in ends), max(end.memory_bytes for end in ends) >> 20
    return f"| {name} | {len(ends)} | {found[KEPT[0]]} | {found[KEPT[1]]} | {other} | {longest:.1f} | {most} |"


if __name__ == "__main__":
    sys.exit(main())
