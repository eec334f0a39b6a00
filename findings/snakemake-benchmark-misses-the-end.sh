#!/usr/bin/env bash
# Library:  snakemake 9.27.1
# Guess:    In a benchmark file `max_rss` is the largest memory that the job held, and `cpu_time` the CPU seconds that it
#           took, as `/usr/bin/time -v` has them.
# Seen:     Both are samples: every half second at first, then one in 30 seconds, and none when the job ends. A job that
#           waits 18 seconds and then holds 400 MB and computes for 1.5 seconds has a tenth of that memory and no CPU.
# Matters:  Memory limits and tables of costs that are taken from benchmarks are too small, most of all for jobs of
#           about half a minute, and for what happens last, as the writing of a volume.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile snakemake==9.27.1 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import csv
import resource
import subprocess
import sys
from pathlib import Path

job = """
import resource, sys, time
time.sleep(18)
held = bytearray(400 * 2**20)
end = time.process_time() + 1.5
while time.process_time() < end:
    pass
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_maxrss / 1024, used.ru_utime + used.ru_stime, file=open("counted.txt", "w"))
"""
Path("job.py").write_text(job)
Path("Snakefile").write_text(
    "rule all:\n    output: 'counted.txt'\n    benchmark: 'benchmark.tsv'\n"
    f"    shell: '{sys.executable} job.py'\n"
)
subprocess.run([Path(sys.executable).with_name("snakemake"), "--cores", "1"], check=True, capture_output=True)
peak_mb, cpu_s = map(float, Path("counted.txt").read_text().split())
with open("benchmark.tsv", newline="") as table:
    (row,) = csv.DictReader(table, delimiter="\t")
print(f"counted by the system: {peak_mb:.0f} MB, {cpu_s:.1f} CPU s")
print(f"benchmark: {row['max_rss']} MB, {row['cpu_time']} CPU s, {row['s']} s")
as_stated = peak_mb > 400 and cpu_s > 1.5 and float(row["max_rss"]) < 100 and float(row["cpu_time"]) < 0.5
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
