"""Several patients and studies in one folder: a row for each, in every way in, and none that speaks for another."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID

from dicom_series import SERIES, STUDY, write_chest
from lungline.readers.raw_state import raw_state
from lungline.readers.scan import read_scan
from lungline.readers.studies import scans_of_folder
from lungline.readers.zips import unpacked
from lungline.stages import list_scans, manifest
from lungline.storage.scan_rows import read_manifest

Z = [-10.0, -5.0, 0.0, 5.0, 10.0]
OTHER = {
    "patient": {"PatientID": "MRN-0043", "StudyInstanceUID": UID(f"{STUDY}.5")},
    "patient-id-alone": {"PatientID": "MRN-0043"},
    "study": {"StudyInstanceUID": UID(f"{STUDY}.5"), "StudyDate": "20250102"},
    "one-series-uid": {"PatientID": "MRN-0043", "SeriesInstanceUID": UID(f"{SERIES}.3")},
    "another-modality": {"StudyInstanceUID": UID(f"{STUDY}.5"), "Modality": "MR"},
}


def both(folder: Path, more: dict[str, object], n: int = 5) -> Path:
    """Five slices of one patient, and n of another one or of another study, flat in one folder."""
    write_chest(folder, Z, prefix="a")
    return write_chest(folder, Z[:n], prefix="b", series=4, seed=1, **more)


def rows(out: Path) -> list[Path]:
    """Where the listed scans lie, by the links that a reader goes through."""
    return [out / "private" / "raw" / row.scan for row in read_manifest(out / "manifest.csv")]


def by_manifest(folder: Path, out: Path) -> list[Path]:
    manifest.run("folder", folder, out)
    return rows(out)


def by_list_scans(folder: Path, out: Path) -> list[Path]:
    list_scans.run(config=(f"data={{folder: {folder}}}", f"outdir={out}"), default=Path("none"))
    return rows(out)


@pytest.mark.parametrize("listing", [by_manifest, by_list_scans])
@pytest.mark.parametrize("kind", OTHER)
def test_each_patient_and_study_gets_a_row_of_its_own(
    kind: str, listing: Callable[..., list[Path]], tmp_path: Path
) -> None:
    found = listing(both(tmp_path / "raw", OTHER[kind]), tmp_path / "out")
    assert len(found) == 2
    files = []
    for link in found:
        with unpacked(link, "dicom") as here:
            files.append({Path(os.path.realpath(path)).name[0] for path in here.iterdir()})
            if kind != "another-modality" or files[-1] == {"a"}:
                assert read_scan(here, "dicom")[1] == []
    assert sorted(files, key=str) == [{"a"}, {"b"}]


def test_a_zip_is_as_its_folder(tmp_path: Path) -> None:
    folder = both(tmp_path / "raw", OTHER["patient"])
    with zipfile.ZipFile(tmp_path / "raw.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"deep/{path.name}")
    found = by_manifest(tmp_path / "raw.zip", tmp_path / "out")
    assert len(found) == 2
    for link in found:
        with unpacked(link, "dicom") as here:
            assert len(list(here.iterdir())) == 5
            assert read_scan(here, "dicom")[1] == []


def test_a_folder_of_one_study_is_one_scan_under_its_own_name(tmp_path: Path) -> None:
    folder = both(tmp_path, {})
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"junk")
    assert scans_of_folder(folder) == [folder]


def test_names_stay_when_another_study_comes(tmp_path: Path) -> None:
    folder = both(tmp_path, OTHER["patient"])
    before = scans_of_folder(folder)
    write_chest(folder, Z, prefix="c", series=5, PatientID="A-first", StudyInstanceUID=UID(f"{STUDY}.1"))
    assert set(before) < set(scans_of_folder(folder))


def test_a_single_slice_of_another_patient_is_a_row_and_a_patient_a_slice_is_none(tmp_path: Path) -> None:
    assert len(scans_of_folder(both(tmp_path / "two", OTHER["patient"], n=1))) == 2

    def scrubbed(k: int, dataset: Dataset) -> None:
        dataset.StudyInstanceUID = UID(f"{STUDY}.{k + 1}")

    folder = write_chest(tmp_path / "scrubbed", Z, more=scrubbed)
    assert scans_of_folder(folder) == [folder]


def test_the_state_of_a_study_changes_with_its_folder_and_a_study_that_is_gone_is_refused(tmp_path: Path) -> None:
    folder = both(tmp_path, OTHER["patient"])
    first, second = scans_of_folder(folder)
    before = raw_state(first, "dicom").digest
    for path in sorted(folder.glob("b*")):
        path.unlink()
    assert raw_state(first, "dicom").digest != before
    gone = second if "0043" in second.name else first
    with pytest.raises(Exception, match="Q_UNREADABLE: the folder no longer holds the study"), unpacked(gone, "dicom"):
        pass


def test_a_folder_read_as_one_scan_says_that_others_lie_there(tmp_path: Path) -> None:
    _, flags = read_scan(both(tmp_path, OTHER["patient"], n=4), "dicom")
    assert [code.flag for code in flags] == ["W_SERIES_CHOSEN", "W_OTHER_STUDY"]
    assert "4 CT slices" in flags[1].detail
