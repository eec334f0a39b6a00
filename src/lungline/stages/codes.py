"""Print every code that a scan can carry, its meaning and its remedy (the page docs/reference/codes.md)."""

from pathlib import Path

from lungline.flags import codes_page
from lungline.storage.checksums import write_text


def run(output: Path | None = None) -> None:
    """Print the page, or write it to OUTPUT."""
    if output is None:
        print(codes_page(), end="")
    else:
        write_text(output, codes_page())
