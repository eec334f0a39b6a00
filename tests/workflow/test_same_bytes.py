"""Two whole runs from one seed, in two folders and with other batches of scans, make the same files to the byte."""

import pytest
import yaml

from workflow_copy import digests

pytestmark = pytest.mark.workflow


def test_two_runs_from_the_same_seed_give_the_same_bytes(finished) -> None:
    change = {"outdir": "results/again", "detect": {"jobs": 3}}
    (finished.folder / "again.yaml").write_text(yaml.safe_dump(change), encoding="utf-8")
    presets = ["--configfile", "config/micro.yaml", "again.yaml"]
    answer = finished.snakemake(*presets, "--quiet", "host", "rules", "--", "predictions")
    assert answer.returncode == 0, answer.stdout[-5000:]
    first = digests(finished.folder / "results" / "micro")
    again = digests(finished.folder / "results" / "again")
    assert len([name for name in again if name.startswith("cache_volume") and name.endswith(".h5")]) == 20
    assert again == {name: digest for name, digest in first.items() if name in again}
