"""Settings that stages need and most tests do not care about: those of the shipped configuration."""

RESAMPLE = {"spacing_mm": 1.0}
LUNGS = {"threshold_hu": -320.0, "margin_mm": 5.0, "plausible_ml_low": 1000.0, "plausible_ml_high": 9000.0}
CACHE = {"region": "lung_box", "outside_hu": -1000.0, "compression": "blosc"}
DETECT = {"precision": "float32", "device": "cpu"}
CANDIDATES = {"threshold": 0.8, "count": 20, "rank_by": "sum", "split": False}
PATCHES = {"count": 20, "size": 32}
