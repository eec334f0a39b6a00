"""Every scan of the manifest comes out as one row: answered, or named."""

import pytest

from lungline.errors import LunglineError
from lungline.storage.predictions import (
    ANSWER_COLUMNS,
    COLUMNS,
    Prediction,
    collect,
    read_answers,
    read_predictions,
    write_predictions,
)
from lungline.storage.scan_rows import ScanRow

MANIFEST = [
    ScanRow("d1", "dicom", "dsb17", "test", None, 1),
    ScanRow("l1", "mhd", "luna16", "train", 3, None),
    ScanRow("d2", "dicom", "dsb17", "train", None, 0),
    ScanRow("f1", "nifti", "folder", "test"),
]
ANSWERS = """d1,0.5,0.622459331,,7,2,ok,,aa
d2,,,,0,,quarantined,Q_NO_GEOMETRY;W_TILT,bb
f1,-1,,0.268941421,0,,warned,W_GAP_FILLED,cc
"""
HASHES = ",pa,we,ca,co\n"  # of patches, weights, card, code


def answers(tmp_path, text=ANSWERS):
    path = tmp_path / "answers.csv"
    path.write_text(",".join(ANSWER_COLUMNS) + "\n" + text.replace("\n", HASHES.replace("\n", ",,,\n")))
    return read_answers(path)


def test_every_scan_of_the_manifest_has_one_row_in_its_order(tmp_path):
    rows = collect(MANIFEST, answers(tmp_path), "m2")
    assert [row.scan for row in rows] == ["d1", "l1", "d2", "f1"]
    assert [row.status for row in rows] == ["ok", "not-scored", "quarantined", "warned"]
    assert rows[0] == Prediction(
        "d1", "dsb17", "test", 1, 0.622459331, "ok", (), "m2", 7, 2, 0.5, "aa", "pa", "we", "ca", "co"
    )
    assert rows[1].flags == ("N_DETECTION_ONLY",)
    assert rows[2].flags == ("Q_NO_GEOMETRY", "W_TILT")
    assert rows[3].deciding_rank is None
    assert (rows[3].cancer_probability, rows[3].malignancy_score, rows[3].score) == (None, 0.268941421, 0.268941421)
    assert {row.classifier for row in rows} == {"m2"}


def test_a_missing_answer_is_named(tmp_path):
    with pytest.raises(LunglineError, match=r"1 scans without an answer: f1"):
        collect(MANIFEST, answers(tmp_path, "".join(ANSWERS.splitlines(keepends=True)[:2])), "m2")


def test_an_answer_to_no_scan_of_the_manifest_is_named(tmp_path):
    with pytest.raises(LunglineError, match="not in the manifest: x9"):
        collect(MANIFEST, answers(tmp_path, ANSWERS + "x9,0,0.5,,1,1,ok,,dd\n"), "m2")


def test_written_rows_are_read_back_as_they_were(tmp_path):
    rows = collect(MANIFEST, answers(tmp_path), "m2")
    write_predictions(tmp_path / "p.csv", rows)
    assert read_predictions(tmp_path / "p.csv") == rows
    assert (tmp_path / "p.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    first = (tmp_path / "p.csv").read_bytes()
    write_predictions(tmp_path / "p.csv", read_predictions(tmp_path / "p.csv"))
    assert (tmp_path / "p.csv").read_bytes() == first


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("d1,0,1.2,,1,1,ok,,x", "0..1"),
        ("d1,0,0.5,0.5,1,1,ok,,x", "needs cancer_probability or malignancy_score"),
        ("d1,0,,,1,1,ok,,x", "needs cancer_probability or malignancy_score"),
        ("d1,0,nan,,1,1,ok,,x", "finite"),
        ("d1,0,0.5,,1,1,quarantined,Q_A,x", "allows no score"),
        ("d1,,,,1,1,quarantined,,x", "needs a flag"),
        ("d1,0,0.5,,1,1,fine,,x", "status must be"),
    ],
)
def test_an_answer_that_contradicts_itself_is_refused(tmp_path, line, word):
    with pytest.raises(LunglineError, match=word):
        collect(MANIFEST[:1], answers(tmp_path, line + "\n"), "m2")


def test_a_scan_answered_twice_is_refused_with_its_line(tmp_path):
    with pytest.raises(LunglineError, match="line 3: scan 'd1' stands there twice"):
        answers(tmp_path, "d1,0,0.5,,1,1,ok,,x\n" * 2)


def test_a_table_with_an_impossible_value_is_refused_with_its_line(tmp_path):
    path = tmp_path / "p.csv"
    good = "d1,dsb17,test,1,0.5,,ok,,m2,1,1,0,aa" + HASHES
    path.write_text(",".join(COLUMNS) + "\n" + good)
    assert len(read_predictions(path)) == 1
    for line, word in [(good.replace("0.5", "half"), "half"), (good, "twice")]:
        path.write_text(",".join(COLUMNS) + "\n" + good + line)
        with pytest.raises(LunglineError, match=f"line 3.*{word}"):
            read_predictions(path)
