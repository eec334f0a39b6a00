"""Run a detector of another project on a folder of scans."""

import shlex
import subprocess
from pathlib import Path

from lungline.errors import LunglineError

IN, OUT = "{in}", "{out}"


def words_of(command: str) -> list[str]:
    """The words of a command with the placeholders {in} and {out}; `LunglineError` if it is none."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise LunglineError(f"--detector: quotes that do not match ({error}). Close them.") from None
    missing = [name for name in (IN, OUT) if not any(name in word for word in words)]
    if missing:
        raise LunglineError(
            f"--detector: expected a folder or file of results, or a command with {IN} and {OUT}. There is no such "
            f"file, and no {' and no '.join(missing)} in it."
        )
    return words


def run_detector(words: list[str], scans: Path, out: Path, log: Path) -> None:
    """Run the command without a shell; what it prints goes to LOG. `LunglineError` unless it ends with 0."""
    filled = [word.replace(IN, str(scans.absolute())).replace(OUT, str(out.absolute())) for word in words]
    try:
        with open(log, "wb") as handle:
            code = subprocess.run(
                filled, stdin=subprocess.DEVNULL, stdout=handle, stderr=handle, check=False
            ).returncode
    except OSError as error:
        raise LunglineError(f"--detector: {filled[0]} cannot be started ({error.strerror}). Check its name.") from None
    if code:
        raise LunglineError(f"--detector: the command ended with {code}. What it said stands in {log}.")


def results_in(out: Path) -> Path:
    """Where a detector left its results: the folder, or the only file in it."""
    entries = [path for path in out.iterdir() if not path.name.startswith(".")]
    return entries[0] if len(entries) == 1 and entries[0].is_file() else out
