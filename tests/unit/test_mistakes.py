"""Mistakes at the command line: each ends with exit code 2 and one last line that says what to do next."""

from __future__ import annotations

import os
import zipfile

import pytest

from lungline.cli import main
from scans import chest, write_dicom, write_mhd

MISTAKES = {
    "predct": "Did you mean 'predict'?",
    "predict": "required: RAW. `lungline predict --help`",
    "predict scan --outt x": "Did you mean '--out'?",
    "predict scan more": "unrecognized arguments: more",
    "predict scan --keep maybe": "expected true or false",
    "predict scan --device gpu": "expected one of auto, cpu, cuda",
    "predict scan --bundle nowhere.json": "Call ./run first",
    "predict scan --bundle bad.json": "not a bundle manifest",
    "follow-up scan": "required: AFTER",
    "follow-up scan scan --days soon": "--days: expected a number: days from each scan to the next. Found 'soon'",
    "follow-up scan two/a.mhd two/b.mhd --days 90": "--days: expected 2 numbers with commas between",
    "follow-up scan two/a.mhd scan": "It is the same as scan; name each once",
    "follow-up scan two/a.mhd --tolerance-mm 0": "--tolerance-mm: expected more than 0",
    "manifest dicom scan out": "expected one of luna16, dsb17, folder",
    "manifest folder scan": "required: OUT",
    "manifest folder nowhere out": "expected a folder of scans. There is none",
    "manifest folder empty out": "Found none",
    "manifest folder notes.txt out": "expected a folder of DICOM files, .mhd, .mha, .nii, .nii.gz, or a zip of them",
    "manifest luna16 scan out": "expected subset0 .. subset9",
    "manifest dsb17 empty out": "expected folders of DICOM files",
    "manifest folder scan out --labels notes.txt": "expected the columns id, cancer",
    "manifest folder scan notes.txt": "a folder is needed: name another place",
    "manifest folder scan notes.txt/out": "a folder is needed: name another place",
    "show nowhere.h5": "Check its name",
    "show empty": "Found none",
    "show notes.txt": "expected .h5, .csv",
    "show two": "Found 2; name one",
    "show short": "Complete the series",
    "show bad.zip": "Unpack it yourself",
    "show broken.h5": "damaged or unreadable",
    "reidentify scan-1 --private nowhere": "name it with --private",
    "export nowhere --out answers": "Check its name",
    "verify empty": "expected a result tree",
    "plan": "Check its name, and the folder that you are in",
    "compare out.csv --config nowhere.json": "nowhere.json",
    "render-index out.html --predictions nowhere.csv": "Check its name",
    "render-index out.html --predictions notes.txt": "Mend the header",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    here = tmp_path_factory.mktemp("mistakes")
    hu = chest((4, 8, 9))
    write_dicom(here / "scan", hu)
    write_dicom(here / "short", hu[:2])
    write_mhd(here / "two/a.mhd", hu)
    write_mhd(here / "two/b.mhd", hu)
    (here / "empty").mkdir()
    for name in ("notes.txt", "bad.json", "broken.h5"):
        (here / name).write_text('{"a": "note"}\n')
    with zipfile.ZipFile(here / "bad.zip", "w") as archive:
        archive.writestr("../a.dcm", b"")
    return here


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line_that_says_what_to_do(words, folder, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    try:
        status = main(words.split())
    except SystemExit as stop:  # of the parser
        status = stop.code
    said = capsys.readouterr().err.splitlines()
    assert status == 2
    assert len(said) == 1
    assert MISTAKES[words] in said[0]
    assert said[0].startswith("lungline")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_is_closed_is_named(folder, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    (folder / "closed").mkdir(mode=0o500)
    assert main(["manifest", "folder", "scan", "closed/out"]) == 2
    assert "Give yourself the right" in capsys.readouterr().err
