"""Tables as spreadsheets write them: read, or told line by line what is wrong."""

from __future__ import annotations

import pytest

from lungline.errors import LunglineError
from lungline.nodules.annotations import read_annotations
from lungline.readers.listing import read_labels
from lungline.stages import manifest
from lungline.storage.spreadsheets import changes_in_spreadsheets
from lungline.storage.submissions import read_ids, read_marks
from lungline.storage.tables import read_notes
from scans import chest, write_mhd, write_nifti

HU = chest()
LABELS = {"007": 1, "1234567890123456789": 0, "P3": 1}
LABELLED = [("007", "1"), ("1234567890123456789", "0"), ("P3", "1")]


def table(mark: str, end: str = "\r\n", extra: str = "", first: str = "", quote: str = "{}") -> bytes:
    lines = [f"id{mark}cancer{extra}", *(f"{quote.format(name)}{mark}{label}{extra}" for name, label in LABELLED)]
    return (first + end.join(lines) + end).encode()


TABLES = {
    "sep=;": table(";", first="sep=;\r\n"),
    "sep=; in quotes": table(";", first='"sep=;"\r\n'),
    "sep=, and further commas": table(",", first="sep=,,\r\n"),
    "sep=|": table("|", first="sep=|\r\n"),
    "empty columns": b"\xef\xbb\xbf" + table(",", extra=",,,") + b",,,,\r\n",
    "empty columns, semicolons": table(";", extra=";;"),
    "empty columns in the header alone": table(",").replace(b"cancer", b"cancer,,"),
    "empty columns in the rows alone": table(",").replace(b"1\r\n", b"1,,\r\n"),
    "an empty column before": b"".join(b"," + line for line in table(",").splitlines(keepends=True)),
    "empty rows before the header": b";;\r\n\r\n" + table(";", extra=";"),
    "UTF-16, as Excel's Unicode text": table("\t").decode().encode("utf-16"),
    "old Mac lines": table(",", end="\r"),
    "quoted ids": table(",", quote='"{}"'),
    "ids kept as text": table(",", quote='="{}"'),
    "ids in triple quotes": table(",", quote='"""{}"""'),
    "ids in curly quotes": table(",", quote="\u201c{}\u201d"),
    "no-break spaces around": table(",", quote="\u00a0{}\u00a0"),
    "zero-width spaces around": table(",", quote="{}\u200b").replace(b"cancer", "cancer\ufeff".encode()),
    "TRUE and FALSE": table(",").replace(b",1", b",TRUE").replace(b",0", b",False"),
    "decimal commas": table(";").replace(b";1", b";1,0").replace(b";0", b";0,00"),
}


@pytest.mark.parametrize("content", TABLES.values(), ids=TABLES)
def test_labels_are_read_as_spreadsheets_write_them(content, tmp_path) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    assert read_labels(tmp_path / "labels.csv").of == LABELS


WRONG = {
    "four faults": (
        b"id,cancer\na,yes\nb,\n,1\nc,0,5\nd,1\n",
        [
            "4 faults.",
            "line 2: expected an id",
            "line 3: expected an id",
            "line 4: expected an id",
            "line 5: expected 2 col",
        ],
    ),
    "a blank within": (
        b"id,cancer\na,1 0\nb,1\n",
        ["line 2: expected an id and cancer = 0 or 1. Found: cancer is a word with a blank"],
    ),
    "a no-break space within": ("id,cancer\na,1\u00a00\n".encode(), ["line 2: ", "the invisible U+00A0"]),
    "a quote within": (b"id,cancer\na,1'\n", ["line 2: ", "a word with the quote '"]),
    "a name in capitals": (b"id,Cancer\na,1\n", ["Found cancer missing. There is 'Cancer'."]),
    "a name with a zero-width space": ("id,can\u200bcer\na,1\n".encode(), ["There is 'can\\u200bcer'."]),
    "words without a name": (b"id,cancer,\na,1,ask\n", ["line 2: expected 2 columns. Got 3."]),
    "no header": (b"Doe,1\nRoe,0\n", ["Found id, cancer missing. Mend the header."]),
}


@pytest.mark.parametrize(("content", "says"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_line_by_line_and_shows_what_is_invisible(content, says, tmp_path, capsys) -> None:
    from lungline.cli import main

    (tmp_path / "labels.csv").write_bytes(content)
    write_nifti(tmp_path / "in/a.nii", HU)
    words = [
        "manifest",
        "folder",
        str(tmp_path / "in"),
        str(tmp_path / "out"),
        "--labels",
        str(tmp_path / "labels.csv"),
    ]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "\\x0a" not in said
    assert "Doe" not in said
    at = [said.index(word) for word in says]
    assert at == sorted(at)
    assert len(said.splitlines()) == (len(says) if "faults" in says[0] else 1)


IDS = ["1.3.6.1", "1.3.6.2", "1.3.6.3"]
LISTS = {
    "plain": "\n".join(IDS),
    "a header": "\n".join(["seriesuid", *IDS]),
    "a header in quotes": "\n".join(['"SeriesInstanceUID"', *(f'"{one}"' for one in IDS)]),
    "a header that nobody knows": "\n".join(["Untersuchung", *IDS]),
    "quoted ids": "\r\n".join(f'"{one}"' for one in IDS),
    "a mark and blank lines": "\ufeff" + "\r\n\r\n".join(["", *IDS, ""]),
    "empty columns": "\n".join(f"{one},," for one in ["seriesuid", *IDS]),
    "further columns": "\n".join(["fold;seriesuid", *(f"{k};{one}" for k, one in enumerate(IDS))]),
    "kept as text": "\n".join(f'="{one}"' for one in IDS),
    "sep=;": "\n".join(["sep=;", "seriesuid;", *(f"{one};" for one in IDS)]),
}


@pytest.mark.parametrize("content", LISTS.values(), ids=LISTS)
def test_a_header_in_a_list_of_scans_is_no_scan(content, tmp_path) -> None:
    (tmp_path / "ids.csv").write_text(content, encoding="utf-8", newline="")
    assert read_ids(tmp_path / "ids.csv") == IDS


def test_ids_without_digits_are_scans_too(tmp_path) -> None:
    (tmp_path / "ids.csv").write_text("anna\nberta\n")
    assert read_ids(tmp_path / "ids.csv") == ["anna", "berta"]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_decimal_commas_are_read_where_the_comma_parts_no_columns(mark, tmp_path) -> None:
    head, row = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm"), ("1.3.6.1", "-79,5", "93,25", "-146", "5,5")
    path = tmp_path / "a.csv"
    path.write_text(f"{mark.join(head)}{mark}{mark}\n{mark.join(row)}{mark}{mark}\n")
    (nodule,) = read_annotations(path)
    assert (*nodule.centre_xyz_mm, nodule.diameter_mm) == (-79.5, 93.25, -146.0, 5.5)
    path.write_text(path.read_text().replace("diameter_mm", "probability"))
    assert read_marks(path) == {"1.3.6.1": [(-79.5, 93.25, -146.0, 5.5)]}


def test_commas_beside_points_are_no_decimal_commas(tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("seriesuid;coordX;coordY;coordZ;diameter_mm\n1.3.6.1;1,500;2.5;3;4\n")
    with pytest.raises(LunglineError, match="line 2: coordX: expected a finite number with a decimal point"):
        read_annotations(path)


@pytest.mark.parametrize(
    "word", ["007", "12E5", "1.5e3", "1234567890123456", "1.10", "00.5", "1-2-2020", "3.12", "12-05"]
)
def test_an_id_that_a_spreadsheet_would_change_is_warned_of(word, tmp_path) -> None:
    assert changes_in_spreadsheets(word)
    write_mhd(tmp_path / "luna/subset9" / f"{word}.mhd", chest((3, 6, 7)))
    write_mhd(tmp_path / "luna/subset9" / "1.2.840.10008.mhd", chest((3, 6, 7)))
    manifest.run("luna16", tmp_path / "luna", tmp_path / "out")
    manifest.run("luna16", tmp_path / "luna", tmp_path / "out")
    (note,) = read_notes(tmp_path / "out/input_warnings.csv")
    assert (note.file, note.flag) == ("manifest.csv", "T_ID_CHANGES")
    assert note.what.startswith("1 of 2 ids")


@pytest.mark.parametrize(
    "word", ["1.3.6.1.4.1", "patient-7", "scan-0123456789", "7", "0", "123456789012345", "a.10", "1-2-3-4"]
)
def test_an_id_that_a_spreadsheet_keeps_is_not(word) -> None:
    assert not changes_in_spreadsheets(word)
