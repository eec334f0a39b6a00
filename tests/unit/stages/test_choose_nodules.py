"""`lungline choose-nodules`: a small set of cut-outs that the packaged models have not learned from."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from lungline.errors import LunglineError
from lungline.stages import choose_nodules
from lungline.synthetic.source_nodules import read_nodule_rows, read_source_nodule
from lungline.workflow.bundle import PACKAGED
from unit.synthetic.nodule_folder import write_nodules


def rated(folder: Path, patients: int = 12) -> Path:
    """Cut-outs of which every third is ground glass."""
    folder.mkdir()
    write_nodules(folder, patients, volumes=True)
    head, *rows = (folder / "nodules.csv").read_text().splitlines()
    rows = [f"{row},{1 if number % 3 == 0 else 5}" for number, row in enumerate(rows)]
    (folder / "nodules.csv").write_text("\n".join([f"{head},Texture_value", *rows]) + "\n")
    return folder


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_set_within_the_limit_holds_every_kind_and_can_be_implanted(tmp_path):
    source = rated(tmp_path / "all")
    whole = size(source)
    choose_nodules.run(source, tmp_path / "some", most_mb=whole * 0.7 / 1e6)
    assert size(tmp_path / "some") <= whole * 0.7
    rows = read_nodule_rows(tmp_path / "some")
    assert 4 <= len(rows) < 12
    assert {row.attenuation for row in rows} == {"solid", "ground-glass"}
    assert {row.diameter_mm < 6 for row in rows} == {True, False}
    assert read_source_nodule(tmp_path / "some", rows[0]).mask.any()
    assert "CC BY 3.0" in (tmp_path / "some" / "CREDIT.txt").read_text()
    choose_nodules.run(source, tmp_path / "again", most_mb=whole * 0.7 / 1e6)
    assert (tmp_path / "again/nodules.csv").read_bytes() == (tmp_path / "some/nodules.csv").read_bytes()


def test_what_the_packaged_models_learned_from_is_left_out(tmp_path):
    with open(PACKAGED.parent / "sources.csv", newline="", encoding="utf-8") as file:
        known = [row["source"].partition("_R_")[0] for row in csv.DictReader(file) if row["split"] == "train"]
    source = rated(tmp_path / "all", 3)
    text = (source / "nodules.csv").read_text()
    (source / "nodules.csv").write_text(text.replace("P-1,", f"{known[0]},"))
    choose_nodules.run(source, tmp_path / "some")
    assert {row.patient for row in read_nodule_rows(tmp_path / "some")} == {"P-0", "P-2"}
    for name in ("P-0,", "P-2,"):
        text = (source / "nodules.csv").read_text()
        (source / "nodules.csv").write_text(text.replace(name, f"{known[1]},"))
    with pytest.raises(LunglineError, match="no nodule that the packaged models have not learned from"):
        choose_nodules.run(source, tmp_path / "none")


def test_a_folder_in_use_a_limit_too_small_and_a_missing_file_are_named(tmp_path):
    source = rated(tmp_path / "all", 2)
    with pytest.raises(LunglineError, match="expected a new or empty folder"):
        choose_nodules.run(source, source)
    with pytest.raises(LunglineError, match="not a nodule of"):
        choose_nodules.run(source, tmp_path / "some", most_mb=0.001)
    (source / "image" / "P-1_R_1.nii.gz").unlink()
    with pytest.raises(LunglineError, match=r"P-1_R_1\.nii\.gz: no such file"):
        choose_nodules.run(source, tmp_path / "some")


@pytest.mark.data
def test_of_lidcs_cut_outs_a_set_of_at_most_8_mb_has_all_sizes_and_attenuations(sample_data, tmp_path):
    choose_nodules.run(sample_data / "lidc-nodules", tmp_path / "set")
    assert size(tmp_path / "set") <= 8_000_000
    rows = read_nodule_rows(tmp_path / "set")
    assert len(rows) >= 100
    assert {row.attenuation for row in rows} == {"solid", "part-solid", "ground-glass"}
