"""One tool behind a pipe: every input is read in a forked process with a limit of time and memory.

    python -m tests.conformance.robustness.tool_server TOOL

reads one JSON request per line from stdin and writes one JSON reply per line to stdout. A crash, a hang or a lack of
memory costs one process, and its peak memory is its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np

from tests.conformance.robustness import tools_under_test

MEMORY_BYTES = 6 << 30  # of address space; what is reported is the memory that was touched


def serve(tool: str) -> None:
    tools_under_test.load(tool)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asked decides when to stop
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)  # what tools print is not a reply
    os.dup2(quiet, 2)
    print(json.dumps({"ready": True}), file=replies, flush=True)
    for line in sys.stdin:
        print(json.dumps(read_apart(tool, json.loads(line))), file=replies, flush=True)


def read_apart(tool: str, request: dict) -> dict:
    """Outcome (`answered`, `refused`, `raised`, `crashed`, `hung`), words, seconds and peak memory of one input."""
    started = time.monotonic()
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(source)
        _read(tool, request, sink)
    os.close(sink)
    with os.fdopen(source, "rb") as pipe:
        told = pipe.read()
    _, status, usage = os.wait4(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what the tool may have left running
    reply = json.loads(told) if told else {"outcome": "crashed", "words": f"ended with status {status}"}
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        reply = {"outcome": "hung" if name == "SIGALRM" else "crashed", "words": name}
    return {**reply, "seconds": time.monotonic() - started, "peak_mib": usage.ru_maxrss / 1024}


def _read(tool: str, request: dict, sink: int) -> None:
    """In the child: read, leave the answers in the scratch folder, say how it went, and end."""
    os.setsid()
    signal.setitimer(signal.ITIMER_REAL, request["seconds"])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    scratch = Path(request["scratch"])
    try:
        answers = tools_under_test.READERS[tool](Path(request["path"]), request["source"], scratch, request["seconds"])
        for k, (array, affine) in enumerate(answers):
            np.save(scratch / f"{k}-array.npy", array)
            np.save(scratch / f"{k}-affine.npy", affine)
        reply = {"outcome": "answered", "answers": len(answers)}
    except tools_under_test.Refused as reason:
        reply = {"outcome": "refused", "words": str(reason)[:300]}
    except tools_under_test.CrashedError as reason:
        reply = {"outcome": "crashed", "words": str(reason)}
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        hung = type(error).__name__ == "TimeoutExpired"
        words = f"{type(error).__name__}: {str(error)[:200]} ({Path(where.filename).name}:{where.lineno})"
        reply = {"outcome": "hung" if hung else "raised", "words": words}
    os.write(sink, json.dumps(reply).encode()[:60000])
    os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
