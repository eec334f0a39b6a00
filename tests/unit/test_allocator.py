import gc
import subprocess
import sys

import pytest

from lungline.allocator import collect_seldom

_FAULTS = """
import resource, sys
import numpy as np
from lungline.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        arrays = [np.ones(3 << 20) for _ in range(4)]  # 24 MiB each
        del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _pages_filled(how: str) -> int:
    run = subprocess.run([sys.executable, "-c", _FAULTS, how], capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is asked")
def test_arrays_are_made_of_memory_that_was_freed_before():
    assert _pages_filled("kept") < _pages_filled("given back") / 4


def test_reference_cycles_are_looked_for_seldom():
    before = gc.get_threshold()
    try:
        collect_seldom()
        assert gc.isenabled()
        assert gc.get_threshold()[0] > 10 * 700
    finally:
        gc.set_threshold(*before)
