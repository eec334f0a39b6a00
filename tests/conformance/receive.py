"""Many callers at once, and the receiver killed meanwhile: is every study answered once, of all its images?

`python -m tests.conformance.receive --studies 1000` sends small series from four callers to a real
`lungline receive` (a process of its own, with a tiny answer in place of `predict`), kills it twice with SIGKILL, and
counts what arrives at a DICOM node. `--pace 1.5` lets every caller wait between studies, for a longer run: the memory
of the receiver is looked at every second. `--hours 24` is the receiver's own loop under a clock that runs fast.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import Comprehensive3DSRStorage, SegmentationStorage  # type: ignore[attr-defined]

from lungline.pacs.answering import Answerer, prepare
from lungline.pacs.inbox import Inbox, Limits
from lungline.pacs.outbox import Node
from lungline.pacs.part10 import identify
from lungline.pacs.store_scp import Callers, networks_of
from lungline.stages.receive import receive
from tests.repository import REPOSITORY

ROOMY = Limits(queue_bytes=1 << 30, study_bytes=1 << 28, study_images=1000)
CALLERS = 4


def uid(text: str) -> str:
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, text).int}"


def object_of(study: str, instance: str, sop_class: str = CTImageStorage, modality: str = "CT", **more: Any) -> Dataset:
    """A DICOM object as small as one may be."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = sop_class, instance, modality
    dataset.StudyInstanceUID, dataset.PatientID = study, "MRN-0042"
    dataset.SeriesInstanceUID = uid(f"series of {modality} in {study}")
    for name, value in more.items():
        setattr(dataset, name, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = sop_class, instance
    return dataset


def as_file(dataset: Dataset) -> bytes:
    file = pydicom.filebase.DicomBytesIO()
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    return bytes(file.getvalue())


def image(study: int, k: int) -> Dataset:
    pixels = np.full((16, 16), k, np.int16).tobytes()
    name = f"study {study}"
    return object_of(uid(name), uid(f"{name} image {k}"), Rows=16, Columns=16, BitsAllocated=16, PixelData=pixels)


def tiny_answer(incoming: Path, answers: Path) -> tuple[str, list[Path]]:
    """In place of `predict`: SEG and SR that say of how many images they are, the same for the same images."""
    found = [identify(path.read_bytes()) for path in sorted(incoming.iterdir())]
    (study,) = {one.study for one in found}
    name = ",".join(sorted(one.instance for one in found))
    made = []
    for kind, sop_class in (("SEG", SegmentationStorage), ("SR", Comprehensive3DSRStorage)):
        dataset = object_of(study, uid(f"{kind} {name}"), sop_class, kind, NumberOfStudyRelatedInstances=len(found))
        path = answers / "private" / f"{kind.lower()}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(as_file(dataset))
        made.append(path)
    with open(answers.parent / "answers.log", "a", encoding="ascii") as log:
        log.write(f"{study} {len(found)}\n")
    return "probability 0.500", made


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Archive:
    """A DICOM node that remembers what was stored in it: (study, modality, instance, number of images) -> how often."""

    def __init__(self) -> None:
        self.stored: Counter[tuple[str, str, str, int]] = Counter()
        here = AE("ARCHIVE")
        for kind in (SegmentationStorage, Comprehensive3DSRStorage):
            here.add_supported_context(kind)
        self.server = here.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)])
        self.port = self.server.server_address[1]

    def _store(self, event: Any) -> int:
        one = event.dataset
        count = int(one.NumberOfStudyRelatedInstances)
        self.stored[(one.StudyInstanceUID, one.Modality, one.SOPInstanceUID, count)] += 1
        return 0


@dataclass
class Receiver:
    """`lungline receive` in a process, with a tiny answer; killed and started again as a test wants."""

    out: Path
    node: int
    quiet_s: float
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    memory: list[tuple[float, int]] = field(default_factory=list)

    def start(self) -> None:
        words = ["serve", str(self.out), str(self.port), str(self.node), str(self.quiet_s)]
        with open(self.out.parent / "said.txt", "ab") as said:
            command = [sys.executable, "-m", "tests.conformance.receive", *words]
            self.process = subprocess.Popen(command, cwd=REPOSITORY, stdout=said, stderr=said)
        self.memory.clear()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def look(self) -> None:
        """Note resident memory (kB)."""
        assert self.process is not None
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        if "VmRSS" in text:
            self.memory.append((time.monotonic(), int(text.partition("VmRSS:")[2].split()[0])))


def send_studies(
    port: int, studies: list[int], images: int, pace_s: float, sent: Counter[str], over: threading.Event
) -> None:
    """As a scanner does: what was not acknowledged is sent again until it is."""
    scanner = AE("SCANNER")
    scanner.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    scanner.acse_timeout = scanner.dimse_timeout = scanner.network_timeout = 10
    for study in studies:
        left = [image(study, k) for k in range(images)]
        while left and not over.is_set():
            association = scanner.associate("127.0.0.1", port, ae_title="LUNGLINE")
            if not association.is_established:
                over.wait(0.1)
                continue
            while left and association.is_established:
                try:
                    status = association.send_c_store(left[0]).get("Status")
                except RuntimeError:
                    break
                if status != 0:
                    sent["refused"] += status is not None
                    over.wait(0.1)
                    break
                left.pop(0)
                sent["images"] += 1
            if association.is_established:
                association.release()
        over.wait(pace_s)


def storm(
    folder: Path, *, studies: int, images: int = 3, kills: int = 2, quiet_s: float = 2.0, pace_s: float = 0.0
) -> dict[str, Any]:
    """Send all studies, kill the receiver so often, wait for the answers; what was counted."""
    archive, sent, over = Archive(), Counter[str](), threading.Event()
    receiver = Receiver(folder / "out", archive.port, quiet_s)
    receiver.start()
    callers = [
        threading.Thread(
            target=send_studies,
            args=(receiver.port, list(range(first, studies, CALLERS)), images, pace_s, sent, over),
            daemon=True,
        )
        for first in range(CALLERS)
    ]
    begin = time.monotonic()
    for caller in callers:
        caller.start()
    at = [studies * images * (k + 1) // (kills + 1) for k in range(kills)]
    deadline = begin + 120 + studies * (1.0 + pace_s)
    try:
        while time.monotonic() < deadline:
            if at and sent["images"] >= at[0]:
                at.pop(0)
                receiver.kill()
                receiver.start()
            receiver.look()
            whole = sum(count == images for _, _, _, count in archive.stored)
            if not any(caller.is_alive() for caller in callers) and whole >= 2 * studies:
                break
            time.sleep(0.05 if studies < 100 else 1.0)
        time.sleep(quiet_s + 2)  # what comes twice would come now
    finally:
        over.set()
        receiver.kill()
        archive.server.shutdown()
    return counted(folder / "out", archive, receiver, sent, studies, images) | {"seconds": time.monotonic() - begin}


def counted(
    out: Path, archive: Archive, receiver: Receiver, sent: Counter[str], studies: int, images: int
) -> dict[str, Any]:
    journal = json.loads((out / "private/journal.json").read_text(encoding="utf-8"))
    answers = Counter((out / "answers.log").read_text(encoding="ascii").splitlines())
    expected = {(uid(f"study {n}"), kind) for n in range(studies) for kind in ("SEG", "SR")}
    objects = Counter((study, kind) for study, kind, _, _ in archive.stored)
    seconds, kb = np.array(receiver.memory, dtype=float).T
    late = seconds > seconds[0] + (seconds[-1] - seconds[0]) / 3  # the start is no growth
    slope = float(np.polyfit(seconds[late], kb[late], 1)[0]) if late.sum() > 10 else float("nan")
    return {
        "studies": studies,
        "images sent": sent["images"],
        "objects refused": sent["refused"],
        "studies without SEG or SR": len(expected - set(objects)),
        "studies with more than one SEG or SR": sum(count > 1 for count in objects.values()),
        "answers of fewer images": sum(count != images for _, _, _, count in archive.stored),
        "objects that arrived twice, the same": sum(count > 1 for count in archive.stored.values()),
        "answers made twice, the same": sum(count > 1 for count in answers.values()),
        "failed in the journal": sum(entry["failed"] for entry in journal.values()),
        "in the journal": len(journal),
        "left in the queue": len(list((out / "private/inbox").iterdir())),
        "left for the node": len(list((out / "private/outbox").rglob("*.dcm"))),
        "memory kB by minute": [
            int(kb[np.searchsorted(seconds, at)]) for at in np.arange(seconds[0] + 5, seconds[-1], 60)
        ],
        "memory kB per hour": slope * 3600,
        "seconds of memory": float(seconds[-1] - seconds[0]),
    }


def fast_hours(
    folder: Path, *, hours: float, every_s: float, images: int = 2, measured: bool = False
) -> dict[str, Any]:
    """The receiver's loop under a clock that only its own sleeping moves; a study begins every `every_s`."""
    journal = prepare(folder)
    inbox = Inbox(folder / "private", ROOMY, None)
    now, arrivals, memory = [0.0], iter(range(int(hours * 3600 / every_s))), []
    coming: list[tuple[float, int, int]] = [(n * every_s + 7.0 * k, n, k) for n in arrivals for k in range(images)]
    coming.sort(reverse=True)

    def sleep(seconds: float) -> None:
        now[0] += seconds
        while coming and coming[-1][0] <= now[0]:
            _, study, k = coming.pop()
            inbox.receive(as_file(image(study, k)))
        if measured and seconds and int(now[0]) % 3600 < seconds:
            memory.append((now[0] / 3600, tracemalloc.get_traced_memory()[0], len(answerer.journal)))
        if now[0] > hours * 3600 + 300:
            raise KeyboardInterrupt

    answerer = Answerer(inbox, folder, tiny_answer, None, 60.0, journal, clock=lambda: now[0], sleep=sleep)
    if measured:
        tracemalloc.start()
    try:
        answerer.listen(5.0)
    except KeyboardInterrupt:
        tracemalloc.stop()
    answers = Counter((folder / "answers.log").read_text(encoding="ascii").splitlines())
    return {
        "studies": int(hours * 3600 / every_s),
        "answered once, whole": sum(count == 1 and line.endswith(f" {images}") for line, count in answers.items()),
        "answers": sum(answers.values()),
        "held": len(inbox.studies()) + len(answerer.seen) + len(answerer.tries),
        "memory, bytes per study in the journal": _slope([(size, n) for _, size, n in memory]),
    }


def _slope(points: list[tuple[int, int]]) -> float:
    if len(points) < 4:
        return float("nan")
    sizes, counts = np.array(points[len(points) // 4 :], dtype=float).T
    return float(np.polyfit(counts, sizes, 1)[0])


def serve(out: str, port: str, node: str, quiet_s: str) -> int:
    callers = Callers(["SCANNER"], networks_of(["127.0.0.1"]))
    nodes = [Node("ARCHIVE", "127.0.0.1", int(node))]
    return receive("LUNGLINE", "127.0.0.1", int(port), Path(out), nodes, callers, ROOMY, float(quiet_s), tiny_answer)


def main() -> int:
    if sys.argv[1:2] == ["serve"]:
        return serve(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--images", type=int, default=3)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--quiet-s", type=float, default=5.0)
    parser.add_argument("--pace", type=float, default=0.0)
    parser.add_argument("--hours", type=float)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.hours:
            found = fast_hours(Path(folder), hours=options.hours, every_s=300.0, measured=True)
        else:
            found = storm(
                Path(folder),
                studies=options.studies,
                images=options.images,
                kills=options.kills,
                quiet_s=options.quiet_s,
                pace_s=options.pace,
            )
    for name, value in found.items():
        print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
