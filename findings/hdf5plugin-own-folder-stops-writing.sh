#!/usr/bin/env bash
# Library:  hdf5plugin 7.1.0
# Guess:    HDF5_PLUGIN_PATH set to the filters of hdf5plugin (for h5dump) is needless for Python, and harmless.
# Seen:     HDF5 then finds the filters by itself, hdf5plugin does not bring its own, and nothing can be written: 'error
#           during user callback'. Registering by force helps.
# Matters:  The line that makes h5dump work, in the profile of a shell, stops every pipeline that writes with Blosc.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile h5py==3.16.0 hdf5plugin==7.1.0 numpy==2.4.6
cat > write.py <<'PYTHON'
import sys

import h5py
import hdf5plugin
import numpy as np

if "force" in sys.argv:
    hdf5plugin.register(("blosc",), force=True)
try:
    with h5py.File("image.h5", "w") as file:
        file.create_dataset("ct", data=np.zeros((8, 8, 8), np.int16), chunks=(4, 4, 4), **hdf5plugin.Blosc())
    print("written")
except ValueError as error:
    print(error)
PYTHON
venv/bin/python - <<'PYTHON'
import os
import subprocess
import sys

import hdf5plugin

seen = []
for path, words in (("", []), (hdf5plugin.PLUGINS_PATH, []), (hdf5plugin.PLUGINS_PATH, ["force"])):
    variables = {**os.environ, "HDF5_PLUGIN_PATH": path}
    done = subprocess.run([sys.executable, "write.py", *words], env=variables, capture_output=True, text=True, check=True)
    seen.append(done.stdout.strip())
    print("HDF5_PLUGIN_PATH", "of hdf5plugin" if path else "empty", *words, "->", seen[-1])
as_stated = [word == "written" for word in seen] == [True, False, True] and "user callback" in seen[1]
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
