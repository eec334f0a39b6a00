#!/usr/bin/env bash
# Library:  dicomweb-client 0.61.2
# Guess:    DICOMfileClient over a folder answers with what lies in the folder, and writes nothing into it.
# Seen:     It writes .dicom-file-client.db into the folder and answers from that: a series added later is not listed,
#           by a new client neither unless it says update_db=True; one that was removed is listed for good, with that
#           too.
# Matters:  Counts and exports of a cohort include scans that were withdrawn, with their patients' names, and a copy of
#           the folder takes them along. Delete the index, or keep it in memory.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cp "$(dirname "$0")/dicom_phantom.py" "$place"
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile dicomweb-client==0.61.2 pydicom==3.0.2 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import os
import shutil

import numpy as np
from dicom_phantom import write_series
from dicomweb_client import DICOMfileClient

url = f"file://{os.getcwd()}/scans"
write_series("scans/first", np.zeros((3, 4, 5)))


def listed(**options):
    return len(DICOMfileClient(url=url, **options).search_for_series())


seen = {"one series": listed(), "hidden files": [name for name in os.listdir("scans") if name.endswith(".db")]}
write_series("scans/second", np.zeros((3, 4, 5)))
seen |= {"one more": listed(), "the same, update_db": listed(update_db=True)}
shutil.rmtree("scans/second")
seen |= {"removed, update_db": listed(update_db=True), "removed, in memory": listed(in_memory=True)}
print(seen)
as_stated = list(seen.values()) == [1, [".dicom-file-client.db"], 1, 2, 2, 1]
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
