"""What is fuzzed: bytes in, and an exception out only where a reader did not foresee something.

Readers that work in the sandbox are called in this process, so that the fuzzer sees their lines; the sandbox's own
limits are tried by `tests/unit/readers/test_sandbox.py`. What the sandbox or the command line turns into one line is
foreseen: `LunglineError`, `Quarantine`, and in the sandbox `OSError`.
"""

from __future__ import annotations

import io
import json
import socket
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from lungline.errors import LunglineError, Quarantine
from lungline.evaluation import mark_formats
from lungline.evaluation.lidc_xml import Grid, readings
from lungline.evaluation.mark_readers import read_xml
from lungline.nodules.annotations import read_annotations
from lungline.nodules.given_points import read_points
from lungline.nodules.patient import read_patient
from lungline.pacs import bounded_http
from lungline.pacs.orthanc import Orthanc
from lungline.readers import label_maps, zips
from lungline.readers.by_format import reader_of
from lungline.readers.dicom_headers import quiet
from lungline.readers.listing import read_labels
from lungline.readers.scan import volume_of
from lungline.scan_formats import Source
from lungline.storage.predictions import COLUMNS, Prediction, format_prediction, read_predictions
from lungline.storage.scan_rows import read_manifest
from lungline.storage.tables import table_text
from lungline.storage.weights import read_card, read_shapes, read_tensors
from lungline.workflow.bundle import check_networks, read_bundle
from tests.conformance.robustness import dicom_files, mhd_files, nifti_files
from tests.conformance.robustness.analytic_phantom import make_grid
from tests.repository import REPOSITORY
from tests.unit.evaluation import detector_files
from tests.untrained import untrained_bundle

GRID = make_grid((4, 32, 36), (15.0, 2.5, 2.25))
STUDY = "66c8e41e-ac3a9029-0b85e42a-8195ee0a-92c2e62e"


@dataclass(frozen=True)
class Target:
    """Something that reads foreign bytes."""

    #: Read `data`, in files below the folder where there have to be some.
    read: Callable[[bytes, Path], object]
    #: Sound inputs from which the fuzzer begins.
    sound: Callable[[], Sequence[bytes]]
    #: The modules, below src/lungline, whose lines are counted.
    modules: Sequence[str]
    foreseen: tuple[type[Exception], ...] = (LunglineError, Quarantine)

    def run(self, data: bytes) -> None:
        """Read `data`; any exception that nobody foresaw comes out."""
        with tempfile.TemporaryDirectory(prefix="lungline-fuzz-") as folder, suppress(*self.foreseen):
            self.read(data, Path(folder))


def in_this_process(work: Callable[[], Any], **_: object) -> Any:
    """What `run_in_sandbox` gives, without a child."""
    array, about = work()
    return array, json.loads(json.dumps(about))


# ---- scans -----------------------------------------------------------------------------------------------------


def scan(name: str, source: Source) -> Callable[[bytes, Path], object]:
    def read(data: bytes, folder: Path) -> None:
        path = folder / name
        path.write_bytes(data)
        volume_of(reader_of(source).read(path)[0])

    return read


@cache
def slices() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        dicom_files.write_all(Path(name), dicom_files.datasets(GRID), lambda k: f"{k}.dcm")
        return {path.name: path.read_bytes() for path in Path(name).iterdir()}


def dicom(data: bytes, folder: Path) -> None:
    """One slice of a series of four."""
    for name, sound in {**slices(), "2.dcm": data}.items():
        (folder / name).write_bytes(sound)
    with quiet():
        volume_of(reader_of("dicom").read(folder)[0])


def sound_slices() -> list[bytes]:
    made = [slices()["2.dcm"]]
    for syntax in ("RLELossless", "JPEG2000Lossless", "DeflatedExplicitVRLittleEndian"):
        ds = dicom_files.datasets(GRID)[2]
        uid = getattr(dicom_files.pydicom.uid, syntax)
        if syntax.startswith("Deflated"):
            ds.file_meta.TransferSyntaxUID = uid
        else:
            ds.compress(uid, generate_instance_uid=False)
        with tempfile.TemporaryDirectory() as name:
            dicom_files.write_one(Path(name) / "one", ds)
            made.append((Path(name) / "one").read_bytes())
    return made


def sound_files(write: Callable[..., Path], kinds: Sequence[dict]) -> Callable[[], list[bytes]]:
    def make() -> list[bytes]:
        with tempfile.TemporaryDirectory() as name:
            made = []
            for k, kind in enumerate(kinds):
                made.append(write(Path(name) / str(k), GRID.hu(), GRID, **kind).read_bytes())
            return made

    return make


def label_map(data: bytes, folder: Path) -> None:
    name = "map.nrrd" if data[:4] == b"NRRD" else "map.dcm" if data[128:132] == b"DICM" else "map.nii"
    (folder / name).write_bytes(data)
    with mock.patch.object(label_maps, "run_in_sandbox", in_this_process), quiet():
        label_maps.read_stored_labels(folder / name)


def sound_maps() -> list[bytes]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        labels = np.zeros((3, 4, 5), np.uint8)
        labels[1, 2, 3] = 1
        for suffix in (".nrrd", ".nii"):
            detector_files.write_image(folder / f"map{suffix}", labels)
        return [path.read_bytes() for path in sorted(folder.iterdir())]


def zip_file(data: bytes, folder: Path) -> None:
    path = folder / "scans.zip"
    path.write_bytes(data)
    with mock.patch.object(zips, "run_in_sandbox", in_this_process), quiet():
        for place, source in zips.scans_in_zip(path)[:4]:
            with zips.unpacked(place, source):  # type: ignore[arg-type]
                pass


def sound_zips() -> list[bytes]:
    made = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        inner, outer = io.BytesIO(), io.BytesIO()
        with zipfile.ZipFile(inner, "w", method) as archive:
            for name, blob in slices().items():
                archive.writestr(f"series/{name}", blob[:700])
        with zipfile.ZipFile(outer, "w", method) as archive:
            archive.writestr("a/study.zip", inner.getvalue())
            archive.writestr("b/scan.nii", bytes(352))
        made += [inner.getvalue(), outer.getvalue()]
    return made


# ---- tables and forms ------------------------------------------------------------------------------------------

TABLES = (
    read_points,
    read_annotations,
    read_labels,
    read_manifest,
    read_predictions,
    lambda path: mark_formats.read_patients(path, ["a"]),
)


ANSWER = Prediction("a", "folder", "test", None, 0.5, status="ok", n_candidates=1)


def table(data: bytes, folder: Path) -> None:
    """The first byte says which reader is asked."""
    path = folder / "table.csv"
    path.write_bytes(data[1:])
    TABLES[(data[0] if data else 0) % len(TABLES)](path)


def sound_tables() -> list[bytes]:
    texts = (
        b"scan,x_mm,y_mm,z_mm\na,1,2,3\n",
        b"seriesuid;coordX;coordY;coordZ;diameter_mm\na;1,5;2;3;6\n",
        b"id,cancer\na,1\nb,0\n",
        b"scan,source,dataset,split,fold,label\na,dicom,folder,test,,1\n",
        table_text(COLUMNS, [format_prediction(ANSWER)]).encode(),
        b"\xef\xbb\xbfscan\tpatient\na\tp\n",
    )
    return [bytes([k]) + text for k, text in enumerate(texts)]


def patient(data: bytes, folder: Path) -> None:
    (folder / "patient.yaml").write_bytes(data)
    read_patient(folder / "patient.yaml")


# ---- models ----------------------------------------------------------------------------------------------------


@cache
def model_files() -> dict[str, bytes]:
    """Name -> bytes of an untrained bundle, without checksum files, which others can write as well."""
    with tempfile.TemporaryDirectory() as name:
        untrained_bundle(Path(name))
        files = [path for path in Path(name).rglob("*") if path.suffix in (".json", ".safetensors")]
        return {path.relative_to(name).as_posix(): path.read_bytes() for path in files}


MODEL_PARTS = (
    "bundle.json",
    "classifier/card.json",
    "detector/z/card.json",
    "classifier/weights.safetensors",
    "detector/z/weights.safetensors",
)


def model(data: bytes, folder: Path) -> None:
    """The first byte says which file is replaced."""
    name = MODEL_PARTS[(data[0] if data else 0) % len(MODEL_PARTS)]
    for other, content in {**model_files(), name: data[1:]}.items():
        (folder / other).parent.mkdir(parents=True, exist_ok=True)
        (folder / other).write_bytes(content)
    if name.endswith(".safetensors"):
        read_shapes(folder / name)
        read_tensors(folder / name)
    elif name.endswith("card.json"):
        read_card(folder / name)
    manifest = json.loads(model_files()["bundle.json"])
    if name != "bundle.json":
        (folder / "bundle.json").write_text(json.dumps({**manifest, "weights_sha256": {}}), encoding="utf-8")
    check_networks(read_bundle(folder / "bundle.json"))


def sound_models() -> list[bytes]:
    return [bytes([k]) + model_files()[name] for k, name in enumerate(MODEL_PARTS)]


# ---- answers of a server ---------------------------------------------------------------------------------------


class Scripted:
    """A socket on whose other side somebody has written all that he ever will."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self.answer)

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name not in ("sendall", "shutdown", "close", "settimeout", "setsockopt"):
            raise AttributeError(name)
        return lambda *_: None


QUESTIONS: tuple[Callable[[Orthanc, Path], object], ...] = (
    lambda server, _: server.last_change(),
    lambda server, _: server.studies(),
    lambda server, _: server.study(STUDY),
    lambda server, _: server.instances(STUDY),
    lambda server, _: server.count(STUDY),
    lambda server, _: server.digest(STUDY),
    lambda server, folder: _fetched(server, folder / "instance"),
)


def _fetched(server: Orthanc, path: Path) -> None:
    """Of a server that keeps no MD5: every question here has one answer."""
    with mock.patch.object(Orthanc, "digest", return_value=""):
        server.fetch(STUDY, path)


def server(data: bytes, folder: Path) -> None:
    """The first byte says what was asked."""
    said = mock.patch.object(socket, "create_connection", return_value=Scripted(data[1:]))
    with said, mock.patch.object(bounded_http, "_login", return_value={}):
        QUESTIONS[(data[0] if data else 0) % len(QUESTIONS)](Orthanc("127.0.0.1:1"), folder)


def sound_answers() -> list[bytes]:
    bodies = (
        {"Last": 3},
        [{"ID": STUDY, "IsStable": True, "LastUpdate": "20260101T000000"}],
        {"ID": STUDY, "IsStable": True},
        [{"MainDicomTags": {"Modality": "CT"}, "Instances": [STUDY]}],
        {"CountInstances": 4},
        "0" * 32,
        {},
    )
    made = []
    for k, body in enumerate(bodies):
        text = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        made.append(bytes([k]) + b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(text), text)
        made.append(bytes([k]) + chunked)
    return made


# ---- marks and annotations -------------------------------------------------------------------------------------

SCANS = tuple(detector_files.VOXELS)
MARKS: tuple[tuple[str, str], ...] = (
    ("luna16", "marks.csv"),
    ("monai-cccwhd", "marks.json"),
    ("monai-xyzxyz", "marks.json"),
    ("nndetection", "1_2_1_boxes.pkl"),
    ("diag-json", "results.json"),
    ("diag-xml", "1.2.1.xml"),
    ("lidc-xml", "lidc.xml"),
    ("auto", "marks.json"),
    ("mask", "1.2.1.npz"),
)


def marks(data: bytes, folder: Path) -> None:
    """The first byte says which format."""
    name, file = MARKS[(data[0] if data else 0) % len(MARKS)]
    (folder / file).write_bytes(data[1:])
    if name == "lidc-xml":
        readings(read_xml(folder / file), folder / file, Grid((-30.0, -12.5), (1.5, 1.25), 2.0))
        return
    if name == "mask":
        detector_files.write_image(folder / "1.2.1.nii.gz", np.ones(detector_files.SHAPE_ZYX, np.uint8))
    whole = name in ("nndetection", "mask")
    with mock.patch.object(label_maps, "run_in_sandbox", in_this_process):
        mark_formats.read_predictions(folder if whole else folder / file, name, SCANS)


def sound_marks() -> list[bytes]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("pickles", "xml", "masks"):
            (folder / part).mkdir()
        files = [
            detector_files.luna16(folder),
            detector_files.monai(folder, "cccwhd"),
            detector_files.monai(folder, "xyzxyz"),
            detector_files.nndetection(folder / "pickles") / "1_2_1_boxes.pkl",
            detector_files.diag_json(folder),
            detector_files.diag_xml(folder / "xml") / "1.2.1.mhd.xml",
        ]
        made = [bytes([k]) + path.read_bytes() for k, path in enumerate(files)]
        return [
            *made,
            bytes([6]) + LIDC,
            bytes([8]) + (detector_files.mask(folder / "masks") / "1.2.1.npz").read_bytes(),
        ]


LIDC = b"""<?xml version="1.0"?><LidcReadMessage xmlns="http://www.nih.gov"><ResponseHeader>
<SeriesInstanceUid>1.2.1</SeriesInstanceUid></ResponseHeader><readingSession><unblindedReadNodule><noduleID>N</noduleID>
<roi><imageZposition>3</imageZposition><imageSOP_UID>1.2</imageSOP_UID><inclusion>TRUE</inclusion>
<edgeMap><xCoord>3</xCoord><yCoord>4</yCoord></edgeMap><edgeMap><xCoord>5</xCoord><yCoord>4</yCoord></edgeMap>
<edgeMap><xCoord>5</xCoord><yCoord>6</yCoord></edgeMap></roi></unblindedReadNodule></readingSession></LidcReadMessage>"""

TARGETS: dict[str, Target] = {
    "dicom": Target(
        dicom,
        sound_slices,
        ("readers/dicom.py", "readers/dicom_headers.py", "readers/dicom_pixels.py", "readers/assembly.py",
         "readers/stack.py", "readers/series_choice.py", "readers/dicom_values.py"),
        (LunglineError, Quarantine, OSError),
    ),
    "metaimage": Target(
        scan("scan.mha", "mhd"),
        sound_files(mhd_files.write, ({"local": True}, {"local": True, "compressed": True})),
        ("readers/metaimage.py", "readers/metaimage_header.py"),
        (LunglineError, Quarantine, OSError),
    ),
    "nifti": Target(
        scan("scan.nii", "nifti"),
        sound_files(nifti_files.write, ({"file": "scan.nii"},)),
        ("readers/nifti.py",),
        (LunglineError, Quarantine, OSError),
    ),
    "label-map": Target(label_map, sound_maps, ("readers/label_maps.py",), (LunglineError, Quarantine, OSError)),
    "zip": Target(
        zip_file, sound_zips, ("readers/zips.py", "readers/dicom_sniff.py"), (LunglineError, Quarantine, OSError)
    ),
    "table": Target(table, sound_tables, ("storage/tables.py", "storage/spreadsheets.py", "storage/scan_rows.py")),
    "patient": Target(
        patient,
        lambda: [b"age: 60\nsex: female\nnodules:\n  1: {kind: nodule}\n"],
        ("nodules/patient.py",),
    ),
    "model": Target(
        model,
        sound_models,
        ("workflow/bundle.py", "workflow/bundle_check.py", "storage/weights.py", "storage/foreign_files.py"),
    ),
    "server": Target(server, sound_answers, ("pacs/bounded_http.py", "pacs/orthanc.py")),
    "marks": Target(
        marks,
        sound_marks,
        ("evaluation/mark_readers.py", "evaluation/mark_formats.py", "evaluation/array_pickles.py",
         "evaluation/lidc_xml.py"),
    ),
}  # fmt: skip


def seeds(name: str) -> list[Path]:
    """Inputs on which a reader once failed, made as small as they go."""
    return sorted((REPOSITORY / "tests/conformance/fuzz/seeds" / name).glob("*"))
