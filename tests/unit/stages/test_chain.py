"""Stages one after the other: a scan's flags pass through, a voxel stays in its place."""

import numpy as np

from lungline.imaging import geometry
from lungline.stages import (
    cache_volume,
    check_annotations,
    crop_patches,
    extract_candidates,
    rasterise_nodules,
    resample,
)
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field, Flag, Header
from lungline.storage.tables import read_notes
from stage_settings import CACHE, CANDIDATES, PATCHES, RESAMPLE


def scan_file(path, flags=(), shape=(10, 12, 14), name="ct", value=-500):
    affine = geometry.make_affine((2.0, 0.8, 0.7), (1, 2, 3))
    field = Field(np.full(shape, value, np.int16), "zyx", "HU", "", affine)
    fields = {} if any(flag.flag.startswith("Q_") for flag in flags) else {name: field}
    provenance = {"raw_sha256": "feed", "raw_files": 3}
    hdf5.write_file(path, Header("ct_hu", "ingest", tuple(flags), provenance=provenance), fields)
    return path


def test_a_quarantined_scan_passes_through_the_whole_chain(tmp_path):
    ingested = scan_file(tmp_path / "ingest.h5", [Flag("Q_NO_GEOMETRY", "no position")])
    annotations = tmp_path / "annotations.csv"
    annotations.write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\ns,1,2,3,6\n")
    resample.run(ingested, tmp_path / "r.h5", **RESAMPLE)
    cache_volume.run(tmp_path / "r.h5", tmp_path / "r.h5", tmp_path / "s.h5", **CACHE)
    rasterise_nodules.run(tmp_path / "s.h5", annotations, tmp_path / "m.h5", scan="s")
    extract_candidates.run(tmp_path, tmp_path / "e", scans=["s"], **CANDIDATES)
    folders = dict.fromkeys(("caches", "detected"), tmp_path)
    folders |= dict.fromkeys(("candidates", "labels"), tmp_path / "e")
    crop_patches.run(tmp_path / "p", scans=["s"], **folders, **PATCHES)
    header = hdf5.read_header(tmp_path / "p" / "s.h5")
    assert header.flags == (Flag("Q_NO_GEOMETRY", "no position"),)
    assert hdf5.read_header(tmp_path / "e" / "s.h5").flags == header.flags
    assert hdf5.field_names(tmp_path / "e" / "s.h5") == []
    assert len((tmp_path / "e" / "s.csv").read_text().splitlines()) == 1


def test_the_chain_keeps_a_voxel_in_its_place(tmp_path):
    """Resample, mask, crop to the box, draw a nodule: its centre of mass is where the annotation says."""
    affine = geometry.make_affine((2.5, 0.8, 0.7), (-20, 30, 100))
    ct = Field(np.full((20, 50, 60), -850, np.int16), "zyx", "HU", "", affine)
    hdf5.write_file(tmp_path / "i.h5", Header("ct_hu", "ingest"), {"ct": ct})
    resample.run(tmp_path / "i.h5", tmp_path / "r.h5", **RESAMPLE)
    grid = hdf5.read_volume(tmp_path / "r.h5", "ct")
    mask = np.zeros(grid.shape_zyx, bool)
    mask[5:45, 4:38, 6:40] = True
    hdf5.write_file(
        tmp_path / "l.h5", Header("lung_mask", "segment_lungs"), {"mask": Field(mask, "zyx", "1", "", grid.affine)}
    )
    cache_volume.run(tmp_path / "r.h5", tmp_path / "l.h5", tmp_path / "c.h5", **CACHE)
    cached = hdf5.read_volume(tmp_path / "c.h5", "ct")
    assert cached.shape_zyx == (40, 34, 34)
    assert cached.array.dtype == np.int16
    (tmp_path / "a.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\ns,-5.2,48.3,121.7,9\nother,0,0,0,3\n")
    rasterise_nodules.run(tmp_path / "c.h5", tmp_path / "a.csv", tmp_path / "m.h5", scan="s")
    nodules = hdf5.read_volume(tmp_path / "m.h5", "nodules")
    centre = geometry.voxel_to_world(nodules.affine, np.argwhere(nodules.array).mean(axis=0))
    np.testing.assert_allclose(centre, (-5.2, 48.3, 121.7), atol=0.15)


def test_a_nodule_outside_the_region_is_said_and_not_drawn(tmp_path):
    cache = scan_file(tmp_path / "c.h5")
    (tmp_path / "a.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\ns,5,6,7,4\ns,500,6,7,4\n")
    rasterise_nodules.run(cache, tmp_path / "a.csv", tmp_path / "m.h5", scan="s")
    header = hdf5.read_header(tmp_path / "m.h5")
    assert header.flags == (Flag("W_NODULE_OUTSIDE", "1 of 2: line 3 of the annotations"),)
    assert len(header.parameters["nodules_xyz_mm_diameter_mm"]) == 2
    assert hdf5.read_array(tmp_path / "m.h5", "nodules").any()


def test_annotations_outside_are_written_down_with_their_lines(tmp_path, capsys):
    scan_file(tmp_path / "caches" / "s.h5")
    hdf5.write_file(tmp_path / "caches" / "q.h5", Header("ct", "cache_volume", (Flag("Q_LIMIT"),)), {})
    rows = "s,5,6,7,4\ns,500,6,7,4\nq,500,6,7,4\nabsent,500,6,7,4\ns,5,6,-70,4\n"
    (tmp_path / "a.csv").write_text(f"seriesuid,coordX,coordY,coordZ,diameter_mm\n{rows}")
    check_annotations.run(tmp_path / "out.csv", tmp_path / "a.csv", caches=tmp_path / "caches")
    notes = read_notes(tmp_path / "out.csv")
    assert [(note.file, note.line, note.flag) for note in notes] == [
        ("a.csv", 3, "W_NODULE_OUTSIDE"),
        ("a.csv", 6, "W_NODULE_OUTSIDE"),
    ]
    assert "a.csv, line 6: W_NODULE_OUTSIDE" in capsys.readouterr().err
