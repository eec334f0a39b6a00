"""What a process took, as the operating system counts it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lungline.runner.usage import write_usage

WORK = """
import sys, time
from pathlib import Path
from lungline.runner.usage import usage_so_far, write_usage

{work}
write_usage(Path(sys.argv[1]), *usage_so_far())
"""
PEAK = "bytearray(300 * 2**20)  # there and gone at once, between any two samples"
BUSY = "end = time.process_time() + 1.0\nwhile time.process_time() < end: pass"
CHILD = "import subprocess\nsubprocess.run([sys.executable, '-c', {work!r}], check=True)"


def used(path, work: str) -> dict[str, float]:
    subprocess.run([sys.executable, "-c", WORK.format(work=work), str(path)], check=True)
    return json.loads(path.read_text())


@pytest.mark.parametrize("where", ["itself", "child"])
def test_a_short_peak_and_every_cpu_second_count_also_of_a_child(tmp_path, where) -> None:
    def there(work: str) -> str:
        return work if where == "itself" else CHILD.format(work=f"import time\n{work}")

    idle, peak, busy = (used(tmp_path / "used.json", work) for work in ("", there(PEAK), there(BUSY)))
    assert 280 < peak["peak_mb"] - idle["peak_mb"] + (0 if where == "itself" else idle["peak_mb"]) < 400
    assert 0.95 < busy["cpu_s"] - idle["cpu_s"] < 2.5


def test_the_file_may_lie_in_a_folder_that_is_not_there_yet(tmp_path) -> None:
    write_usage(tmp_path / "a/b.json", 1.23456, 7.89)
    assert json.loads((tmp_path / "a/b.json").read_text()) == {"cpu_s": 1.235, "peak_mb": 7.9}
