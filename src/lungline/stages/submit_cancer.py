"""Write the probabilities of the DSB-17 test patients as a submission of the Data Science Bowl 2017."""

from pathlib import Path

from lungline.runner.stage import stage
from lungline.storage.checksums import write_checksummed_text
from lungline.storage.predictions import read_predictions
from lungline.storage.submissions import answers_text


@stage
def run(output: Path, predictions: Path) -> None:
    """Read PREDICTIONS, write OUTPUT (id,cancer).

    A quarantined patient has no answer and is left out; how many there are is printed.
    """
    rows = [row for row in read_predictions(predictions) if row.dataset == "dsb17" and row.split == "test"]
    answers = [(row.scan, row.score) for row in rows if row.score is not None]
    write_checksummed_text(output, answers_text(answers))
    print(f"{len(answers)} patients answered, {len(rows) - len(answers)} without an answer")
