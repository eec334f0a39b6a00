"""Receive CT studies from scanners by DICOM (C-STORE), predict for each, and send segmentation and report to nodes."""

import functools
import re
import time
from collections.abc import Callable
from pathlib import Path

from lungline import NOTICE
from lungline.errors import LunglineError
from lungline.pacs.answering import Answerer, Predict, log, prepare
from lungline.pacs.bounded_http import is_loopback
from lungline.pacs.inbox import Inbox, Limits
from lungline.pacs.outbox import Node, Outbox
from lungline.pacs.predicted_objects import predict_study
from lungline.pacs.store_scp import Callers, StoreScp, networks_of
from lungline.runner.locks import hold

_GB = 1_000_000_000


def run(
    *,
    ae_title: str = "LUNGLINE",
    port: int = 11112,
    host: str = "127.0.0.1",
    out: Path = Path("receiving"),
    send_to: tuple[str, ...] = (),
    callers: tuple[str, ...] = (),
    addresses: tuple[str, ...] = (),
    quiet_seconds: float = 60.0,
    max_object_gb: float = 1.0,
    max_object_seconds: float = 600.0,
    max_study_gb: float = 8.0,
    max_study_images: int = 20_000,
    max_queue_gb: float = 50.0,
    max_associations: int = 8,
    bundle: Path | None = None,
    device: str = "auto",
) -> int:
    """Take objects sent to AE_TITLE at HOST:PORT; `lungline predict` answers every CT study that has become quiet.

    A study is quiet when nothing has come to it for QUIET_SECONDS. SEG and SR go by C-STORE to every node of
    --send-to AE@host:port (several words); they wait on disk for one that is away. Without --send-to they lie in
    OUT/{study}/private/dicom alone. OUT/{study}/ holds what `predict` writes; the images are deleted once answered.
    OUT/private/ names patients: the queue (inbox), what waits for nodes (outbox), what a node refused (refused), and
    journal.json, which knows what came of each study. One line on stdout says it, too.

    The sender hears of success when an image is on disk for good: whatever ends the process, the next start goes on.
    The same study again is not answered again; with other or more images it is, if all of them are sent. What failed
    is kept, and tried again at the next start.

    Only this machine may call, unless HOST is another address of it, such as 0.0.0.0; then --addresses (10.1.2.3,
    10.1.2.0/24) and --callers (AE titles) name who may. DICOM as it is here is unencrypted, and AE titles are no
    secret: keep it in a network of your own. An object above MAX_OBJECT_GB, or slower than MAX_OBJECT_SECONDS, ends
    its association. Where a study exceeds MAX_STUDY_GB or MAX_STUDY_IMAGES, the queue MAX_QUEUE_GB, or the disk is
    nearly full, an object is refused with status A700 (out of resources), and its study is not answered before that
    object came. No more than MAX_ASSOCIATIONS at a time. Ctrl-C ends it. BUNDLE and DEVICE are those of `predict`.
    """
    nodes = [Node.parse(word) for word in send_to]
    if not is_loopback(host) and not (callers and addresses):
        raise LunglineError(f"--host {host}: others could send. Name --callers (AE titles) and --addresses as well.")
    for title in (ae_title, *callers):
        if not re.fullmatch(r"[ -\[\]-~]{1,16}", title) or not title.strip():
            raise LunglineError(f"{title!a}: expected an AE title, 1 to 16 ASCII characters without backslash.")
    if not 0 < port < 1 << 16:
        raise LunglineError(f"--port {port}: expected 1 to 65535. Take one that is free, as 11112.")
    positive = {
        "quiet-seconds": quiet_seconds,
        "max-object-gb": max_object_gb,
        "max-object-seconds": max_object_seconds,
        "max-study-gb": max_study_gb,
        "max-study-images": max_study_images,
        "max-queue-gb": max_queue_gb,
        "max-associations": max_associations,
    }
    for name, value in positive.items():
        if not 0 < value < float("inf"):
            raise LunglineError(f"--{name} {value}: expected a number above 0.")
    limits = Limits(int(max_queue_gb * _GB), int(max_study_gb * _GB), max_study_images)
    networks = networks_of(addresses or ("127.0.0.0/8", "::1"))
    allowed = Callers(callers, networks, max_associations, int(max_object_gb * _GB), max_object_seconds)
    options = ["--device", device, *(["--bundle", str(bundle)] if bundle else [])]
    predict = functools.partial(predict_study, options=options)
    return receive(ae_title, host, port, out, nodes, allowed, limits, quiet_seconds, predict)


def receive(
    ae_title: str,
    host: str,
    port: int,
    out: Path,
    nodes: list[Node],
    callers: Callers,
    limits: Limits,
    quiet_s: float,
    predict: Predict,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """As `run`, with checked values and another way to answer."""
    with hold(out):
        journal = prepare(out)
        outbox = Outbox(out / "private", nodes, ae_title, log)
        inbox = Inbox(out / "private", limits, outbox)
        receiver = StoreScp(ae_title, host, port, callers, inbox.receive)
        log(f"{ae_title} receives at {host}:{receiver.port}; Ctrl-C ends it. {NOTICE}")
        outbox.start()
        receiver.start()
        try:
            return Answerer(inbox, out, predict, None, quiet_s, journal, sleep=sleep).listen(min(1.0, quiet_s / 4))
        except KeyboardInterrupt:
            return 0
        finally:
            receiver.close()
