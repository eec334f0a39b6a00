"""Predict for every CT study that arrives in an archive, and store segmentation and report beside it."""

import functools
from pathlib import Path

from lungline import NOTICE
from lungline.errors import LunglineError
from lungline.pacs.answering import Answerer, log, prepare
from lungline.pacs.dicom_web import DicomWeb
from lungline.pacs.orthanc import Orthanc
from lungline.pacs.predicted_objects import predict_study
from lungline.runner.locks import hold


def run(
    url: str | None = None,
    *,
    dicomweb: str | None = None,
    out: Path = Path("listening"),
    bundle: Path | None = None,
    device: str = "auto",
    send_to: str | None = None,
    every_s: float = 5.0,
    settle_s: float = 60.0,
    once: bool = False,
) -> int:
    """Poll the Orthanc at URL, or any archive at --dicomweb URL, for CT studies without an answer; `predict` answers.

    SEG and SR are stored in the same study, and sent on to the DICOM node SEND_TO, a name of Orthanc's configuration.
    OUT/{study}/ holds what `predict` writes of a study; its images are deleted again. OUT/private/journal.json knows
    which study is which and what came of it. What failed is tried again at the next start. One line on stdout says
    what came of each study. A study is looked at when Orthanc calls it stable and, for SETTLE_S seconds of our own
    clock, nothing has come to it: after a restart Orthanc calls a study stable of which half is on its way. ONCE ends
    when nothing is left to do, with 1 if something failed.

    DICOMWEB is the address of an archive's DICOMweb services, as http://HOST:8042/dicom-web: QIDO-RS finds studies
    with CT (all of them, each EVERY_S seconds; none by name), WADO-RS fetches, STOW-RS stores. An image that was
    replaced under its SOPInstanceUID is not noticed there, and nothing is sent on.

    Login: LUNGLINE_PACS_USER and LUNGLINE_PACS_PASSWORD or LUNGLINE_PACS_TOKEN of the environment, or ~/.netrc; never
    in the URL. The certificate of an https server is checked by those of the system (SSL_CERT_FILE names others).
    BUNDLE and DEVICE are those of `predict`.
    """
    source = _source(url, dicomweb, send_to)
    options = ["--device", device, *(["--bundle", str(bundle)] if bundle else [])]
    predict = functools.partial(predict_study, options=options)
    with hold(out):
        journal = prepare(out)
        source.last_change()  # a wrong URL is said at once
        log(f"listening to {source.url}; Ctrl-C ends it. {NOTICE}")
        try:
            return Answerer(source, out, predict, send_to, settle_s, journal).listen(every_s, once=once)
        except KeyboardInterrupt:
            return 0


def _source(url: str | None, dicomweb: str | None, send_to: str | None) -> Orthanc | DicomWeb:
    if (url is None) == (dicomweb is None):
        raise LunglineError("expected one archive: the URL of an Orthanc, or --dicomweb URL of any.")
    if dicomweb is None:
        return Orthanc(url or "")
    if send_to is not None:
        raise LunglineError("--send-to: DICOMweb sends nothing on. Leave it out, or name the URL of an Orthanc.")
    return DicomWeb(dicomweb)
