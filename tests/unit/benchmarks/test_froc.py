"""`python -m benchmarks.froc --script`: with a script in the place of LUNA-16's, which tells its rules step by step."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.froc import beside_script

SCRIPT = """
import csv
from tests.literal_froc import literal_froc

def noduleCADEvaluation(annotations, excluded, ids, marks, out):
    rows = [list(csv.reader(open(name)))[1:] for name in (annotations, excluded, marks)]
    curve = literal_froc([row[0] for row in csv.reader(open(ids))], *rows)
    found = [value * SHARE for value in curve.sensitivity]
    with open(f"{out}/froc_marks.txt", "w") as file:
        file.writelines(f"{x:.9f},{y:.9f},0\\n" for x, y in zip(curve.false_positives_per_scan, found))
"""


@pytest.mark.parametrize("share", ["1", "0.999"])
def test_a_script_is_timed_if_its_cpm_is_ours(tmp_path: Path, monkeypatch, capsys, share: str) -> None:
    (tmp_path / "script.py").write_text(SCRIPT.replace("SHARE", share))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    if share == "1":
        assert beside_script(tmp_path / "script.py", 5, 4, 0) == 1  # of so few scans ours takes more than a tenth
        assert "the script, 0 rounds: " in capsys.readouterr().out
    else:
        with pytest.raises(AssertionError):
            beside_script(tmp_path / "script.py", 5, 4, 0)
