"""Mutants of everything that lungline reads but scans: `python -m tests.conformance.entry_points`."""
