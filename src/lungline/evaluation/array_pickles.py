"""Pickles of arrays, numbers and text, read without NumPy's own functions: a pickle chooses what they are called with.

It could ask `_codecs.encode` to double a text forty times, or give a dtype a state in which NumPy takes numbers for
pointers. So stand-ins of a few lines take the same words, an array is as large as its bytes in the file, and the steps
of the pickle are counted before one is done.
"""

import pickle
import pickletools
import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lungline import limits
from lungline.errors import LunglineError
from lungline.storage.checksums import check
from lungline.storage.foreign_files import refuse_larger

_MOST_BYTES = limits.MAX_PICKLE_BYTES
_NUMBERS = re.compile("[biuf][1248]")


class _Dtype:
    """A dtype of numbers: what it is called with and its state give its name."""

    def __init__(self, name: str, *_: object) -> None:
        if not _NUMBERS.fullmatch(name):
            raise pickle.UnpicklingError("arrays of something else than numbers")
        self.name = name

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.name = {"<": "<", ">": ">", "|": "|"}[state[1]] + self.name[-2:]


class _Array:
    """An array as NumPy writes it: (version, shape, dtype, whether in Fortran's order, bytes)."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, is_fortran, content = state
        self.array = np.frombuffer(content, dtype.name).reshape(shape, order="F" if is_fortran else "C")


def _scalar(dtype: _Dtype, content: bytes) -> object:
    return np.frombuffer(content, dtype.name)[0].item()


def _encode(text: str, encoding: str) -> bytes:
    return text.encode({"latin1": "latin1"}[encoding])


_STAND_INS = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): lambda: b"",  # of an empty array
    **{(f"numpy.{core}.multiarray", "_reconstruct"): lambda *_: _Array() for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
}


class _ArraysOnly(pickle.Unpickler):
    """Whatever else a pickle asks for is refused, not called."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _STAND_INS:
            return _STAND_INS[module, name]
        raise pickle.UnpicklingError("asks for more than arrays")


def read_arrays(path: Path) -> dict[str, Any]:
    """The values of a pickled dict: arrays (n, ...) of numbers, tuples of at most 16 numbers, single values.

    Raises
    ------
    LunglineError
        If the file is larger than 64 MiB, or asks for anything else.
    """
    refuse_larger(path, _MOST_BYTES)
    check(path)
    try:
        with open(path, "rb") as file:
            _refuse_many_steps(file)
            file.seek(0)
            return {str(name): _plain(value) for name, value in dict(_ArraysOnly(file).load()).items()}
    except Exception as error:  # a pickle may fail in any way
        raise LunglineError(
            f"{path}: expected a pickle of arrays, numbers and text alone. It is refused ({type(error).__name__})."
        ) from None


def _refuse_many_steps(file: BinaryIO) -> None:
    """Look at a pickle before it is obeyed: its table of values is as long as the largest number that it names one by.

    Five bytes ask for 64 GiB so; and empty lists take sixty times the memory of their one byte.
    """
    for count, (step, named, _) in enumerate(pickletools.genops(file)):
        if count > limits.MAX_PICKLE_STEPS or ("PUT" in step.name and int(named or 0) > limits.MAX_PICKLE_STEPS):
            raise ValueError("more steps than arrays need")


def _plain(value: object) -> NDArray | tuple[float, ...] | object:
    """A list in which one part stands many times would become an array without end: only flat, short ones are taken."""
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, list | tuple):
        if len(value) > 16:
            raise ValueError("a list of more than 16")
        return tuple(float(one) for one in value)
    return value
