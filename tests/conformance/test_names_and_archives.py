"""Files as people name and pack them: each scan has a row and can be read, all else is counted by kind."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from lungline.errors import LunglineError, Quarantine
from lungline.readers.scan import read_scan
from lungline.readers.zips import unpacked
from lungline.stages import manifest
from lungline.storage.scan_rows import read_manifest
from scans import write_dicom, write_mhd, write_nifti
from tests.conformance.test_valid_formats import HU, by_nibabel, by_simpleitk, cut_preamble


def zip_of(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    shutil.rmtree(folder)
    return path


def suffixes_off(folder: Path) -> Path:
    for file in list(folder.iterdir()):
        file.rename(file.with_suffix(""))
    return folder


def behind(*others: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        suffixes_off(write_dicom(folder / "study", HU))
        for name in others:
            (folder / "study" / name).write_bytes(b"\xff\xd8\xff" + bytes(500))

    return build


def named(name: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        write_dicom(folder / "study", HU)
        for file in list((folder / "study").iterdir()):
            file.rename(file.with_name(f"{file.stem}{name}"))

    return build


def in_zips(*levels: str) -> Callable[[Path], None]:
    """A study in a zip, in a zip, ..., the outermost last."""

    def build(folder: Path) -> None:
        suffixes_off(write_dicom(folder / "work" / "study", HU))
        write_nifti(folder / "work" / "SCAN.NII.GZ", HU)
        for name in levels:
            made = zip_of(folder / name, folder / "work")
            (folder / "work").mkdir()
            made.rename(folder / "work" / name)
        (folder / "work" / levels[-1]).rename(folder / levels[-1])
        (folder / "work").rmdir()

    return build


def zipped_under_windows(folder: Path) -> None:
    made = write_dicom(folder / "study", HU)
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("the study\\", b"")
        for file in made.iterdir():
            archive.writestr(f"the study\\series 1\\{file.name}", file.read_bytes())
    shutil.rmtree(made)


def unpacked_from_macos(folder: Path) -> None:
    for file in write_dicom(folder / "study", HU).iterdir():
        for place in ("study", "__MACOSX/study"):
            (folder / place).mkdir(parents=True, exist_ok=True)
            (folder / place / f"._{file.name}").write_bytes(b"\0\5\x16\7" + bytes(200))


def beside(name: str, content: bytes = b"x") -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        write_nifti(folder / "scan.nii", HU)
        (folder / name).write_bytes(content)

    return build


def archive_of_study(folder: Path) -> None:
    write_nifti(folder / "scan.nii", HU)
    with tarfile.open(folder / "study.tar.gz", "w:gz") as archive:
        archive.add(folder / "scan.nii", "scan.nii")


def copied(name: str, build: Callable[[Path], Path]) -> Callable[[Path], None]:
    def done(folder: Path) -> None:
        path = build(folder)
        path.rename(folder / name)

    return done


def gzipped(build: Callable[[Path], object]) -> Callable[[Path], None]:
    def done(folder: Path) -> None:
        build(folder)
        for file in [file for file in folder.rglob("*") if file.is_file()]:
            file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()

    return done


def in_a_zip(build: Callable[[Path], object]) -> Callable[[Path], None]:
    def done(folder: Path) -> None:
        build(folder / "work")
        zip_of(folder / "a.zip", folder / "work")

    return done


NAMES = {
    "capitals, NIfTI": (copied("SCAN.NII.GZ", lambda f: write_nifti(f / "a.nii.gz", HU)), "nifti", "nothing"),
    "capitals, NIfTI unpacked": (copied("SCAN.NII", lambda f: write_nifti(f / "a.nii", HU)), "nifti", "nothing"),
    "mixed letters": (copied("Scan.Nii.gZ", lambda f: write_nifti(f / "a.nii.gz", HU)), "nifti", "nothing"),
    "capitals, MetaImage": (copied("SCAN.MHD", lambda f: write_mhd(f / "a.mhd", HU)), "mhd", "nothing"),
    "capitals, MetaImage alone": (copied("S.MHA", by_simpleitk("a.mha")), "mhd", "nothing"),
    "capitals, DICOM": (named(".DCM"), "dicom", "nothing"),
    "Siemens": (named(".IMA"), "dicom", "nothing"),
    "DICOM called voxels": (named(".img"), "dicom", "nothing"),
    "numbers for suffixes": (named(".0001"), "dicom", "nothing"),
    "UIDs for names": (named("1.2.840.113619"), "dicom", "nothing"),
    "behind ten pictures": (behind(*(f"00preview{k}.jpg" for k in range(10))), "dicom", "10 pictures (.jpg)"),
    "behind forty texts": (behind(*(f"00{k}.txt" for k in range(40))), "dicom", "40 texts and tables (.txt)"),
    "behind thirty files of unknown names": (behind(*(f"00{k}" for k in range(30))), "dicom", "nothing"),
    "before pictures": (behind("zz.png", "zz.bmp"), "dicom", "2 pictures (.bmp .png)"),
    "no preamble": (lambda f: [cut_preamble(p) for p in suffixes_off(write_dicom(f / "a", HU)).iterdir()], "dicom", ""),
    "DICOM called NIfTI": (named(".nii"), "dicom", "nothing"),
    "DICOM called MetaImage": (named(".MHD"), "dicom", "nothing"),
    "DICOM called NIfTI, in a zip": (in_a_zip(named(".nii")), "dicom", "nothing"),
    "gzipped slices": (gzipped(named(".dcm")), "dicom", "nothing"),
    "gzipped slices without suffix": (gzipped(named("")), "dicom", "nothing"),
    "gzipped slices in a zip": (in_a_zip(gzipped(named(".dcm"))), "dicom", "nothing"),
    "a zip in capitals": (in_zips("STUDY.ZIP"), "dicom nifti", "nothing"),
    "a zip in a zip": (in_zips("a.zip", "b.zip"), "dicom nifti", "nothing"),
    "a zip from Windows": (zipped_under_windows, "dicom", "nothing"),
    "a zip from macOS, unpacked": (unpacked_from_macos, "dicom", f"{2 * len(HU)} hidden files"),
    "a pair": (lambda f: by_nibabel(nibabel.Nifti1Pair, "a.img")(f), "nifti", "nothing"),
    "a .hdr of another format": (beside("a.hdr", b"ENVI\n" * 99), "nifti", "1 images of a format not read (.hdr)"),
    "voxels without a header": (beside("a.raw"), "nifti", "1 voxels without a header (.raw)"),
    "a tar": (archive_of_study, "nifti", "1 archives not opened (unpack them) (.gz)"),
    "7z": (beside("a.7z"), "nifti", "1 archives not opened (unpack them) (.7z)"),
    "rar, in capitals": (beside("A.RAR"), "nifti", "1 archives not opened (unpack them) (.rar)"),
    "a packed slice": (beside("a.dcm.gz", gzip.compress(b"x")), "nifti", "1 archives not opened (unpack them) (.gz)"),
    "NRRD": (beside("a.nrrd"), "nifti", "1 images of a format not read (.nrrd)"),
    "a list of files": (beside("DICOMDIR"), "nifti", "1 DICOMDIR"),
    "a zip without a scan": (
        beside("a.zip", b"PK\5\6" + bytes(18)),
        "nifti",
        "1 zips without a scan",
    ),
    "files of no known kind": (beside("a.b.c"), "nifti", "1 other files"),
    "hidden files": (beside("._scan.nii"), "nifti", "1 hidden files"),
}


@pytest.mark.parametrize(("build", "sources", "passed_over"), NAMES.values(), ids=NAMES)
def test_every_scan_has_a_row_and_can_be_read_and_the_rest_is_counted(build, sources, passed_over, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    build(tmp_path / "in")
    manifest.run("folder", tmp_path / "in", tmp_path / "out")
    said = capsys.readouterr().err.splitlines()[-1]
    rows = read_manifest(tmp_path / "out/manifest.csv")
    assert sorted(row.source for row in rows) == sources.split()
    assert said.startswith(
        f"seen: {', '.join(f'1 {source}' for source in sources.split())}; passed over: {passed_over}"
    )
    for row in rows:
        with unpacked(tmp_path / "out/private/raw" / row.scan, row.source) as path:
            np.testing.assert_array_equal(read_scan(path, row.source)[0].array, HU)


def test_of_three_zips_in_one_another_the_innermost_is_one_row_with_its_reason(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    in_zips("a.zip", "b.zip", "c.zip")(tmp_path / "in")
    manifest.run("folder", tmp_path / "in", tmp_path / "out")
    (row,) = read_manifest(tmp_path / "out/manifest.csv")
    raw = tmp_path / "out/private/raw" / row.scan
    with pytest.raises(Quarantine, match="lies in a zip and holds another one") as caught, unpacked(raw, row.source):
        pass
    assert caught.value.flag == "Q_BAD_ZIP"


def test_a_folder_with_archives_alone_says_so(tmp_path) -> None:
    (tmp_path / "a.7z").touch()
    with pytest.raises(LunglineError, match=r"Found none. Passed over: 1 archives not opened \(unpack them\) \(.7z\)"):
        manifest.run("folder", tmp_path, tmp_path / "out")
