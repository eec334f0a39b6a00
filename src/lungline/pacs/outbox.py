"""Objects on their way to DICOM nodes: kept on disk until the node has taken them, by C-STORE.

`private/outbox/{node}/{digest}-{kind}.dcm`. A node that is away is asked again; what it refuses for good goes to
`private/refused/{node}/`, and a line says so. A kill between a node's success and ours sends an object again, with the
same SOPInstanceUID and bytes.
"""

import hashlib
import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungline.errors import LunglineError, lack_of_the_disk
from lungline.privacy.permissions import secret_folder, secret_path

_SECONDS = 30.0  # for a node to answer
_MOST_WAIT_S = 300.0
_NODE = re.compile(r"([^@\\\x00-\x1f\x7f-\U0010ffff]{1,16})@(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})")
_LATER = range(0xA700, 0xA800)  # out of resources


@dataclass(frozen=True)
class Node:
    """A DICOM node."""

    ae_title: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Node":
        """Of AE@host:port; `LunglineError` if it is none."""
        found = _NODE.fullmatch(text)
        if not found or not found[1].strip() or not 0 < int(found[3]) < 1 << 16:
            raise LunglineError(f"{text!a}: expected a DICOM node as AE@host:port, e.g. PACS@192.168.1.2:104.")
        return cls(found[1].strip(), found[2].strip("[]"), int(found[3]))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.ae_title}@{host}:{self.port}"

    @property
    def folder(self) -> str:
        """A name for files."""
        return hashlib.sha256(str(self).encode()).hexdigest()[:16]


def c_store(node: Node, ae_title: str, files: Sequence[Path], taken: Callable[[Path, int | None], None]) -> None:
    """Send DICOM files of ours to a node; `taken` hears each file's status, None where there was none.

    Raises
    ------
    LunglineError
        If the node cannot be reached or accepts no association.
    """
    import pydicom
    from pynetdicom import AE

    mute()
    here = AE(ae_title)
    here.acse_timeout = here.dimse_timeout = here.network_timeout = here.connection_timeout = _SECONDS
    datasets = [(path, pydicom.dcmread(path)) for path in files]
    for kind in sorted({dataset.SOPClassUID for _, dataset in datasets}):
        here.add_requested_context(kind, [pydicom.uid.ExplicitVRLittleEndian, pydicom.uid.ImplicitVRLittleEndian])
    association = here.associate(node.host, node.port, ae_title=node.ae_title)
    if not association.is_established:
        why = "does not answer"
        if association.is_rejected:
            why = "refuses the association"
        elif association.rejected_contexts:
            why = "takes no such object"
        raise LunglineError(f"{node} {why}. Start it, or mend its list of callers ({ae_title}).")
    try:
        for path, dataset in datasets:
            try:
                status = association.send_c_store(dataset).get("Status")
            except (ValueError, RuntimeError):  # a class that it does not take; an association that is gone
                status = 0x0122 if association.is_established else None
            taken(path, status)
            if status is None:
                return
    finally:
        if association.is_established:
            association.release()


def mute() -> None:
    """Let pynetdicom log nothing: its words quote what others send."""
    import logging

    from pynetdicom import _config

    _config.LOG_HANDLER_LEVEL = "none"
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)


class Outbox:
    """Sends what `put` was given to every node, from a thread of its own once it is started."""

    def __init__(self, private: Path, nodes: Sequence[Node], ae_title: str, say: Callable[[str], None]) -> None:
        self._private, self._nodes, self._ae_title, self._say = private, nodes, ae_title, say
        self._news = threading.Event()
        self._silent: set[Node] = set()
        for node in nodes:
            for folder in ("outbox", f"outbox/{node.folder}"):
                secret_folder(private / folder)

    def put(self, file: Path) -> None:
        """Keep a copy of an object for every node, for good when this returns."""
        content = file.read_bytes()
        name = f"{hashlib.sha256(content).hexdigest()[:40]}-{file.name}"
        for node in self._nodes:
            folder = self._private / "outbox" / node.folder
            with secret_path(folder / name) as temporary:
                temporary.write_bytes(content)
            handle = os.open(folder, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
        self._news.set()

    def waiting(self) -> int:
        """How many objects have not arrived."""
        return sum(len(self._files(node)) for node in self._nodes)

    def start(self) -> None:
        """Send from now on."""
        threading.Thread(target=self._run, name="outbox", daemon=True).start()

    def _run(self) -> None:
        wait = 1.0
        while True:
            self._news.clear()
            whole = [self.send_once(node) for node in self._nodes]
            wait = 1.0 if all(whole) else min(2 * wait, _MOST_WAIT_S)
            self._news.wait(None if all(whole) else wait)

    def send_once(self, node: Node) -> bool:
        """Try to send all that waits for a node; whether nothing waits any more."""
        if not (files := self._files(node)):
            return True
        try:
            c_store(node, self._ae_title, files[:100], lambda path, status: self._taken(node, path, status))
            self._silent.discard(node)
        except (LunglineError, OSError) as error:
            if node not in self._silent:
                self._say(f"{lack_of_the_disk(error) or error} {len(files)} objects wait for it.")
            self._silent.add(node)
            return False
        return not self._files(node) or (len(files) > 100 and self.send_once(node))

    def _taken(self, node: Node, path: Path, status: int | None) -> None:
        if status is None or status in _LATER:
            return
        if status == 0 or 0xB000 <= status < 0xC000:
            path.unlink()
            return
        kept = self._private / "refused"
        for folder in (kept, kept / node.folder):
            secret_folder(folder)
        path.replace(kept / node.folder / path.name)
        kind = path.name.rpartition("-")[2]
        self._say(f"{node} refuses {kind} with status 0x{status:04X}; it lies in {kept / node.folder}.")

    def _files(self, node: Node) -> list[Path]:
        return sorted((self._private / "outbox" / node.folder).glob("[!.]*.dcm"), key=_age)


def _age(path: Path) -> Any:
    return path.stat().st_mtime_ns
