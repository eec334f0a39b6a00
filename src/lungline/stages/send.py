"""Send DICOM files, such as SEG and SR of `predict`, to an archive by DICOMweb or to a node by C-STORE."""

import re
from pathlib import Path

from lungline.errors import LunglineError
from lungline.names import SEG, SR
from lungline.pacs.dicom_web import DicomWeb
from lungline.pacs.outbox import Node, c_store
from lungline.pacs.part10 import identify


def run(target: str, files: list[Path], *, ae_title: str = "LUNGLINE") -> int:
    """Send FILES to TARGET: the URL of DICOMweb services (http://HOST:8042/dicom-web), or a node AE@host:port.

    Of a folder every seg.dcm and sr.dcm in it is sent: those of `predict --out OUT` lie below OUT/private/dicom. Each
    file is stored once more where it is already, or left as it is, as the archive likes. One line says what came of
    each; the exit code is 1 if one was refused.

    Login of DICOMweb: LUNGLINE_PACS_USER and LUNGLINE_PACS_PASSWORD or LUNGLINE_PACS_TOKEN of the environment, or
    ~/.netrc; never in the URL. A server with https is checked by the certificates of the system (SSL_CERT_FILE names
    others). A node hears AE_TITLE.
    """
    found = [path for file in files for path in (_in(file) if file.is_dir() else [file])]
    if not found:
        raise LunglineError(f"{', '.join(map(str, files))}: no {SEG} or {SR} there. Name files, or OUT of `predict`.")
    for path in found:
        _check(path)
    if re.match(r"[^/@]+@[^/@]+\Z", target):
        return _by_c_store(Node.parse(target), found, ae_title)
    archive, worst = DicomWeb(target), 0
    for path in found:
        try:
            archive.store(path)
            print(f"{path}: stored")
        except LunglineError as error:
            print(f"{path}: FAILED: {error}")
            worst = 1
    return worst


def _by_c_store(node: Node, files: list[Path], ae_title: str) -> int:
    stati: dict[Path, int | None] = {}
    c_store(node, ae_title, files, stati.__setitem__)
    for path in files:
        status = stati.get(path)
        good = status is not None and (status == 0 or 0xB000 <= status < 0xC000)
        told = "no answer" if status is None else f"status 0x{status:04X}"
        print(f"{path}: stored" if good else f"{path}: FAILED: {node} refuses it ({told}).")
        stati[path] = 0 if good else 1
    return int(any(stati.values()))


def _in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.dcm") if path.name in (SEG, SR))


def _check(path: Path) -> None:
    try:
        identify(path.read_bytes())
    except OSError as error:
        raise LunglineError(f"{path}: it cannot be read ({error.strerror}). Name a DICOM file.") from None
    except LunglineError as fault:
        raise LunglineError(f"{path}: {fault}") from None
