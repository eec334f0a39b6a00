"""Malformed input, damaged files and faults: how lungline behaves, and how to try it at full size."""
