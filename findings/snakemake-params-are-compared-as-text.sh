#!/usr/bin/env bash
# Library:  snakemake 9.27.1
# Guess:    A job runs again if the value of a parameter has changed, and only then: 1 equals 1.0, two dictionaries
#           are equal in any order.
# Seen:     What is compared is the text of the value: 1 -> 1.0, another order of keys and a tuple for a list run
#           again; one changed number in an array of 2000 does not, since its text is abridged.
# Matters:  Settings that a library rewrites as numpy numbers retrain a network for nothing; a long list of thresholds
#           kept as an array is changed and nothing happens.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile snakemake==9.27.1 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import shutil
import subprocess
import sys
from pathlib import Path

snakemake = Path(sys.executable).with_name("snakemake")
changes = {
    ("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}"): True,
    ("1", "1.0"): True,
    ("(1, 2)", "[1, 2]"): True,
    ("np.zeros(2000)", "np.where(np.arange(2000) == 1000, 7, 0.0)"): False,
}
seen = {}
for pair in changes:
    for path in (".snakemake", "done"):
        shutil.rmtree(path, ignore_errors=True)
    Path("made.txt").unlink(missing_ok=True)
    told = ""
    for value, words in zip(pair, (["--cores", "1"], ["-n"])):
        Path("Snakefile").write_text(
            "import numpy as np\nrule make:\n    output: 'made.txt'\n"
            f"    params: x={value}\n    shell: 'touch {{output}}'\n"
        )
        answer = subprocess.run([snakemake, *words], capture_output=True, text=True)
        told = answer.stdout + answer.stderr
    assert Path("made.txt").exists(), told
    seen[pair] = "Nothing to be done" not in told
    print(*pair, sep="  ->  ", end=": runs again\n" if seen[pair] else ": does not run again\n")
as_stated = seen == changes
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
