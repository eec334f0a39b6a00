"""Names come back by `lungline export` and `lungline reidentify` alone, for their owner alone."""

import csv
import os
import stat
from dataclasses import replace

import pytest

from lungline.cli import main
from lungline.detection.candidates import Candidate, write_candidates
from lungline.errors import LunglineError
from lungline.escape import uncell
from lungline.nodules.table import NoduleRow, rows_as_json
from lungline.privacy.pseudonyms import remember
from lungline.readers.listing import Listed
from lungline.stages import export, reidentify
from lungline.storage.predictions import Prediction, write_predictions
from lungline.storage.results import write_result
from lungline.storage.scan_rows import ScanRow
from scans import chest, write_dicom

UID, PATIENT = "1.3.6.1.4.1.14519.5.2.1", "0a0c32c9e08cc2ea76a71649de56be6d"
NAMES = {"scan-a": "Doe, Jane/series 1", "scan-b": "=1+1\n<script>", "scan-c": "Roe.nii.gz"}
NODULE = Candidate(1, 12.5, 12.5, 0.9, 0.99, 14, 1.0, 2.0, 3.0, -31.25, 4.5, 60.0, 5.0, 1)


def answer(scan, dataset="folder", probability=0.25, **more):
    status = {"status": "ok"} if probability is not None else {"status": "quarantined", "flags": ("Q_NO_CT_SERIES",)}
    return Prediction(scan, dataset, "test", None, probability, **status, **more)


@pytest.fixture
def results(tmp_path):
    """A finished run on a folder with three scans, a LUNA-16 scan and a DSB-17 patient."""
    folder, data = tmp_path / "results", tmp_path / "data"
    for name in NAMES.values():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
    rows = [
        answer("scan-a"),
        answer("scan-b", probability=0.123456789123),
        answer("scan-c", probability=None),
        answer(PATIENT, "dsb17", 0.75),
        replace(answer("0ther", "dsb17", 0.5), split="train"),
        Prediction(UID, "luna16", "test", None, None, "not-scored", ("N_DETECTION_ONLY",)),
    ]
    listed = [Listed(ScanRow(scan, "dicom", "folder", "test"), name, data / name) for scan, name in NAMES.items()]
    remember(folder / "private", listed, forget=())
    write_predictions(folder / "predictions.csv", rows)
    for scan in ("scan-b", UID):
        write_candidates(
            folder / "extract_candidates" / "demo" / f"{scan}.csv", scan, [NODULE, replace(NODULE, rank=2)]
        )
    write_candidates(folder / "extract_candidates" / "demo" / "scan-a.csv", "scan-a", [])
    return folder


def table(path):
    with open(path, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_answers_get_their_names_and_the_formats_of_the_two_challenges(results, tmp_path, capsys):
    out = tmp_path / "export"
    export.run(results, out=out)
    assert sorted(os.listdir(out)) == [
        "dsb17-cancer.csv",
        "folder-cancer.csv",
        "folder-nodules-demo.csv",
        "luna16-nodules-demo.csv",
        "predictions.csv",
    ]
    assert (out / "dsb17-cancer.csv").read_text() == f"id,cancer\n{PATIENT},0.75\n"
    assert (out / "luna16-nodules-demo.csv").read_text() == (
        "seriesuid,coordX,coordY,coordZ,probability\n" + f"{UID},-31.25,4.5,60.0,{12.5 / 13.5}\n" * 2
    )
    named = {row["scan"]: uncell(row["original"]) for row in table(out / "predictions.csv")}
    assert named == {**NAMES, PATIENT: PATIENT, "0ther": "0ther", UID: UID}
    assert {uncell(row["id"]): row["cancer"] for row in table(out / "folder-cancer.csv")} == {
        NAMES["scan-a"]: "0.25",
        NAMES["scan-b"]: "0.123456789",
    }
    said = capsys.readouterr().err
    assert "do not share" in said
    assert "1 quarantined scans" in said


def test_no_cell_starts_a_formula_and_no_name_breaks_a_line(results, tmp_path):
    export.run(results, out=tmp_path / "export")
    for path in (tmp_path / "export").iterdir():
        text = path.read_text(encoding="utf-8")
        for line in csv.reader(text.splitlines()):
            for word in line:
                assert not word.startswith(tuple("=+-@\t\r")) or float(word)
        assert len(text.splitlines()) == len(table(path)) + 1


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_what_is_exported_is_its_owners_alone(results, tmp_path, umask):
    before = os.umask(umask)
    try:
        export.run(results, out=tmp_path / "export")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "export").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "export").iterdir()} == {0o600}


def test_a_folder_that_others_can_read_is_not_filled(results, tmp_path):
    (tmp_path / "export").mkdir(mode=0o755)
    with pytest.raises(LunglineError, match="mode 700"):
        export.run(results, out=tmp_path / "export")
    assert os.listdir(tmp_path / "export") == []


def test_a_scan_that_no_map_knows_stops_the_export(results, tmp_path):
    with pytest.raises(LunglineError, match="3 of 6 scans stand in no map"):
        export.run(results, out=tmp_path / "export", private=tmp_path / "elsewhere")
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize(
    ("word", "scans"),
    [
        ("scan-a", ["scan-a"]),
        ("results/cache_volume/scan-a.h5", ["scan-a"]),
        ("Doe, Jane/series 1", ["scan-a"]),
        ("series 1", ["scan-a"]),
        ("Roe.nii.gz", ["scan-c"]),
        ("Roe", ["scan-c"]),
        ("data/Doe, Jane/series 1/slice.dcm", ["scan-a"]),
        ("data/Doe, Jane", ["scan-a"]),
        ("data", ["scan-a", "scan-b", "scan-c"]),
    ],
)
def test_an_owner_finds_scans_by_pseudonym_name_and_place(results, tmp_path, monkeypatch, capsys, word, scans):
    monkeypatch.chdir(tmp_path)
    reidentify.run(word, private=results / "private")
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == scans
    assert lines[0][1] == NAMES[scans[0]]
    assert all("\n" not in word for line in lines for word in line)


def test_a_scan_that_is_not_there_is_one_line(results, capsys):
    assert main(["reidentify", "Nobody", "--private", str(results / "private")]) == 2
    assert "none of its 3 scans" in capsys.readouterr().err


def test_a_nodule_leads_to_the_slice_of_its_series_and_only_there(results, tmp_path):
    series = tmp_path / "data" / NAMES["scan-a"]
    write_dicom(series, chest((12, 34, 40)), origin=(-31.0, -42.0, 13.0))  # 2.5 mm apart; instance k is 1.2.3.(k + 1)
    (tmp_path / "data" / NAMES["scan-b"]).mkdir()  # a folder without any CT
    place = (1.0, 2.0, 13.0 + 4 * 2.5 + 1.0)
    sizes = (5, "left", "upper", 6.0, 113.0, 20.0, 50.0, "solid", 0.9)
    row = NoduleRow(1, *place, 1.0, 2.0, 3.0, *sizes, 0.5, 0.62, True)
    for scan in ("scan-a", "scan-b"):
        content = {"schema": "nodules/2", "classifier": "m2", "nodules": rows_as_json([row])}
        write_result(results / "describe_nodules" / "m2" / f"{scan}.json", content)
    export.run(results, out=tmp_path / "export")
    rows = {uncell(row["original"]): row for row in table(tmp_path / "export" / "folder-nodule-table-m2.csv")}
    assert rows[NAMES["scan-a"]]["sop_instance_uid"] == "1.2.3.5"
    assert rows[NAMES["scan-a"]]["frame"] == "1"
    assert rows[NAMES["scan-a"]]["long_axis_mm"] == "6"
    assert rows[NAMES["scan-b"]]["sop_instance_uid"] == ""
    for path in (results / "describe_nodules").rglob("*.*"):
        assert "1.2.3." not in path.read_text(encoding="utf-8")
