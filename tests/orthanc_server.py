"""A real Orthanc on loopback, as in examples/pacs/, for tests; with its DICOMweb plugin where a test wants it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pydicom
import pytest

from dicom_series import STUDY
from lungline.pacs.bounded_http import UnreachableError
from lungline.pacs.orthanc import Orthanc
from tests.repository import REPOSITORY

DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")  # where Debian's orthanc-dicomweb has it


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Pacs:
    """An Orthanc as in examples/pacs/, in a folder of its own, on ports that are free."""

    def __init__(self, folder: Path, *, dicomweb: bool = False) -> None:
        program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
        if program is None:
            pytest.skip("needs Orthanc (Debian: apt install orthanc)")
        self.http, self.dicom, self.folder, self.program = free_port(), free_port(), folder, program
        settings = json.loads((REPOSITORY / "examples/pacs/orthanc.json").read_text(encoding="utf-8"))
        settings |= {"HttpPort": self.http, "DicomPort": self.dicom, "StableAge": 1, "StorageDirectory": str(folder)}
        settings |= {"IndexDirectory": str(folder), "DicomModalities": {}, "OverwriteInstances": True}
        if dicomweb:
            if not DICOMWEB.is_file():
                pytest.skip("needs Orthanc's DICOMweb plugin (Debian: apt install orthanc-dicomweb)")
            settings["Plugins"] = [str(DICOMWEB)]
        (folder / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
        self.start()

    def start(self) -> None:
        self.log = open(self.folder / "orthanc.log", "wb")  # noqa: SIM115  closed with the process
        command = [self.program, str(self.folder / "orthanc.json")]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 30
        while True:
            try:
                self.server.last_change()
                return
            except UnreachableError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.2)

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.http}"

    @property
    def server(self) -> Orthanc:
        return Orthanc(self.url)

    def send(self, folder: Path, port: int | None = None) -> None:
        """C-STORE every file of a folder, here or to another port."""
        from pynetdicom import AE

        files = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
        node = AE("SCANNER")
        for kind in {file.SOPClassUID for file in files}:
            node.add_requested_context(kind, pydicom.uid.ExplicitVRLittleEndian)
        association = node.associate("127.0.0.1", port or self.dicom, ae_title="LUNGLINE")
        assert association.is_established
        try:
            assert [association.send_c_store(file).Status for file in files] == [0] * len(files)
        finally:
            association.release()

    def holds(self, modality: str, study_uid: str = STUDY) -> list[pydicom.Dataset]:
        """What the archive holds of a modality in a study."""
        found = []
        for study in self.server.studies():
            for instance in self.server.instances(study.id).get(modality, []):
                with urllib.request.urlopen(f"{self.server.url}/instances/{instance}/file") as answer:
                    found.append(pydicom.dcmread(pydicom.filebase.DicomBytesIO(answer.read())))
        return [dataset for dataset in found if dataset.StudyInstanceUID == study_uid]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self.log.close()
