"""A reader that crashes, loops or eats memory costs its own scan and nothing else."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import psutil
import pytest

from lungline.errors import LunglineError, Quarantine
from lungline.readers import metaimage
from lungline.readers.sandbox import run_in_sandbox
from lungline.stages import ingest
from lungline.storage import hdf5
from scans import chest, write_mhd


def refusal(work, **limits):
    with pytest.raises(Quarantine) as caught:
        run_in_sandbox(work, **limits)
    return caught.value.flag, caught.value.detail


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def segfault():
    ctypes.string_at(0)


def eat_memory():
    return np.ones(1 << 26, dtype=np.uint8).astype(np.int16), None


def eat_memory_outside_python():
    """As a decoder in C does it; a request that fails gives a null pointer, and writing there is the end."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    ctypes.memset(libc.malloc(ctypes.c_size_t(1 << 29)), 1, 1 << 29)


def loop():
    while True:
        pass


def test_an_array_and_words_come_back_as_they_were():
    array = np.arange(-60, 60, dtype=np.int16).reshape(4, 5, 6)[::-1]
    back, about = run_in_sandbox(lambda: (array, {"affine": [0.1 + 0.2, 1e-300], "flags": [["W_TILT", "é"]]}))
    np.testing.assert_array_equal(back, array)
    assert about == {"affine": [0.1 + 0.2, 1e-300], "flags": [["W_TILT", "é"]]}


@pytest.mark.parametrize(
    ("work", "detail"),
    [
        (segfault, "reading ended with SIGSEGV"),
        (os.abort, "reading ended with SIGABRT"),
        (lambda: os._exit(3), "reading ended with exit status 3"),
        (lambda: 1 / 0, "reading ended with ZeroDivisionError"),
        (lambda: (np.zeros(3, np.int16), object()), "reading ended with exit status 0"),
    ],
)
def test_a_reader_that_dies_is_named(work, detail):
    assert refusal(work) == ("Q_DECODER_DIED", detail)


@pytest.mark.parametrize("work", [lambda: time.sleep(60), loop])
def test_a_reader_that_does_not_end_is_ended(work):
    start = time.monotonic()
    assert refusal(work, seconds=0.3) == ("Q_DECODER_TIMEOUT", "reading took more than 0 s")
    assert time.monotonic() - start < 5


def test_a_reader_that_eats_memory_is_stopped():
    """In a process of its own: this one may hold freed memory of other tests, which a child would use first."""
    detail = "reading needs more than 64 MiB of memory"
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        assert fresh.submit(refusal, eat_memory, memory_bytes=1 << 26).result() == ("Q_LIMIT", detail)
        assert fresh.submit(refusal, eat_memory_outside_python, memory_bytes=1 << 26).result()[0] == "Q_DECODER_DIED"
    assert run_in_sandbox(eat_memory)[0].size == 1 << 26


def test_what_the_reader_says_of_a_scan_comes_through():
    def say(error):
        def work():
            raise error

        return work

    assert refusal(say(Quarantine("Q_NO_GEOMETRY", "none"))) == ("Q_NO_GEOMETRY", "none")
    assert refusal(say(PermissionError(13, "no", "Doe"))) == ("Q_UNREADABLE", "PermissionError")
    with pytest.raises(LunglineError, match="what to do"):
        run_in_sandbox(say(LunglineError("what to do")))


@pytest.mark.parametrize("lack", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_for_temporary_files_costs_no_scan(lack):
    def work():
        raise OSError(lack, "no", "Doe")

    with pytest.raises(LunglineError, match=rf"^{os.strerror(lack)} for the temporary files of reading") as caught:
        run_in_sandbox(work)
    assert "Doe" not in str(caught.value)


def test_a_file_that_is_called_like_a_full_disk_costs_its_own_scan():
    def work():
        raise PermissionError(errno.EACCES, "no", f"{os.strerror(errno.ENOSPC)}.dcm")

    assert refusal(work) == ("Q_UNREADABLE", "PermissionError")


def test_a_child_leaves_no_process_no_core_and_no_open_file():
    def work():
        return np.zeros(1, np.int16), resource.getrlimit(resource.RLIMIT_CORE)

    before = sorted(os.listdir("/dev/fd")), children()  # another test's own children may still be there
    assert run_in_sandbox(work)[1] == [0, 0]
    refusal(os.abort)
    assert (sorted(os.listdir("/dev/fd")), children()) == before


def test_nothing_that_a_library_prints_is_seen(capfd):
    def work():
        os.write(1, b"Doe^Jane")
        os.write(2, b"Doe^Jane")
        return np.zeros(1, np.int16), None

    run_in_sandbox(work)
    refusal(segfault)
    assert "".join(capfd.readouterr()) == ""


def test_a_scan_that_kills_its_reader_is_quarantined_and_the_next_one_is_read(tmp_path, monkeypatch):
    raw = write_mhd(tmp_path / "a.mhd", chest())
    with monkeypatch.context() as patch:
        patch.setattr(metaimage, "read_metaimage", lambda path: segfault())
        ingest.run(raw, tmp_path / "bad.h5", source="mhd")
    ingest.run(raw, tmp_path / "good.h5", source="mhd")
    bad, good = hdf5.read_header(tmp_path / "bad.h5"), hdf5.read_header(tmp_path / "good.h5")
    assert [(flag.flag, flag.detail) for flag in bad.flags] == [("Q_DECODER_DIED", "reading ended with SIGSEGV")]
    assert good.status == "ok"
    assert bad.provenance["raw_sha256"] == good.provenance["raw_sha256"]
