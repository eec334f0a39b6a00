"""With what an answer is made: versions, processor, weights and settings, so that it can be derived again."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lungline import __version__
from lungline.storage.checksums import sha256
from lungline.workflow.bundle import Bundle

#: Whose versions may change a number.
_LIBRARIES = ("torch", "numpy", "scipy", "SimpleITK", "h5py", "pydicom", "nibabel", "connected-components-3d")


def made_with(recipe: Bundle, code: str, device: str, given: Mapping[str, Path]) -> dict[str, Any]:
    """What an answer depends on besides the scan, ready for JSON; nothing in it names a machine or a person."""
    return {
        "lungline": __version__,
        "code": code,
        "classifier": recipe.classifier,
        "settings": {step: dict(options) for step, options in recipe.settings.items()},
        "weights": {f"{path.parent.name}/{path.name}": sha256(path) for path in recipe.weights},
        "given": {name: sha256(path) for name, path in sorted(given.items())},
        "processor": _processor(device),
        "threads": os.environ.get("OMP_NUM_THREADS", ""),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
    }


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is not the same, a sentence each; what was not recorded is said, too."""
    found = []
    for name, value in now.items():
        if name not in then:
            found.append(f"{name}: not recorded")
            continue
        before = then[name]
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            for key in sorted({*value, *before}, key=str):
                old, new = before.get(key, "none"), value.get(key, "none")
                if old != new:
                    found.append(f"{name}, {key}: was {_short(old)}, is {_short(new)}")
        elif before != value:
            found.append(f"{name}: was {_short(before)}, is {_short(value)}")
    return found


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _processor(device: str) -> str:
    """The model of the processor that computes: of the GPU where one does."""
    if device != "cpu":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return model or platform.processor() or platform.machine()
