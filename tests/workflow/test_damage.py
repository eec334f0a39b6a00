"""One damaged file of each kind: the same command again, and every file that is needed is there, to the byte."""

import hashlib
from pathlib import Path

import pytest

pytestmark = pytest.mark.workflow

COMMAND = ("--configfile", "config/micro.yaml", "--keep-going", "--quiet", "host", "reason")
SCAN_KINDS = (
    "ingest/*.h5",
    "resample/*.h5",
    "segment_lungs/*.h5",
    "cache_volume/*.h5",
    "rasterise_nodules/*.h5",
    "detect/micro/*.h5",
    "extract_candidates/micro/*.csv",
    "crop_patches/micro/*.h5",
)
OTHER_KINDS = (
    "train_unet/micro/z/weights.safetensors",
    "train_unet/micro/y/card.json",
    "train_classifier/m2-micro/weights.safetensors",
    "predict_cancer/m2-micro.csv",
    "collect_predictions/m2-micro.csv",
)
MOST_ROUNDS = 6


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def digests(results: Path) -> dict[str, str]:
    """SHA-256 of what the steps made, checksums included, by name."""
    folders = {kind.partition("/")[0] for kind in SCAN_KINDS + OTHER_KINDS}
    files = [path for folder in sorted(folders) for path in (results / folder).rglob("*") if path.is_file()]
    files.append(results / "predictions.csv")
    made = [path for path in files if path.suffix != ".damaged"]
    return {str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest() for path in made}


def test_after_damage_of_every_kind_the_same_command_makes_the_same_files(finished) -> None:
    results = finished.folder / "results" / "micro"
    before = digests(results)
    damaged = [sorted(results.glob(kind))[number] for number, kind in enumerate(SCAN_KINDS)]
    damaged += [results / kind for kind in OTHER_KINDS]
    for path in damaged:
        flip_a_bit(path)
    answers = []
    while not answers or (answers[-1].returncode and len(answers) < MOST_ROUNDS):
        answers.append(finished.snakemake(*COMMAND))
    assert answers[-1].returncode == 0, answers[-1].stdout[-5000:]
    said = "".join(answer.stdout for answer in answers)
    assert "Traceback" not in said
    assert "run the same command again and it is made anew" in said
    after = digests(results)
    assert after == {name: digest for name, digest in before.items() if name in after}
    gone = before.keys() - after.keys()  # early files that no step had to read again
    assert gone
    assert {name.partition("/")[0] for name in gone} <= {"ingest", "resample", "segment_lungs"}
    assert finished.snakemake(*COMMAND, "--", *(f"results/micro/{name}" for name in sorted(gone))).returncode == 0
    assert finished.snakemake(*COMMAND).returncode == 0
    assert digests(results) == before
    assert finished.plan("micro") == {}
    assert damaged[0].with_name(f"{damaged[0].name}.damaged").is_file()
    for path in results.rglob("*.damaged"):
        path.unlink()
