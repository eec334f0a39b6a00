"""The DICOM objects that `lungline predict` makes of a folder of images, in a process of its own, which may die."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lungline.errors import LunglineError
from lungline.names import SEG, SR, WHY_NOT
from lungline.pacs.bounded_http import LOGIN_VARIABLES
from lungline.reports.summary import format_answer
from lungline.storage.predictions import read_predictions
from lungline.storage.results import read_result

#: Ends with its parent, also where that began in the time before it said so. Nothing of ours runs between fork and
#: exec: the parent may hold threads.
_CHILD = """
import os, sys
from lungline.readers.sandbox import end_with_parent
end_with_parent()
if os.getppid() != int(sys.argv.pop(1)):
    sys.exit(1)
from lungline.cli import main
sys.exit(main(sys.argv[1:]))
"""


def predict_study(incoming: Path, answers: Path, options: Sequence[str]) -> tuple[str, list[Path]]:
    """Answer the images in a folder: (the answer as text, SEG and SR as far as there are any).

    Parameters
    ----------
    incoming : Path
        Folder of DICOM files.
    answers : Path
        Becomes the folder of results of `lungline predict`.
    options : sequence of str
        Of `lungline predict`.

    Raises
    ------
    LunglineError
        If there is no answer, or one that could not be written as DICOM.
    """
    command = [sys.executable, "-c", _CHILD, str(os.getpid()), "predict", str(incoming), "--out", str(answers)]
    kept = {name: value for name, value in os.environ.items() if name not in LOGIN_VARIABLES}
    done = subprocess.run([*command, *options], capture_output=True, text=True, errors="replace", env=kept)
    if done.returncode not in (0, 1):  # 1: the scan has no answer
        raise LunglineError((done.stderr.strip().splitlines() or [f"predict ended with {done.returncode}"])[-1])
    (row,) = read_predictions(answers / "predictions.csv")
    patient = read_result(answers / "nodules" / f"{row.scan}.json")["patient"]
    answer = format_answer(row, patient.get("supervision", "patients"))
    files = {path.name: path for path in answers.glob(f"private/dicom/{row.scan}/*")}
    made = [files[name] for name in (SEG, SR) if name in files]
    if not made and row.status != "quarantined":
        why = files[WHY_NOT].read_text(encoding="utf-8").strip() if WHY_NOT in files else ""
        raise LunglineError(f"{answer}; no DICOM was written: {why}")
    return answer, made
