#!/usr/bin/env bash
# Snakemake runs this in the new conda environment, in the workflow's folder: the package itself.
set -euo pipefail
pip install --no-deps --editable .
