"""Identifiers planted in every tag, header, file name and label: none leaves private/, until they are exported."""

import base64
import csv
import gzip
import stat
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
import yaml

from dicom_series import FRAME, SERIES, STUDY
from lungline.cli import main
from lungline.escape import uncell
from lungline.privacy.pseudonyms import read_map
from lungline.readers.dicom_headers import quiet
from lungline.reports.plotting import new_figure
from lungline.storage import hdf5
from phantoms import make_chest
from planted import MARKER, ODD_NAME, holds_marker, leaks, plant_in_dicom, plant_scans
from scans import write_dicom, write_mhd
from untrained import untrained_bundle, untrained_models

from .conftest import copy_workflow

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The workflow after a run on planted scans; what it said; where its results lie."""
    raw, models = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("models")
    n_scans = plant_scans(raw, make_chest(spacing_mm=2.0).ct)
    labels = tmp_path_factory.mktemp("labels") / "labels.csv"
    labels.write_text(f"id,cancer\n{MARKER}.mhd,1\n{MARKER}.nii,0\n{MARKER} series,1\nnobody {MARKER},0\n")
    copy = copy_workflow(tmp_path_factory.mktemp("planted"))
    change = {
        "outdir": "results/planted",
        "data": {"folder": str(raw), "labels": str(labels)},
        "models": untrained_models(models),
        "extract_candidates": {"threshold": 0.5},
        "pages": {"scans": "all"},  # auto takes the first patient, and pseudonyms, so who is first, are drawn anew
    }
    (copy.folder / "planted.yaml").write_text(yaml.safe_dump(change), encoding="utf-8")
    words = ("--configfile", "config/micro.yaml", "planted.yaml")
    said = [copy.list_scans("config/micro.yaml", "planted.yaml")]
    said += [copy.snakemake(*words, "--printshellcmds", "--show-failed-logs")]
    said += [copy.snakemake(*words, "--report", "report.html"), copy.snakemake(*words, "--forceall", "-n", "-p")]
    for answer in said:
        assert answer.returncode == 0, answer.stdout[-5000:]
    return copy, "".join(answer.stdout + (answer.stderr or "") for answer in said), n_scans


def answers(copy) -> dict[str, dict[str, str]]:
    with open(copy.folder / "results" / "planted" / "predictions.csv", encoding="utf-8") as handle:
        return {row["scan"]: row for row in csv.DictReader(handle)}


def test_every_planted_scan_is_answered_or_named(run) -> None:
    copy, _, n_scans = run
    rows = answers(copy)
    assert len(rows) == n_scans
    assert sorted(row["flags"] for row in rows.values() if row["status"] == "quarantined") == [
        "Q_BAD_MHD",
        "Q_BAD_NIFTI",
        "Q_DAMAGED_SLICES",
        "Q_NOT_CHEST_CT",  # a key that nobody knows is passed over; it is a small black picture
        "Q_NO_GEOMETRY",
        "Q_UNSUPPORTED_SYNTAX",
    ]
    used = [row for row in rows.values() if row["cancer_probability"]]
    assert sorted(row["label"] for row in used) == ["0", "1", "1"]
    assert any(int(row["n_candidates"]) for row in used), "the planted scans must reach the last network"


def test_no_planted_identifier_leaves_private(run) -> None:
    copy, said, _ = run
    private = copy.folder / "results" / "planted" / "private"
    assert not holds_marker(said.encode(errors="surrogateescape"))
    assert leaks(copy.folder, but=(private,)) == []
    assert any(path.name == "map.csv" for path in private.iterdir())
    assert leaks(private), "the search must find what is there"


@pytest.mark.parametrize(
    "hidden",
    [
        MARKER.encode(),
        MARKER.upper().encode(),
        MARKER.encode("utf-16-le"),
        base64.b64encode(b"x" + MARKER.encode() + b" and more"),
        base64.b64encode(zlib.compress(b"<p>" + MARKER.encode() * 3)),
        b"data:" + base64.b64encode(base64.b64encode(b"folder/" + MARKER.encode() + b"/file")),
        b"head" + gzip.compress(MARKER.encode() * 2, mtime=0),
        "".join(f"%{byte:02X}" for byte in MARKER.encode()).encode(),
    ],
)
def test_the_search_finds_hidden_markers(hidden: bytes) -> None:
    assert holds_marker(b"before " + hidden + b" after")
    assert not holds_marker(b"before " + hidden[len(hidden) // 2 :] + b" after")


def test_only_the_export_brings_the_names_back(run, tmp_path, capsys) -> None:
    copy, _, _ = run
    results = copy.folder / "results" / "planted"
    assert main(["export", str(results), "--out", str(tmp_path / "export")]) == 0
    assert not holds_marker(capsys.readouterr().err.encode())
    files = {path.name: path for path in (tmp_path / "export").iterdir()}
    tables = ["folder-nodule-table-m2-micro.csv", "folder-nodules-micro.csv"]
    assert sorted(files) == ["dicom", "folder-cancer.csv", *tables, "predictions.csv"]
    with open(files["predictions.csv"], encoding="utf-8", newline="") as handle:
        named = {row["original"]: row for row in csv.DictReader(handle)}
    assert {row["scan"] for row in named.values()} == set(answers(copy))
    assert {uncell(name) for name in named} == {original.name for original in read_map(results / "private").values()}
    with open(files["folder-cancer.csv"], encoding="utf-8", newline="") as handle:
        assert {row["id"]: row["cancer"] for row in csv.DictReader(handle)} == {
            name: row["cancer_probability"] for name, row in named.items() if row["cancer_probability"]
        }
    wanted = {name: int(row["n_candidates"]) for name, row in named.items() if row["n_candidates"] not in ("", "0")}
    for table in tables:
        with open(files[table], encoding="utf-8", newline="") as handle:
            assert Counter(next(iter(row.values())) for row in csv.DictReader(handle)) == wanted
    assert leaks(copy.folder, but=(results / "private",)) == []


def test_dicom_out_names_the_patient_in_the_private_folder_and_nowhere_else(tmp_path, capsys) -> None:
    def plant(k: int, dataset: pydicom.Dataset) -> None:
        plant_in_dicom(k, dataset)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = STUDY, SERIES, FRAME
        dataset.SOPInstanceUID = f"{SERIES}.{k + 1}"

    ct, out = make_chest(spacing_mm=2.0).ct, tmp_path / "out"
    with quiet():
        write_dicom(tmp_path / MARKER, np.rint(ct.array).astype(np.int16), spacing_kji=(2, 2, 2), change=plant)
    bundle = str(untrained_bundle(tmp_path / "models"))
    assert main(["predict", str(tmp_path / MARKER), "--out", str(out), "--bundle", bundle]) == 0
    said = capsys.readouterr()
    assert not holds_marker((said.out + said.err).encode(errors="surrogateescape"))
    assert leaks(out, but=(out / "private",)) == []
    assert not list((out / "private/dicom").glob("*/why-not.txt")), said.err
    (made,) = (out / "private/dicom").iterdir()
    assert sorted(path.name for path in made.iterdir()) == ["seg.dcm", "sr.dcm"]
    for path in made.iterdir():
        assert str(pydicom.dcmread(path).PatientName) == MARKER
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(path.stat().st_mode) for path in (out / "private", made.parent, made)} == {0o700}


def test_an_owner_finds_a_scan_again(run, capsys) -> None:
    copy, _, _ = run
    private = copy.folder / "results" / "planted" / "private"
    scan = next(scan for scan, original in read_map(private).items() if ODD_NAME in original.name)
    assert main(["reidentify", scan, "--private", str(private)]) == 0
    told = capsys.readouterr().out
    assert MARKER in told
    assert len(told.splitlines()) == 1
    assert "\x1b" not in told
    assert main(["reidentify", str(private / "raw" / scan), "--private", str(private)]) == 0
    assert capsys.readouterr().out == told


# ---- lists that cannot be made -----------------------------------------------------------------------------


def _bad_patient(folder: Path) -> dict:
    write_mhd(folder / f"{MARKER} Jane" / "x.mhd", np.zeros((1, 2, 3), np.int16))
    (folder / "stage1_labels.csv").write_text(f"id,cancer\n{MARKER} Jane,1\n", encoding="utf-8")
    return {"dsb17": str(folder)}


def _bad_label(folder: Path) -> dict:
    (folder / "stage1_labels.csv").write_text(f"id,cancer\np1,{MARKER}\n", encoding="utf-8")
    return {"dsb17": str(folder)}


def _no_header(folder: Path) -> dict:
    (folder / "labels.csv").write_text(f"{MARKER},1\n", encoding="utf-8")
    return {"folder": str(folder), "labels": str(folder / "labels.csv")}


def _bad_annotation(folder: Path) -> dict:
    write_mhd(folder / "subset0" / "1.2.3.mhd", np.zeros((1, 2, 3), np.int16))
    (folder / "annotations.csv").write_text(
        f"seriesuid,coordX,coordY,coordZ,diameter_mm\n1.2.3,{MARKER},1,1,5\n", encoding="utf-8"
    )
    return {"luna16": str(folder)}


@pytest.mark.parametrize(
    ("plant", "says"),
    [
        (_bad_patient, "patient 1 in order of names: a scan id holds letters"),
        (_bad_label, "stage1_labels.csv, line 2: "),
        (_no_header, "labels.csv, line 1: expected the columns id, cancer, with comma"),
        (_bad_annotation, "annotations.csv, line 2: coordX: expected a finite number"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_list_that_cannot_be_made_says_why_without_names(tmp_path, plant, says) -> None:
    (tmp_path / "data").mkdir()
    copy = copy_workflow(tmp_path / "workflow")
    change = {"outdir": "results/bad", "data": plant(tmp_path / "data")}
    (copy.folder / "bad.yaml").write_text(yaml.safe_dump(change), encoding="utf-8")
    answer = copy.list_scans("config/micro.yaml", "bad.yaml")
    assert answer.returncode == 2
    assert says in answer.stderr
    assert not holds_marker((answer.stdout + answer.stderr).encode(errors="surrogateescape"))
    assert leaks(copy.folder, but=(copy.folder / "results" / "bad" / "private",)) == []


@pytest.mark.parametrize(("crash", "flag"), [(False, "Q_UNREADABLE"), (True, "Q_DECODER_DIED")], ids=["gone", "crash"])
def test_a_scan_that_is_gone_or_breaks_the_reader_is_named_by_its_pseudonym_alone(tmp_path, crash, flag) -> None:
    raw = write_mhd(tmp_path / "data" / f"{MARKER}.mhd", np.zeros((1, 2, 3), np.int16), Comment=MARKER)
    copy = copy_workflow(tmp_path / "workflow")
    assert main(["manifest", "folder", str(raw.parent), str(copy.folder / "listed")]) == 0
    [scan] = read_map(copy.folder / "listed" / "private")
    if crash:  # a mistake in the reader whose words quote the header
        reader = copy.folder / "src" / "lungline" / "readers" / "metaimage.py"
        text = reader.read_text(encoding="utf-8")
        assert "    check_size(" in text
        reader.write_text(text.replace("    check_size(", "    int(path.read_text())\n    check_size(", 1))
    else:
        raw.unlink()
    change = {
        "outdir": "results/bad",
        "manifest": "listed/manifest.csv",
        "models": untrained_models(tmp_path / "models"),
    }
    (copy.folder / "bad.yaml").write_text(yaml.safe_dump(change), encoding="utf-8")
    target = copy.folder / "results" / "bad" / "ingest" / f"{scan}.h5"
    words = ("--configfile", "config/micro.yaml", "bad.yaml", "--verbose", "--", str(target.relative_to(copy.folder)))
    answer = copy.snakemake(*words)
    assert answer.returncode == 0, answer.stdout[-5000:]
    assert [found.flag for found in hdf5.read_header(target).flags] == [flag]
    assert not holds_marker(answer.stdout.encode(errors="surrogateescape"))
    private = (copy.folder / "listed" / "private", copy.folder / "results" / "bad" / "private")
    assert leaks(copy.folder, but=private) == []


def test_the_search_looks_into_files_names_and_links(tmp_path) -> None:
    spots = (
        "packed.h5",
        "attribute.h5",
        "picture.png",
        base64.b64encode(f"results/{MARKER}".encode()).decode(),
        "link",
    )
    hidden = np.frombuffer((MARKER * 50).encode(), np.uint8)
    empty = hdf5.Header("test", "test")
    hdf5.write_file(tmp_path / spots[0], empty, {"a": hdf5.Field(hidden, "z", "1", "")}, compression="gzip")
    hdf5.write_file(tmp_path / spots[1], hdf5.Header("test", "test", parameters={"a": MARKER}), {})
    figure = new_figure(1, 1, "")
    figure.savefig(tmp_path / spots[2], metadata={"Comment": MARKER})
    (tmp_path / spots[3]).touch()
    (tmp_path / spots[4]).symlink_to(f"/data/{MARKER}")
    (tmp_path / "nothing.txt").write_text("nothing")
    assert sorted(leaks(tmp_path)) == sorted(spots)
