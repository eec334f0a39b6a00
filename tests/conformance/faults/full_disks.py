"""A disk that is full at some point of the run; then more room, and the same command once."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from tests.conformance.faults.workspace import FRONTS, Workspace, differences

ROOM_BYTES = 2 << 30


def why_not() -> str:
    """Why no small disk can be made here; empty where one can."""
    if os.geteuid() or shutil.which("mount") is None:
        return "needs root, to mount a small tmpfs"
    return ""


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder, in blocks as a tmpfs counts them."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())


def try_full_disk(sound: Workspace, scratch: Path, number: int, share: float) -> dict[str, object]:
    """A run on a disk that holds a share of what is still to be made: everything, or from one step on.

    The results and temporary files are on the small disk; the workflow and Snakemake's notes are not.
    """
    front, expected = FRONTS[number % len(FRONTS)], sound.digests()
    copied = sound.copy(scratch)
    place = replace(copied, temporary=copied.results)
    everything = size_of(place.results)
    place.forget_from(front)
    kept = size_of(place.results)
    size = int(kept + share * (everything - kept))
    place.results.rename(scratch / "kept")
    place.results.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place.results)], check=True)
    try:
        shutil.copytree(scratch / "kept", place.results, symlinks=True, dirs_exist_ok=True)
        first = place.run()
        torn = place.torn()
        subprocess.run(["mount", "-o", f"remount,size={ROOM_BYTES}", str(place.results)], check=True)
        place.unlock()
        again = place.run("again.log")
        wrong = list(differences(expected, place.digests()))
        clear = "space left on device" in first.said.lower()
        tracebacks = first.said.count("Traceback (most recent call last)")
        return {
            "front": front,
            "share": round(share, 2),
            "bytes": size,
            "stopped_code": first.code,
            "clear_line": clear,
            "tracebacks": tracebacks,
            "torn": torn[:5],
            "resumed_code": again.code,
            "wrong": wrong[:5],
            "passed": first.code != 0 and clear and not tracebacks and not torn and again.code == 0 and not wrong,
            "said": first.said[-3000:] if not clear or tracebacks else again.said[-3000:] if again.code else "",
        }
    finally:
        subprocess.run(["umount", "--lazy", str(place.results)], check=False)
        shutil.rmtree(scratch, ignore_errors=True)
