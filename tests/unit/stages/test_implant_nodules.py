import csv
from pathlib import Path

import numpy as np
import pytest

from lungline.config.loading import config_text, read_config
from lungline.errors import LunglineError
from lungline.nodules.annotations import read_annotations
from lungline.readers.scan import read_scan
from lungline.stages import implant_nodules, rasterise_nodules, write_implanted_tables
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field, Header
from lungline.synthetic.implant_plan import plan_implantation, read_implantation
from lungline.training.cases import read_rated_nodules
from unit.synthetic.nodule_folder import settings_for, write_nodules
from unit.synthetic.small_chest import small_chest


def prepared(folder: Path) -> dict[str, Path]:
    """The three files of a chest, as the stages before write them."""
    chest = small_chest(5)
    ct = Field(chest.hu, "zyx", "HU", "ct", chest.affine)
    lungs = Field(chest.lungs, "zyx", "1", "lungs", chest.affine)
    made = {"ingested": {"ct": ct}, "volume": {"ct": ct}, "lungs": {"lungs": lungs}}
    for name, fields in made.items():
        hdf5.write_file(folder / f"{name}.h5", Header(quantity="ct_hu", stage="ingest"), fields)
    return {name: folder / f"{name}.h5" for name in made}


@pytest.fixture
def settings(tmp_path: Path) -> dict:
    write_nodules(tmp_path, patients=30, volumes=True)
    return settings_for(tmp_path)


def saved(folder: Path, settings: dict) -> Path:
    """A saved configuration that asks for these implanted scans."""
    (folder / "config.json").write_text(config_text(read_config({"seed": 1, "implanted": settings})))
    return folder / "config.json"


def test_implanted_scans_are_a_data_set_like_luna16_with_outlines(tmp_path: Path, settings: dict) -> None:
    files, out = prepared(tmp_path), tmp_path / "implanted"
    config = saved(tmp_path, settings)
    plans = plan_implantation(*read_implantation(config))
    for plan in plans:
        implant_nodules.run(out, scan=plan.scan, config=config, **files)
    write_implanted_tables.run(out, config=config)
    annotations = read_annotations(out / "luna16" / "annotations.csv")
    rated = read_rated_nodules(out / "nodules.csv")
    assert [(n.scan, n.centre_xyz_mm) for n in annotations] == [(n.scan, n.centre_xyz_mm) for n in rated]
    assert {n.malignant for n in rated} == {0, 1}
    excluded = read_annotations(out / "luna16" / "annotations_excluded.csv", measured=False)
    assert [(n.scan, n.diameter_mm) for n in excluded] == [(p.scan, 8.0) for p in plans if p.split == "test"]
    with open(out / "sources.csv", newline="", encoding="utf-8") as handle:
        assert {row["split"] for row in csv.DictReader(handle)} == {"train", "valid", "test"}
    test = next(plan for plan in plans if plan.split == "test")
    ct, _ = read_scan(out / test.path, "mhd")
    assert ct.shape_zyx == small_chest(5).hu.shape  # a test scan is not varied
    segmentations = (out / test.path).with_suffix(".h5")
    cached = ct.crop((slice(4, 50), slice(2, 60), slice(3, 70)))
    header = Header(quantity="masked_ct_hu", stage="cache_volume")
    hdf5.write_file(tmp_path / "cache.h5", header, {"ct": hdf5.volume_field(cached, "HU", "ct")})
    mask = tmp_path / "mask.h5"
    rasterise_nodules.run(
        tmp_path / "cache.h5", out / "luna16" / "annotations.csv", mask, scan=test.scan, segmentations=segmentations
    )
    drawn = hdf5.read_array(mask, "nodules")
    assert np.array_equal(drawn, hdf5.read_array(segmentations, "nodules")[4:50, 2:60, 3:70] > 0)
    assert cached.array[drawn].mean() > -400


def test_a_scan_that_is_not_planned_is_refused(tmp_path: Path, settings: dict) -> None:
    with pytest.raises(LunglineError, match="no implanted scan is called 'x'"):
        implant_nodules.run(tmp_path, scan="x", config=saved(tmp_path, settings), **prepared(tmp_path))
