"""What a process took, as the operating system counts it: nothing is sampled, so no peak is missed."""

import json
import resource
import sys
from pathlib import Path

_BYTES = 1 if sys.platform == "darwin" else 1024  # in which `ru_maxrss` counts


def usage_so_far() -> tuple[float, float]:
    """CPU seconds of this process with its ended children, and the largest memory that one of them held, in MB.

    Memory is resident, of one process alone, in 2**20 bytes.
    """
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu_s = sum(one.ru_utime + one.ru_stime for one in (own, children))
    return cpu_s, max(_own_peak() or own.ru_maxrss * _BYTES, children.ru_maxrss * _BYTES) / 2**20


def _own_peak() -> int | None:
    """Bytes that this process held at most, where Linux says so.

    Its `ru_maxrss` would begin with what the parent held when it started this process. That of our children begins with
    what we hold, which counts anyway.
    """
    try:
        words = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").split()
        return int(words[words.index("VmHWM:") + 1]) * 1024
    except (OSError, ValueError, IndexError):
        return None


def write_usage(path: Path, cpu_s: float, peak_mb: float) -> None:
    """Write PATH (.json), which is no result: it differs from run to run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cpu_s": round(cpu_s, 3), "peak_mb": round(peak_mb, 1)}) + "\n", encoding="utf-8")
