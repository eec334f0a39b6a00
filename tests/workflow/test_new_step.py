"""A new step for every scan is a module, a rule and an entry in the table of steps, and nothing else."""

import numpy as np
import pytest

from lungline.storage import hdf5
from scans import chest, write_mhd

pytestmark = pytest.mark.workflow

MODULE = '''"""Turn the resampled scan upside down."""

from __future__ import annotations

from lungline.runner.stage import Fields, ScanFile, scan_stage
from lungline.storage import hdf5


@scan_stage("ct_hu")
def run(volume: ScanFile) -> Fields:
    """Read `ct` of VOLUME, write it with its slices in the opposite order."""
    ct = hdf5.read_volume(volume, "ct")
    return {"ct": hdf5.volume_field(ct.with_array(ct.array[::-1]), "HU", "upside down")}
'''
RULE = """

rule flip_volume:
    input:
        **FILES.step_inputs("flip_volume"),
    output:
        out("flip_volume/{scan}.h5"),
    log:
        out("logs/flip_volume/{scan}.log"),
    conda:
        "../envs/lungline.yaml"
    params:
        code=fingerprint("flip_volume"),
    shell:
        "lungline flip-volume {input.volume:q} {output:q} > {log} 2>&1"
"""
BEFORE, ENTRY = (
    '    Step(\n        "cache_volume",',
    '    Step("flip_volume", {"volume": "resample"}, "flip_volume/{scan}.h5", "Turning upside down"),\n',
)


def test_a_step_is_added_to_the_workflow_and_to_predict_by_a_module_a_rule_and_an_entry(workflow, tmp_path) -> None:
    stage = workflow.folder / "src/lungline/stages/flip_volume.py"
    stage.write_text(MODULE, encoding="utf-8")
    rules = workflow.folder / "rules/preprocess.smk"
    old = rules.read_text(encoding="utf-8")
    try:
        with workflow.edited("src/lungline/workflow/steps.py", BEFORE, ENTRY + BEFORE):
            rules.write_text(old + RULE, encoding="utf-8")
            jobs = workflow.plan("micro", targets=("results/micro/flip_volume/386d2835f0493ec8f37fcb911101b77d.h5",))
            assert {"ingest", "resample", "flip_volume"} <= set(jobs)
            assert "segment_lungs" not in jobs
            write_mhd(tmp_path / "a.mhd", chest((60, 34, 40)))
            words = ["predict", str(tmp_path / "a.mhd"), "--out", str(tmp_path / "out"), "--keep", "--pages", "false"]
            assert workflow.lungline(*words).returncode in (0, 1)
    finally:
        stage.unlink()
        rules.write_text(old, encoding="utf-8")
    (made,) = (tmp_path / "out/stages/flip_volume").glob("*.h5")
    volume = hdf5.read_array(made.parents[1] / "resample" / made.name, "ct")
    turned = hdf5.read_array(made, "ct")
    assert np.array_equal(turned, volume[::-1])
