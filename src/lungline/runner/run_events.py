"""What is done when a run of the workflow begins, ends or fails, also where it is a module of another workflow.

Snakemake calls `onstart`, `onsuccess` and `onerror` of the outermost Snakefile alone. Its log tells the same to
everybody who listens, in words that have not changed since version 8: decision 20.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lungline.errors import LunglineError
from lungline.reports.summary import summarise
from lungline.runner.locks import hold, trouble_with

GOES_ON = "Mend the cause above, then run the same command again: it goes on."
_ATTENDED: dict[Path, "RunEvents"] = {}


class RunEvents(logging.Handler):
    """Holds the right to write into the results from the first job on, and says at the end what came of it."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.begin: Callable[[], object] = lambda: None
        self.held: object = None
        self.failed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Hear what Snakemake 9 logs."""
        self.hear(record.__dict__)

    def hear(self, told: dict[str, Any]) -> None:
        """Hear an event: `event` of Snakemake 9 or `level` of Snakemake 8."""
        event = told.get("event", told.get("level"))
        event = getattr(event, "value", event)
        if event == "run_info" and self.held is None:
            self.held = self.begin()
        elif self.held is None:
            return
        elif event == "progress" and told["done"] == told["total"]:
            print(summarise(self.folder))
        elif event == "job_error" and not self.failed:
            self.failed = True
            print(trouble_with(self.folder) or GOES_ON)


def attend(
    logger: Any, folder: Path, begin: Callable[[], object], complain: type[Exception], asks: Callable[[], bool]
) -> None:
    """Take the lock of a folder of results when jobs begin, and call `begin` then.

    Parameters
    ----------
    logger : Snakemake's
        Of the standard library in version 9; in version 8 an object with a list of functions, `log_handler`.
    folder : Path
        Of the results. Rules that are used one by one from a module read its Snakefile each time: it is held once.
    begin : function
        What else is to be done before the first job.
    complain : type of exception
        What is raised where another run holds the folder: the kind that Snakemake prints in one line.
    asks : function
        Whether this is a dry run, which holds nothing; Snakemake knows it after the Snakefile is read.
    """
    known = _ATTENDED.get(folder.absolute())
    events = known or _ATTENDED.setdefault(folder.absolute(), RunEvents(folder))

    def start() -> object:
        if asks():
            return None
        try:
            held = hold(folder)
        except LunglineError as error:
            raise complain(str(error)) from None
        begin()
        return held

    events.begin = start
    if known is None:
        logger.addHandler(events) if isinstance(logger, logging.Logger) else logger.log_handler.append(events.hear)
