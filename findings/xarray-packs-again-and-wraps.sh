#!/usr/bin/env bash
# Library:  xarray 2026.9.0, h5netcdf 1.8.2
# Guess:    A packed CT (int16, scale_factor) that was opened as float and edited is saved as float, or with an error
#           where a value does not fit.
# Seen:     The packing of the file stays with the array: 5000 HU is saved as -1553.6, and a probability of 0.456 as
#           0.5. Copies made with copy(data=...) keep it too; those of arithmetic do not.
# Matters:  A map of probabilities put in the place of the CT has steps of 0.1; metal becomes air. Whether it happens
#           depends on how the new values came in.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile xarray==2026.9.0 h5netcdf==1.8.2 h5py==3.16.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
import xarray as xr


def saved(dataset):
    dataset.to_netcdf("again.nc", engine="h5netcdf")
    with xr.open_dataset("again.nc", engine="h5netcdf") as again:
        return again.ct.values.round(6).tolist()


ct = xr.Dataset({"ct": ("z", np.array([-1000.0, 0.0, 3000.0]))})
packing = {"dtype": "int16", "scale_factor": 0.1, "_FillValue": -32768}
ct.to_netcdf("ct.nc", engine="h5netcdf", encoding={"ct": packing})
with xr.open_dataset("ct.nc", engine="h5netcdf") as file:
    opened = file.load()
new = [5000.0, 0.123, 0.456]
by_copy = saved(opened.assign(ct=opened.ct.copy(data=np.array(new))))
by_sum = saved(opened.assign(ct=opened.ct * 0 + new))
opened.ct[:] = new
in_place = saved(opened)
print("given", new, "| in place:", in_place, "| copy:", by_copy, "| arithmetic:", by_sum)
as_stated = in_place == by_copy == [-1553.6, 0.1, 0.5] and by_sum == new
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
