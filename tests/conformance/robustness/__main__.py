"""One command: build malformed inputs, let lungline and its peers read them, judge, print the scoreboard.

    python -m tests.conformance.robustness [--mutants N] [--only KIND] [--tools lungline] ...

Ends with exit code 1 if lungline breaks the contract on an input. Stopped early (Ctrl-C, SIGTERM), it reports what it
has read so far.
"""

from __future__ import annotations

import argparse
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.conformance.robustness import mutants, scoreboard
from tests.conformance.robustness.case import Case
from tests.conformance.robustness.dicom_cases import dicom_cases
from tests.conformance.robustness.judge import as_expected, judge
from tests.conformance.robustness.mhd_cases import mhd_cases
from tests.conformance.robustness.nifti_cases import nifti_cases
from tests.conformance.robustness.real_cases import real_cases
from tests.conformance.robustness.scoreboard import Row
from tests.conformance.robustness.tool_client import Tool, tools
from tests.conformance.robustness.tools_under_test import SOURCES
from tests.repository import REPOSITORY, sample_folder

HERE = Path(__file__).resolve().parent


def main() -> int:
    options = _options()
    wanted = options.tools.split(",")
    peers = options.peers_python if options.peers_python.exists() else None
    jobs: Iterator[Case | mutants.Mutant] = iter(_jobs(options))
    rows: list[Row] = []
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    lock = threading.Lock()
    unexpected: queue.Queue[BaseException] = queue.Queue()

    def work() -> None:
        try:
            with tools(wanted, peers, options.seconds) as started:
                while True:
                    with lock:
                        job = next(jobs, None)
                    if job is None or stop.is_set() or not unexpected.empty():
                        return
                    made = list(_read_and_judge(job, started))
                    with lock:
                        rows.extend(made)
                        _tell(rows, made)
        except BaseException as error:
            unexpected.put(error)
            raise

    threads = [threading.Thread(target=work) for _ in range(options.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(1.0)  # in short waits, so that a signal is seen
    if not unexpected.empty():
        return 2
    rows.sort(key=lambda row: (row.group, row.title, row.tool))
    about = f"{len({row.title for row in rows})} inputs, seed {options.seed}, limit {options.seconds:.0f} s an input."
    about += " Stopped early." if stop.is_set() else ""
    text = scoreboard.page(rows, wanted, about)
    scoreboard.write(options.out, rows, text)
    print(text)
    return 1 if scoreboard.broken(rows) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.robustness", description=__doc__)
    parser.add_argument("--mutants", type=int, default=10_000, help="mutants of sound inputs (default 10000)")
    parser.add_argument("--seed", type=int, default=1, help="of the mutants")
    parser.add_argument(
        "--only", default="", help="inputs whose title holds this, e.g. dicom/gantry-tilt or mutant/nifti"
    )
    parser.add_argument("--tools", default=",".join(SOURCES), help="comma between names")
    parser.add_argument("--peers-python", type=Path, default=HERE / ".venv" / "bin" / "python", help="has the peers")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1), help="inputs read at a time")
    parser.add_argument("--seconds", type=float, default=60.0, help="after which an input counts as hung")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "results" / "robustness", help="for the scoreboard")
    return parser.parse_args()


def _jobs(options: argparse.Namespace) -> Iterable[Case | mutants.Mutant]:
    cases = [*dicom_cases(), *mhd_cases(), *nifti_cases(), *real_cases(sample_folder())]
    yield from (case for case in cases if options.only in case.title)
    yield from (mutant for mutant in mutants.draw(options.seed, options.mutants) if options.only in mutant.title)


def _read_and_judge(job: Case | mutants.Mutant, started: list[Tool]) -> Iterator[Row]:
    folder = Path(tempfile.mkdtemp(prefix="lungline-benchmark-"))
    try:
        path = job.build(folder)
        for tool in started:
            if job.source not in SOURCES[tool.name] or (tool.name != "lungline" and not job.for_peers):
                continue
            reply = tool.read(path, job.source)
            if isinstance(job, Case):
                judged = judge(reply.outcome, reply.words, reply.answers, job.ground_truth)
                group, expect, kept = (
                    "cases",
                    str(job.ground_truth.expect),
                    as_expected(judged.verdict, job.ground_truth.expect),
                )
            else:
                judged = job.judge(reply.outcome, reply.words, reply.answers)
                group, expect, kept = "mutants", "either", judged.verdict in mutants.KEPT
            words = judged.words or reply.words
            yield Row(
                group,
                job.title,
                job.kind,
                tool.name,
                expect,
                judged.verdict,
                words,
                kept,
                reply.seconds,
                reply.peak_mib,
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tell(rows: list[Row], made: list[Row]) -> None:
    for row in scoreboard.broken(made):
        print(f"{row.title}: {row.verdict} (expected {row.expect}): {row.words[:150]}", file=sys.stderr, flush=True)
    if len(rows) // 1000 > (len(rows) - len(made)) // 1000:
        print(f"{len(rows)} readings done", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
