"""A nodule has one volume: that of its voxels in the label map, on the page, in SEG, SR, table and feature vector."""

from __future__ import annotations

import csv
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dicom_series import write_series
from lungline.detection.candidates import rank_again, read_candidates, write_candidates
from lungline.imaging.geometry import make_affine
from lungline.imaging.lungs import LungQuality
from lungline.imaging.volume import Volume
from lungline.stages import (
    cache_volume,
    crop_patches,
    describe_nodules,
    extract_candidates,
    ingest,
    render_page,
    resample,
    segment_lungs,
    write_dicom,
)
from lungline.storage import hdf5
from lungline.storage.hdf5 import Header
from lungline.training.patients import read_features
from scans import chest
from stage_settings import CACHE, LUNGS, RESAMPLE

pytest.importorskip("highdicom")


@dataclass(frozen=True)
class Said:
    """Volumes in mm3, by rank: of the voxels of the label map, and what each product says."""

    label_map: list[int]
    table: list[float]
    report: list[float]
    features: list[float]
    page: str
    segments: Counter[int]
    segment_voxel_mm3: float


def said_of(raw: Path, folder: Path, drawn_lungs: tuple[slice, ...] | None = None) -> Said:
    """Every product of a scan that is used, with the lungs' denser parts taken for nodules and ranked anew."""
    names = ("ingest", "resample", "lungs", "cache", "detect")
    read, volume, lungs, cache, found = (folder / name / "s.h5" for name in names)
    ingest.run(raw, read, source="dicom")
    resample.run(read, volume, **RESAMPLE)
    if drawn_lungs is None:
        segment_lungs.run(volume, lungs, **LUNGS)
    else:
        write_lungs(volume, lungs, drawn_lungs)
    cache_volume.run(volume, lungs, cache, **CACHE)
    ct = hdf5.read_volume(cache, "ct")
    probability = ct.with_array(np.clip((ct.array + 900) / 900, 0, 1).astype(np.float16))
    hdf5.write_file(found, Header("p", "detect"), {"probability": hdf5.volume_field(probability, "1", "")})
    extract_candidates.run(
        found.parent, folder / "wide", scans=["s"], threshold=0.6, count=300, rank_by="sum", split=True
    )
    wide = read_candidates(folder / "wide" / "s.csv")
    kept = rank_again(wide, [-abs(math.log(one.n_voxels / 300)) for one in wide], 8)
    write_candidates(folder / "ranked" / "s.csv", "s", kept)
    folders = {"caches": cache.parent, "detected": found.parent, "labels": folder / "wide"}
    crop_patches.run(folder / "patches", scans=["s"], candidates=folder / "ranked", count=20, size=8, **folders)
    table, files = folder / "nodules.json", {"labels": folder / "wide/s.h5", "candidates": folder / "ranked/s.csv"}
    patches = folder / "patches" / "s.h5"
    describe_nodules.run(table, scan="s", ingested=read, volume=volume, lungs=lungs, **files)
    render_page.run(folder / "page.html", nodules=table, volume=volume, lungs=lungs, detected=found)
    write_dicom.run(folder / "dicom", raw=raw, nodules=table, **files)
    labels = hdf5.read_volume(files["labels"], "labels")
    with open(table.with_suffix(".csv"), newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    return Said(
        label_map=[int(np.sum(labels.array == one.label)) for one in kept],
        table=[float(row["volume_mm3"]) for row in rows],
        report=reported(folder / "dicom" / "sr.dcm"),
        features=np.exp(read_features(patches, len(kept))[:, 0].astype(float)).tolist(),
        page=(folder / "page.html").read_text(encoding="utf-8"),
        **segmented(folder / "dicom" / "seg.dcm"),
    )


def write_lungs(volume: Path, lungs: Path, box: tuple[slice, ...]) -> None:
    ct = hdf5.read_volume(volume, "ct")
    mask = np.zeros(ct.shape_zyx, bool)
    mask[box] = True
    fields = {name: hdf5.volume_field(ct.with_array(mask), "1", "") for name in ("lungs", "mask")}
    quality = LungQuality(2000.0, 900.0, 1100.0, -850.0, 0.02, 0.0, 0.0, 0.0, 0.0, 0.0).as_json()
    hdf5.write_file(lungs, Header("lung_mask", "segment_lungs", provenance={"quality": quality}), fields)


def reported(path: Path) -> list[float]:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    groups = hd.sr.srread(path).content.get_volumetric_roi_measurement_groups()
    return [item.value for group in groups for item in group.get_measurements(codes.SCT.Volume)]


def segmented(path: Path) -> dict:
    import pydicom

    seg, counts = pydicom.dcmread(path), Counter[int]()
    for frame, pixels in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        counts[frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber] += int(pixels.sum())
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    voxel_mm3 = math.prod([*measures.PixelSpacing, measures.SpacingBetweenSlices])
    return {"segments": counts, "segment_voxel_mm3": float(voxel_mm3)}


def agree(said: Said) -> None:
    assert len(said.label_map) == 8
    assert said.table == said.label_map  # voxels of 1 mm
    assert said.report == said.table
    assert said.features == pytest.approx(said.table, rel=1e-6)
    for volume_mm3 in said.table:
        assert f"{volume_mm3:,.0f} mm³".replace(",", " ") in said.page


def test_of_a_drawn_chest_every_product_says_the_volume_of_the_label_map(tmp_path: Path) -> None:
    hu = chest((60, 110, 130))
    hu[:, 8:20, 9:-8] = hu[:, -21:-9, 9:-8] = 40  # with voxels of 1 mm the wall of that chest is too thin for a body
    grid = Volume(hu, make_affine((1, 1, 1)))
    z, y, x = np.indices(grid.shape_zyx)
    for number in range(10):
        place = np.array([12 + 9 * (number % 5), 30 + 10 * (number % 4), 25 + 8 * number])
        ball = sum((a - p) ** 2 for a, p in zip((z, y, x), place, strict=True)) <= (2.3 + number / 4) ** 2
        hu[ball] = -100 + 30 * number
    raw = write_series(tmp_path / "raw", hu, spacing_kji=(1.0, 1.0, 1.0))
    said = said_of(raw, tmp_path, drawn_lungs=(slice(1, -1), slice(20, -21), slice(9, -8)))
    agree(said)
    assert said.segment_voxel_mm3 == 1
    assert [said.segments[rank] for rank in range(1, 9)] == said.table


@pytest.mark.data
def test_of_a_real_scan_every_product_says_the_volume_of_the_label_map(sample_data, tmp_path) -> None:
    said = said_of(sample_data / "chest-ct" / "cip-ct64", tmp_path)
    agree(said)
    segmented_mm3 = sum(said.segments.values()) * said.segment_voxel_mm3  # on the pixels of the source
    assert segmented_mm3 == pytest.approx(sum(said.table), rel=0.05)
