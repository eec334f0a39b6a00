"""Write the bundle manifest: settings and models, with which `lungline predict` gives the workflow's predictions."""

from pathlib import Path

from lungline.runner.stage import stage
from lungline.storage.saved_config import read_saved_config
from lungline.workflow.bundle import Bundle, write_bundle
from lungline.workflow.steps import settings_on_the_way


@stage
def run(output: Path, *, config: Path, classifier: str, model: Path, detector: Path | None = None) -> None:
    """Write OUTPUT (JSON): the settings of each step on the way to the answer of CLASSIFIER, and its trained folders.

    CONFIG is the checked configuration that the workflow writes; MODEL and DETECTOR are the folders.
    """
    settings = settings_on_the_way(read_saved_config(config), classifier)
    write_bundle(output, Bundle(classifier, settings, model, detector))
