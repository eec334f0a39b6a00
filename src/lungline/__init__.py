"""lungline: lung cancer from chest CT. Research use only. Not a medical device.

`lungline.api` is imported when one of its names is first used, so that a command starts as fast as it can.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lungline.api import (
        Answer,
        Detection,
        FrocResult,
        LunglineError,
        Volume,
        detect,
        froc,
        make_affine,
        predict,
        read_scan,
        resample,
        segment_lungs,
        to_nifti,
    )

__version__ = "0.1.0"

NOTICE = "Research use only. Not a medical device."

__all__ = [
    "NOTICE",
    "Answer",
    "Detection",
    "FrocResult",
    "LunglineError",
    "Volume",
    "__version__",
    "detect",
    "froc",
    "make_affine",
    "predict",
    "read_scan",
    "resample",
    "segment_lungs",
    "to_nifti",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'lungline' has no attribute '{name}'")
    try:
        from lungline import api
    except ModuleNotFoundError as error:
        if error.name != "pandas":
            raise
        from lungline.errors import LunglineError

        raise LunglineError(f"lungline.{name} needs pandas. Install it: pip install pandas") from None
    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
