"""Looking into files without the libraries that made them."""

import json
from pathlib import Path
from typing import Any

from lungline.errors import CorruptFileError

_LARGEST_HEADER = 1 << 20  # bytes; the names and shapes of some 60 tensors take 6 kB


def safetensors_header(path: Path) -> tuple[dict[str, tuple[str, list[int]]], dict[str, Any]]:
    """Type and shape of each tensor of a safetensors file, and our JSON header; no tensor is read."""
    with open(path, "rb") as handle:
        size = int.from_bytes(handle.read(8), "little")
        text = handle.read(size) if size <= _LARGEST_HEADER else b""
    try:
        content = json.loads(text)
        about = json.loads(content.pop("__metadata__", {}).get("lungline", "{}"))
        return {name: (entry["dtype"], entry["shape"]) for name, entry in content.items()}, about
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptFileError(f"{path}: not a safetensors file ({type(error).__name__}). Train again.") from None
