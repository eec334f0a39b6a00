"""How memory is handed out and taken back in a process that is ours."""

import ctypes
import gc

# malloc.h of glibc
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 1 << 25  # glibc takes no larger one
_KEPT_BYTES = 1 << 30


def keep_freed_memory() -> None:
    """Let this process keep up to 1 GiB of freed memory for its next arrays.

    Left alone, glibc gives arrays of more than some hundred kB back to the system when they are freed, and each new one
    is filled with zeros page by page: a fifth of the CPU time of a U-Net in one thread. Nothing happens with another C
    library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def collect_seldom() -> None:
    """Let Python look for reference cycles every 50,000 new objects instead of every 700.

    Importing PyTorch and highdicom makes a million objects that stay: looking at them again and again took a fifth of
    the time of the imports. Arrays are freed at once as before, since they stand in no cycles.
    """
    gc.set_threshold(50_000, 20, 20)
