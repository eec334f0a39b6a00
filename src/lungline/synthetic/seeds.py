"""Random streams and identifiers that depend on words only, never on order or on the clock."""

import hashlib

import numpy as np

#: The root under which pydicom's users may make UIDs of their own.
UID_ROOT = "1.2.826.0.1.3680043.8.498."


def _digest(*parts: object) -> bytes:
    return hashlib.sha256("/".join(map(str, parts)).encode("utf-8")).digest()


def random_stream(*parts: object) -> np.random.Generator:
    """A generator of its own for these words: other words never change what it draws."""
    return np.random.Generator(np.random.PCG64(int.from_bytes(_digest(*parts), "big")))


def uid(*parts: object) -> str:
    """A DICOM UID (at most 64 characters) made of these words."""
    return UID_ROOT + str(int.from_bytes(_digest("uid", *parts)[:15], "big"))


def hex_name(*parts: object) -> str:
    """32 hexadecimal digits made of these words, in the style of DSB-17."""
    return _digest("hex", *parts).hex()[:32]
