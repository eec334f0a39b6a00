#!/usr/bin/env bash
# Library:  snakemake 9.27.1
# Guess:    A job whose own parameter has changed runs again, whatever becomes of its inputs; `ancient` only says that
#           the time of an input does not count.
# Seen:     Where the maker of an ancient input must run, too, the changed job is not looked at and does not run; the
#           next call finds it.
# Matters:  One edit of a configuration that renews a list of scans or a settings file, and a threshold behind it,
#           leaves results of the old threshold behind, and the run ends well.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile snakemake==9.27.1
cat > Snakefile <<'SNAKEFILE'
rule result:
    input: ancient("list.txt")
    output: "result.txt"
    params: threshold=config["threshold"]
    shell: "echo {params.threshold} > {output}"
rule list:
    output: "list.txt"
    params: scans=config["scans"]
    shell: "echo {params.scans} > {output}"
SNAKEFILE
venv/bin/python - <<'PYTHON'
import subprocess
import sys
from pathlib import Path

snakemake = Path(sys.executable).with_name("snakemake")


def result(*config: str) -> str:
    words = [snakemake, "--cores", "1", "--quiet", "all", "--config", *config]
    subprocess.run(words, check=True, capture_output=True)
    return Path("result.txt").read_text().strip()


seen = [
    result("scans=a", "threshold=0.8"),
    result("scans=a", "threshold=0.7"),  # alone, the change is seen
    result("scans=b", "threshold=0.6"),  # together with one of the list, it is not
    result("scans=b", "threshold=0.6"),
]
print("threshold of the result after each call:", *seen)
as_stated = seen == ["0.8", "0.7", "0.7", "0.6"]
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
