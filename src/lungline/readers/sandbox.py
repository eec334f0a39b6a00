"""Work on files from others in a child process: whatever it dies of, one scan is lost and nothing else.

Decoders are C libraries. A file can make one crash, run for ever or ask for all memory, and no `except` catches
that. So the child has limits, no core dump, no words (libraries print what stands in a header), and hands its
array back through memory that both share: no copy, and no file that could stay behind.
"""

import ctypes
import faulthandler
import json
import mmap
import os
import resource
import select
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from lungline import limits
from lungline.errors import LunglineError, Quarantine, lack_of_the_disk
from lungline.readers.raw import MAX_VOXELS

SECONDS = limits.CHILD_SECONDS
MEMORY_BYTES = limits.CHILD_BYTES
_PR_SET_PDEATHSIG = 1
_SHARED_BYTES = 2 * MAX_VOXELS  # int16; pages that are not touched cost nothing

_free: mmap.mmap | None = None  # in a child, until it is handed out

Answer = tuple[NDArray[np.int16], Any]
Work = Callable[[], Answer]


def run_in_sandbox(work: Work, *, seconds: float = SECONDS, memory_bytes: int = MEMORY_BYTES) -> Answer:
    """What `work` returns, made by a child process: an array of at most `MAX_VOXELS`, and something that JSON can hold.

    The child may take `seconds` of wall time, and `memory_bytes` beyond what this process holds.

    Its `Quarantine` and `LunglineError` are raised here. Its `OSError` is `Q_UNREADABLE`, or a `LunglineError` where
    temporary files have no room. `Q_LIMIT` if the memory does not suffice, `Q_DECODER_TIMEOUT`, `Q_DECODER_DIED` for
    every other end.
    """
    shared = mmap.mmap(-1, _SHARED_BYTES)
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: the child starts none of them
        child = os.fork()
    if child == 0:
        os.close(reading)
        _be_the_child(work, shared, writing, seconds, memory_bytes)
    os.close(writing)
    try:
        received = _listen(reading, seconds)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)  # a child that has spoken is done
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return _parse(received, status, shared)


def empty_int16(shape: tuple[int, ...]) -> NDArray[np.int16]:
    """An array to be filled; the first one in a child lies in the memory that both share, so it need not be copied."""
    global _free
    size = int(np.prod(shape))
    if _free is None or 2 * size > len(_free):
        return np.empty(shape, dtype=np.int16)
    memory, _free = _free, None
    return np.frombuffer(memory, dtype=np.int16, count=size).reshape(shape)


def _be_the_child(work: Work, shared: mmap.mmap, writing: int, seconds: float, memory_bytes: int) -> NoReturn:
    """Do the work within limits, say what came of it, and end without running anything of the parent's."""
    try:
        end_with_parent()
        faulthandler.disable()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_CPU, int(seconds) + 1)
        if (held := _private_bytes()) is not None:
            _limit(resource.RLIMIT_DATA, held + memory_bytes)
        os.write(writing, json.dumps(_do(work, shared, memory_bytes)).encode())
    finally:
        os._exit(0)


def end_with_parent() -> None:
    """Let the kernel end this process, just forked, as soon as its parent ends, however that ends (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _do(work: Work, shared: mmap.mmap, memory_bytes: int) -> dict[str, Any]:
    global _free
    _free = shared
    try:
        array, about = work()
        target = np.frombuffer(shared, dtype=np.int16, count=array.size).reshape(array.shape)
        if (array.ctypes.data, array.strides, array.dtype) != (target.ctypes.data, target.strides, target.dtype):
            target[...] = array
        return {"shape": array.shape, "about": about}
    except Quarantine as reason:
        return {"quarantine": (reason.flag, reason.detail)}
    except LunglineError as error:
        return {"error": str(error)}
    except OSError as error:  # its own words name the raw file
        if lack := lack_of_the_disk(error):  # says nothing of the scan
            return {"error": f"{lack} for the temporary files of reading. Make room there ($TMPDIR) and run again."}
        return {"quarantine": ("Q_UNREADABLE", type(error).__name__)}
    except MemoryError:
        return {"quarantine": ("Q_LIMIT", f"reading needs more than {memory_bytes >> 20} MiB of memory")}
    except Exception as error:  # what no reader foresaw costs one scan as well, and not the run
        return {"quarantine": ("Q_DECODER_DIED", f"reading ended with {type(error).__name__}")}


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _private_bytes() -> int | None:
    """Memory that this process holds for itself; None where the system does not say (and enforces no limit)."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * mmap.PAGESIZE
    except (OSError, IndexError):
        return None


def _listen(reading: int, seconds: float) -> bytes:
    """All that the child says until it closes the pipe."""
    end = time.monotonic() + seconds
    received = b""
    while select.select([reading], [], [], max(0.0, end - time.monotonic()))[0]:
        piece = os.read(reading, 1 << 16)
        if not piece:
            return received
        received += piece
    raise Quarantine("Q_DECODER_TIMEOUT", f"reading took more than {seconds:.0f} s")


def _parse(received: bytes, status: int, shared: mmap.mmap) -> Answer:
    try:
        answer = json.loads(received)
    except ValueError:
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        raise Quarantine("Q_DECODER_DIED", f"reading ended with {how}") from None
    if "error" in answer:
        raise LunglineError(answer["error"])
    if "quarantine" in answer:
        raise Quarantine(*answer["quarantine"])
    shape = answer["shape"]
    return np.frombuffer(shared, dtype=np.int16, count=int(np.prod(shape))).reshape(shape), answer["about"]
