"""Two runs that start together in one folder: exactly one of them runs."""

from __future__ import annotations

import random
import re
import shutil
import time
from pathlib import Path

from tests.conformance.faults.workspace import PATIENCE_S, Workspace, differences

WHO = re.compile(r"process \d+.* since \d{4}-\d\d-\d\d \d\d:\d\d")


def try_pair(sound: Workspace, scratch: Path, number: int, seed: int) -> dict[str, object]:
    """One pair. The second starts at once or up to three seconds later, while the first is certainly at work."""
    dice = random.Random(seed * 3_000_003 + number)
    lag = 0.0 if number % 2 else dice.uniform(0, 3)
    expected = sound.digests()
    place = sound.copy(scratch)
    try:
        place.forget_from("train_classifier")
        first = place.start("a.log")
        time.sleep(lag)
        second = place.start("b.log")
        flags = [process.wait(PATIENCE_S) for process in (first, second)]
        said = [(place.folder / name).read_text(encoding="utf-8", errors="replace") for name in ("a.log", "b.log")]
        worked = [code == 0 and "Nothing to be done" not in text for code, text in zip(flags, said, strict=True)]
        refused = [text for code, text in zip(flags, said, strict=True) if code]
        wrong = list(differences(expected, place.digests()))
        named = all(WHO.search(text) for text in refused)
        return {
            "trial": number,
            "lag_s": round(lag, 2),
            "flags": flags,
            "ran": sum(worked),
            "refusal_says_who_and_when": named,
            "wrong": wrong[:5],
            "passed": sum(worked) == 1 and len(refused) == 1 and not wrong,
            "said": "" if sum(worked) == 1 and named else "\n=====\n".join(text[-1500:] for text in said),
        }
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
