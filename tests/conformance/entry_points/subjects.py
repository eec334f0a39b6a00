"""What is asked of each entry point: a sound input, which of its files are changed, and the call that reads them."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.entry_points import text_mutations as ways
from tests.conformance.entry_points.servers import (
    answer_studies,
    raw_replies,
    read_journal,
    write_journal,
    write_replies,
)
from tests.scans import chest, write_dicom, write_mhd, write_nifti
from tests.unit.evaluation import detector_files
from tests.unit.evaluation.detector_files import roi
from tests.unit.evaluation.test_lidc_xml import BORDER, nodule
from tests.untrained import untrained_bundle

HU = chest((6, 12, 16))


class NoRowError(Exception):
    """An input that stands in no list and is told of nowhere."""


@dataclass(frozen=True)
class Subject:
    """An entry point; both functions work in the folder that they are given."""

    build: Callable[[Path], object]
    files: str  # which are changed: a pattern below the folder
    ways: tuple[str, ...]
    ask: Callable[[Path], object]
    reader: str  # of `lungline.limits.READERS`, whose memory it may take


def _zips(folder: Path) -> None:
    write_dicom(folder / "raw/a", HU)
    write_mhd(folder / "raw/b/b.mhd", HU)
    write_nifti(folder / "raw/c.nii.gz", HU)
    with zipfile.ZipFile(folder / "inner.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((folder / "raw/a").iterdir()):
            archive.write(file, file.name)
    (folder / "in").mkdir()
    with zipfile.ZipFile(folder / "in/a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((folder / "raw").rglob("*")):
            archive.write(file, file.relative_to(folder / "raw"))
        archive.write(folder / "inner.zip", "d.zip")
    shutil.rmtree(folder / "raw")
    (folder / "inner.zip").unlink()


def _list_and_read(folder: Path) -> None:
    """Each scan of the zip has a row that is read or quarantined; a zip without any is counted."""
    from lungline.errors import Quarantine
    from lungline.privacy.scan_list import list_plain_folder
    from lungline.readers.scan import read_scan
    from lungline.readers.zips import unpacked

    listing = list_plain_folder(folder / "in", folder / "out", None)
    if not listing.scans and not listing.passed_over.counts:
        raise NoRowError
    for item in listing.scans:
        try:
            with unpacked(item.path, item.row.source) as here:
                read_scan(here, item.row.source)
        except Quarantine:
            pass


def _bundle(folder: Path) -> None:
    untrained_bundle(folder)
    for checksum in folder.rglob(".*.sha256"):
        checksum.unlink()


def _open_bundle(folder: Path) -> None:
    from lungline.storage.checksums import sha256
    from lungline.workflow.bundle import check_networks, read_bundle

    try:  # whoever makes a bundle makes its hashes, too
        about = json.loads((folder / "bundle.json").read_text("utf-8"))
        about["weights_sha256"] = {name: sha256(folder / name) for name in about["weights_sha256"]}
        (folder / "bundle.json").write_text(json.dumps(about), encoding="utf-8")
    except Exception:  # not JSON any more, or of another shape: it is read as it is
        pass
    check_networks(read_bundle(folder / "bundle.json"))


def _froc(detector: Callable[[Path], Path], **options: object) -> Callable[[Path], object]:
    def build(folder: Path) -> None:
        (folder / "marks").mkdir()
        made = detector(folder / "marks")
        (folder / "name").write_text(str(made.relative_to(folder)))
        (folder / "truth.csv").write_text(detector_files.TRUTH)
        (folder / "ids.csv").write_text("seriesuid\n" + "\n".join(detector_files.MARKS) + "\n")
        (folder / "excluded.csv").write_text(detector_files.TRUTH)
        (folder / "patients.csv").write_text("scan,patient\n" + "".join(f"{s},p\n" for s in detector_files.MARKS))

    return build


def _read_marks(folder: Path) -> None:
    from lungline.evaluation.mark_formats import read_patients, read_predictions, read_truth
    from lungline.evaluation.marks import submitted_marks
    from lungline.nodules.annotations import read_annotations
    from lungline.storage.submissions import read_ids

    scans = read_ids(folder / "ids.csv")
    nodules, irrelevant = read_truth(folder / "truth.csv", "auto", scans)
    irrelevant += read_annotations(folder / "excluded.csv", measured=False)
    _, found = read_predictions(folder / (folder / "name").read_text(), "auto", scans)
    submitted_marks(found, scans, nodules, irrelevant)
    read_patients(folder / "patients.csv", scans)


def _lidc(folder: Path) -> None:
    detector_files.lidc(folder / "a.xml", "1.2.1", {"a": [nodule(roi(46, BORDER))], "b": [nodule(roi(46, BORDER))]})
    detector_files.write_image(folder / "images/1.2.1.mhd", chest(detector_files.SHAPE_ZYX))


def _read_lidc(folder: Path) -> None:
    from lungline.evaluation.mark_formats import read_truth

    read_truth(folder / "a.xml", "lidc-xml", ["1.2.1"], images=folder / "images", agreement=1)


def _tables(folder: Path) -> None:
    (folder / "in").mkdir()
    write_nifti(folder / "in/a.nii", HU)
    (folder / "labels.csv").write_text("id,cancer\na,1\nb,0\n007,1.0\n")
    (folder / "labels2.csv").write_text('sep=;\nid;cancer\n="a";1,0\n"b";0\n')
    (folder / "manifest.csv").write_text(
        "scan,source,dataset,split,fold,label\ns1,dicom,folder,test,,1\ns2,mhd,luna16,train,3,\ns3,nifti,folder,test,,\n"
    )
    (folder / "points.csv").write_text("name,x_mm,y_mm,z_mm,diameter_mm\np,1,2,3,4\nq,-1.5,2e1,3,\n")


def _read_tables(folder: Path) -> None:
    from lungline.errors import LunglineError
    from lungline.nodules.given_points import read_points
    from lungline.privacy.scan_list import list_plain_folder
    from lungline.storage.scan_rows import read_manifest

    faults: list[LunglineError] = []
    for read in (
        lambda: list_plain_folder(folder / "in", folder / "out", folder / "labels.csv"),
        lambda: list_plain_folder(folder / "in", folder / "out", folder / "labels2.csv"),
        lambda: read_manifest(folder / "manifest.csv"),
        lambda: read_points(folder / "points.csv"),
    ):
        try:
            read()
        except LunglineError as error:
            faults.append(error)
    if faults:
        raise faults[0]


def _predictions(folder: Path) -> None:
    from lungline.storage.predictions import Prediction, write_predictions

    rows = [
        Prediction("a", "folder", "test", 1, 0.5, status="ok", logit=0.0, n_candidates=2, deciding_rank=1),
        Prediction("b", "folder", "test", None, None, status="quarantined", flags=("Q_LIMIT",)),
    ]
    write_predictions(folder / "predictions.csv", rows)
    (folder / ".predictions.csv.sha256").unlink()


def _read_predictions(folder: Path) -> None:
    from lungline.storage.predictions import read_predictions

    read_predictions(folder / "predictions.csv")


_PATIENT = """purpose: screening
exam: complete
first_scan: false
age: 62
sex: male
smoking: former
family_history: true
nodule_count: 3
nodules:
  1: {attenuation: part-solid, long_mm: 12, short_mm: 8.5, solid_long_mm: 5, margin: spiculated, lobe: upper}
  2:
    change: growing
    prior:
      - {months_ago: 12, mean_mm: 6}
      - {months_ago: 3.5, mean_mm: 7, volume_mm3: 200}
"""


def _categorise(folder: Path) -> None:
    from lungline.nodules.patient import read_patient
    from lungline.stages.categories import categorise

    categorise(folder / "a.csv", read_patient(folder / "patient.yaml"), None, who="patient.yaml")


def _patient(folder: Path) -> None:
    (folder / "patient.yaml").write_text(_PATIENT)
    (folder / "a.csv").write_text(
        "scan,rank,attenuation,long_axis_mm,short_axis_mm,volume_mm3,solid_long_axis_mm,solid_short_axis_mm,"
        "calcified_share\na,1,solid,8.4,7.6,268,,,0\na,2,ground-glass,14,9,800,,,0\na,3,part-solid,9.1,8,300,7,5.4,0\n"
    )


_CONFIG = """data: {folder: in, labels: null}
outdir: results/a
seed: 3
resample: {spacing_mm: 1.0}
detectors:
  mine: {extends: demo, network: {base_channels: 8}}
"""


def _read_config(folder: Path) -> None:
    from lungline.stages import show_config

    show_config.run(configfile=(folder / "config.yaml",))


def _masks(folder: Path) -> None:
    import numpy as np

    from lungline.imaging.geometry import make_affine
    from lungline.imaging.volume import Volume
    from lungline.storage.nifti_output import write_nifti as write_labels
    from lungline.storage.nrrd_output import write_nrrd

    labels = np.zeros((6, 7, 9), np.uint8)
    labels[1:3, 2:5, 1:4], labels[4, 5, 6] = 1, 2
    volume = Volume(labels, make_affine((2.5, 0.7, 0.9), (-31.0, 42.5, -113.0)))
    write_labels(volume, folder / "a.nii.gz")
    write_nrrd(volume, folder / "b.nrrd")
    write_mhd(folder / "c.mha", labels.astype(np.int16))


def _read_masks(folder: Path) -> None:
    from lungline.errors import LunglineError
    from lungline.readers.label_maps import read_label_map

    faults = []
    for name in ("a.nii.gz", "b.nrrd", "c.mha"):
        try:
            if (folder / name).is_file():
                read_label_map(folder / name)
        except LunglineError as error:
            faults.append(error)
    if faults:
        raise faults[0]


def _hdf5(folder: Path) -> None:
    import numpy as np

    from lungline.storage import hdf5
    from lungline.storage.hdf5 import Field, Flag, Header

    header = Header("ct_hu", "ingest", (Flag("W_TILT", "3 degrees"),), {"a": 1}, {"raw_sha256": "0" * 64})
    fields = {
        "ct": Field(HU, "zyx", "HU", "CT", np.eye(4)),
        "instance_number": Field(np.arange(6, dtype=np.int32), "z", "1", "numbers"),
        "mask": Field(HU > 0, "zyx", "1", "mask", np.eye(4)),
    }
    hdf5.write_file(folder / "a.h5", header, fields)
    (folder / ".a.h5.sha256").unlink()


def _read_hdf5(folder: Path) -> None:
    from lungline.stages import show

    show.run(folder / "a.h5")


_BINARY = ways.BYTES
_MARKS = "marks/**/*"
SUBJECTS: dict[str, Subject] = {
    "server": Subject(write_replies, "replies/*", ways.JSON, answer_studies, "tables"),
    "http": Subject(raw_replies, "raw/*", ways.TEXT, answer_studies, "tables"),
    "journal": Subject(write_journal, "out/private/journal.json", ways.JSON, read_journal, "tables"),
    "tables": Subject(_tables, "*.csv", ways.TABLE, _read_tables, "tables"),
    "predictions": Subject(_predictions, "predictions.csv", ways.TABLE, _read_predictions, "tables"),
    "froc lists": Subject(_froc(detector_files.luna16), "*.csv", ways.TABLE, _read_marks, "tables"),
    "froc luna16": Subject(_froc(detector_files.luna16), _MARKS, ways.TABLE, _read_marks, "tables"),
    "froc monai": Subject(
        _froc(lambda folder: detector_files.monai(folder, "cccwhd")), _MARKS, ways.JSON, _read_marks, "JSON of marks"
    ),
    "froc nndetection": Subject(
        _froc(detector_files.nndetection), _MARKS, (*_BINARY, "word"), _read_marks, "pickles of nnDetection"
    ),
    "froc label-map": Subject(
        _froc(detector_files.label_map), _MARKS, (*ways.TABLE, "change-field"), _read_marks, "NIfTI, also gzipped; NRRD"
    ),
    "froc mask": Subject(
        _froc(detector_files.mask), _MARKS, (*_BINARY, "change-field"), _read_marks, "arrays of nnU-Net"
    ),
    "froc diag-json": Subject(_froc(detector_files.diag_json), _MARKS, ways.JSON, _read_marks, "JSON of marks"),
    "froc diag-xml": Subject(_froc(detector_files.diag_xml), _MARKS, ways.TEXT, _read_marks, "XML of marks, LIDC"),
    "froc dicom-seg": Subject(
        _froc(detector_files.dicom_seg),
        "marks/seg/*",
        (*_BINARY, "swap-elements", "change-element"),
        _read_marks,
        "DICOM",
    ),
    "froc lungline": Subject(_froc(detector_files.lungline), "marks/nodules/*", ways.TABLE, _read_marks, "tables"),
    "froc lidc": Subject(_lidc, "a.xml", ways.TEXT, _read_lidc, "XML of marks, LIDC"),
    "patient": Subject(_patient, "*", ways.TEXT, _categorise, "`patient.yaml`, configuration"),
    "configuration": Subject(
        lambda folder: (folder / "config.yaml").write_text(_CONFIG),
        "config.yaml",
        ways.TEXT,
        _read_config,
        "`patient.yaml`, configuration",
    ),
    "masks": Subject(
        _masks, "?.*", (*_BINARY, "change-field", "change-element"), _read_masks, "NIfTI, also gzipped; NRRD"
    ),
    "hdf5": Subject(_hdf5, "a.h5", _BINARY, _read_hdf5, "our HDF5"),
    "zip": Subject(_zips, "in/a.zip", _BINARY, _list_and_read, "zip"),
    "bundle": Subject(_bundle, "**/*.json", ways.JSON, _open_bundle, "manifest and cards of models"),
    "weights": Subject(_bundle, "**/*.safetensors", (*_BINARY, "word"), _open_bundle, "weights"),
}
