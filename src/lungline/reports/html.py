"""HTML pages from the templates in the folder `page`; each file is self-contained."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungline import NOTICE, __version__
from lungline.qc_flags import format_flag

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER = Path(__file__).parent / "page"


def render(template: str, **content: Any) -> str:
    """The template `page/TEMPLATE` filled with `content`, whose words are escaped."""
    return _environment().get_template(template).render(content)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # here, since a look digest needs none of it

    pages = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        optimized=False,  # most commands fill one page only
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.policies["json.dumps_kwargs"] = {"allow_nan": False}
    pages.filters.update(percent=percent, cubic=cubic)
    pages.globals.update(notice=NOTICE, version=__version__, asset=_asset, format_flag=format_flag)
    return pages


def _asset(name: str) -> str:
    """A style sheet or script of the folder `page`, as text."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def style_digest() -> str:
    """Changes when templates, style or scripts of the pages change, which no fingerprint of code sees."""
    files = sorted(_FOLDER.iterdir())
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:16]


def percent(probability: float) -> str:
    """A number 0..1 in whole percent; never 0 % or 100 % where it is neither."""
    if 0 < probability < 0.01:
        return "below 1 %"
    if 0.99 < probability < 1:
        return "above 99 %"
    return f"{100 * probability:.0f} %"


def cubic(volume_mm3: float) -> str:
    """A volume in whole mm3, its thousands apart."""
    return f"{volume_mm3:,.0f}".replace(",", " ")
