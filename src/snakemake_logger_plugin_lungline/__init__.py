"""Snakemake's log with one line per job: `snakemake --logger lungline`, which `./run` calls.

Snakemake finds this package by its name. Without it, each job that goes well is told in seven lines; everything else,
above all a job that fails, is told here as Snakemake tells it.
"""

import sys
from logging import LogRecord

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

NOT_SHOWN = {LogEvent.WORKFLOW_STARTED, LogEvent.JOB_STARTED, LogEvent.JOB_FINISHED}


class LogHandler(LogHandlerBase):
    """Writes how many jobs are done and what begins; Snakemake's own filter (`--quiet`) and format stay in force."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self.done = ""

    def emit(self, record: LogRecord) -> None:
        """Write one record to standard error, or to standard output where Snakemake does (a dry run)."""
        text = self.format(record) if self.common_settings.dryrun else self.in_one_line(record)
        if text and text != "None":
            print(text, file=sys.stdout if self.common_settings.stdout else sys.stderr, flush=True)

    def in_one_line(self, record: LogRecord) -> str:
        """The text of a record; empty for what a reader need not see."""
        told = record.__dict__
        event = told.get("event")
        if event == LogEvent.PROGRESS:
            self.done = f"{told['done']:>{len(str(told['total']))}} of {told['total']} done"
            return f"{self.done}." if told["done"] == told["total"] else ""
        if event == LogEvent.JOB_INFO:
            what = told["rule_msg"] or ("" if told["local"] else told["rule_name"])  # a target rule does nothing
            return "; ".join(filter(None, [self.done, what])) if what else ""
        return "" if event in NOT_SHOWN or record.getMessage().startswith("Select jobs") else self.format(record)
