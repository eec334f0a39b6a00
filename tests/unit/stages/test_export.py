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
from lungline.nodules.table import NoduleRow, split_nodules
from lungline.privacy.pseudonyms import remember
from lungline.readers.listing import Listed
from lungline.stages import export, predict, reidentify
from lungline.storage.predictions import Prediction, write_predictions
from lungline.storage.results import write_result
from lungline.storage.scan_rows import ScanRow
from scans import chest, write_dicom
from untrained import untrained_bundle

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
    slices, sizes = (5, 5, 23.0), ("left", "upper", 6.0, 113.0, 20.0, 50.0, "solid", 40.0, 1.0)
    row = NoduleRow(1, 0.95, True, *place, 1.0, 2.0, 3.0, *slices, *sizes, 0.9, 0.5, 0.62, True)
    for scan in ("scan-a", "scan-b"):
        content = {"schema": "nodules/2", "classifier": "m2", **split_nodules([row])}
        write_result(results / "describe_nodules" / "m2" / f"{scan}.json", content)
    export.run(results, out=tmp_path / "export")
    rows = {uncell(row["original"]): row for row in table(tmp_path / "export" / "folder-nodule-table-m2.csv")}
    assert rows[NAMES["scan-a"]]["sop_instance_uid"] == "1.2.3.5"
    assert rows[NAMES["scan-a"]]["frame"] == "1"
    assert rows[NAMES["scan-a"]]["long_axis_mm"] == "6"
    assert [rows[NAMES["scan-a"]][name] for name in ("score", "finding", "instance_number")] == ["0.95", "true", "5"]
    assert rows[NAMES["scan-b"]]["sop_instance_uid"] == ""
    for path in (results / "describe_nodules").rglob("*.*"):
        assert "1.2.3." not in path.read_text(encoding="utf-8")


def write_idc(folder, collection, patient, series, **more):
    """A series as idc-index lays it out: collection, patient, study, modality and series."""
    place = folder / collection / patient / "1.2.9" / f"CT_{series}"
    return write_dicom(place, chest(), change=lambda k, dataset: setattr(dataset, "SeriesInstanceUID", series), **more)


@pytest.fixture
def download(tmp_path):
    """A finished run on two series of a download, one of them no chest, and on a folder that holds two series."""
    data, results = tmp_path / "idc", tmp_path / "results"
    two = write_idc(data, "nlst", "2", "1.2.3")
    write_dicom(two, chest()[:4], prefix="g", change=lambda k, dataset: setattr(dataset, "SeriesInstanceUID", "1.2.4"))
    places = {
        "scan-a": write_idc(data, "nlst", "1", "1.2.1"),
        "scan-b": write_idc(data, "lidc_idri", "1", "1.2.2"),
        "scan-c": two,
    }
    listed = [Listed(ScanRow(scan, "dicom", "folder", "test"), str(place), place) for scan, place in places.items()]
    remember(results / "private", listed, forget=())
    write_predictions(
        results / "predictions.csv", [answer("scan-a"), answer("scan-b", probability=None), answer("scan-c")]
    )
    return results


def test_a_selection_of_series_gets_a_row_for_each_in_its_order(download, tmp_path):
    selection = tmp_path / "selection.csv"
    selection.write_text("collection_id,SeriesInstanceUID\n" + "".join(f"c,1.2.{k}\n" for k in (5, 3, 4, 2, 1, 1)))
    command = ["export", str(download), "--out", str(tmp_path / "e"), "--dicom", "false", "--series", str(selection)]
    assert main(command) == 0
    rows = table(tmp_path / "e/series.csv")
    assert [(row["SeriesInstanceUID"], row["scan"], row["status"], row["cancer_probability"]) for row in rows] == [
        ("1.2.5", "", "missing", ""),
        ("1.2.3", "scan-c", "ok", "0.25"),
        ("1.2.4", "", "not-chosen", ""),
        ("1.2.2", "scan-b", "quarantined", ""),
        ("1.2.1", "scan-a", "ok", "0.25"),
    ]
    assert stat.S_IMODE((tmp_path / "e/series.csv").stat().st_mode) == 0o600


def test_a_download_is_answered_series_by_series_and_goes_on_with_new_ones(tmp_path, capsys):
    """These are too small for a chest, so no network is needed; each is listed, tried and named all the same."""
    download, results = tmp_path / "idc", tmp_path / "results"
    options = {"out": results, "bundle": untrained_bundle(tmp_path / "models"), "pages": False, "device": "cpu"}
    write_idc(download, "nlst", "1", "1.2.1")
    assert predict.run(download, **options) == 1
    write_idc(download, "lidc_idri", "1", "1.2.2")
    capsys.readouterr()
    assert predict.run(download, **options) == 1
    assert sum(": Reading" in line for line in capsys.readouterr().err.splitlines()) == 1
    (tmp_path / "s.csv").write_text("SeriesInstanceUID\n1.2.2\n1.2.1\n1.2.7\n")
    export.run(results, out=tmp_path / "e", dicom=False, series=tmp_path / "s.csv")
    rows = table(tmp_path / "e/series.csv")
    assert [row["status"] for row in rows] == ["quarantined", "quarantined", "missing"]
    assert len({row["scan"] for row in rows}) == 3


def test_series_that_are_gone_are_missing_and_damaged_files_are_no_series(download, tmp_path):
    places = {one.name: one for one in (tmp_path / "idc").rglob("CT_*")}
    for file in places["CT_1.2.1"].iterdir():
        file.write_bytes(b"no DICOM")
    for file in places["CT_1.2.2"].iterdir():
        file.unlink()
    places["CT_1.2.2"].rmdir()
    (tmp_path / "s.csv").write_text("SeriesInstanceUID\n1.2.1\n1.2.2\n")
    export.run(download, out=tmp_path / "e", dicom=False, series=tmp_path / "s.csv")
    assert [row["status"] for row in table(tmp_path / "e/series.csv")] == ["missing", "missing"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("cp s3://idc-open-data/085e85b3/* .\n", "expected the columns SeriesInstanceUID"),
        ("SeriesInstanceUID\n1.2.1\nJane Doe\n", r"line 3: expected a SeriesInstanceUID, digits and points\."),
    ],
)
def test_what_is_no_selection_of_series_is_refused_and_not_quoted(text, complaint, download, tmp_path):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(LunglineError, match=complaint) as refusal:
        export.run(download, out=tmp_path / "e", series=tmp_path / "s.csv")
    assert "Jane" not in str(refusal.value)
    assert not (tmp_path / "e").exists()
