"""Fuzzing of everything that reads what others wrote: `python -m tests.conformance.fuzz`."""

import sys
from pathlib import Path

HELPERS = str(Path(__file__).resolve().parents[2])
if HELPERS not in sys.path:  # as pytest does it
    sys.path.append(HELPERS)
