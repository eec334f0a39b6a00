"""Print every flag that a scan can carry, its meaning and its remedy (the page docs/reference/flags.md)."""

from pathlib import Path

from lungline.qc_flags import flags_page
from lungline.storage.checksums import write_text


def run(output: Path | None = None) -> None:
    """Print the page, or write it to OUTPUT."""
    if output is None:
        print(flags_page(), end="")
    else:
        write_text(output, flags_page())
