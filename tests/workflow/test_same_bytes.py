"""Two whole runs from one seed, in two folders, make the same files to the byte."""

import hashlib

import pytest
import yaml

pytestmark = pytest.mark.workflow

MADE = ("ingest", "cache_volume", "draw_nodule_mask", "train_unet", "detect", "crop_patches", "train_system")


def digests(folder) -> dict[str, str]:
    """SHA-256 of the predictions and of every intermediate file, by name."""
    files = [folder / "predictions.csv", *(path for part in MADE for path in sorted((folder / part).rglob("*.*")))]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_two_runs_from_the_same_seed_give_the_same_bytes(finished) -> None:
    (finished.folder / "again.yaml").write_text(yaml.safe_dump({"outdir": "results/again"}), encoding="utf-8")
    presets = ["--configfile", "config/micro.yaml", "again.yaml"]
    answer = finished.snakemake(*presets, "--quiet", "host", "rules", "--", "predictions")
    assert answer.returncode == 0, answer.stdout[-5000:]
    first = digests(finished.folder / "results" / "micro")
    again = digests(finished.folder / "results" / "again")  # less the scan that is there for measuring the detector
    assert len([name for name in again if name.startswith("cache_volume") and name.endswith(".h5")]) == 19
    assert again == {name: digest for name, digest in first.items() if name in again}
