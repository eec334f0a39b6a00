#!/usr/bin/env bash
# Snakemake runs this in the new conda environment: the package itself, as it is beside Snakemake (rules/common.smk).
set -euo pipefail
pip install --no-deps "${LUNGLINE_SOURCE:---editable=.}"
