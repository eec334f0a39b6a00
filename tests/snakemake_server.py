"""Snakemake without starting it anew: a process that has imported it forks for every command line that it reads.

Called as a script. What a command imports of this repository it imports itself, from its own PYTHONPATH.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from functools import cache
from pathlib import Path


@cache
def server() -> subprocess.Popen[str]:
    """The process that forks, started at its first use."""
    started = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(started.communicate)
    return started


def run_snakemake(words: Sequence[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`python -m snakemake WORDS` in a folder; stdout and stderr together."""
    reading, writing = server().stdout, server().stdin
    assert reading
    assert writing
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as output:
        print(json.dumps([words, str(folder), environment, output.name]), file=writing, flush=True)
        code = int(reading.readline())
        return subprocess.CompletedProcess(["snakemake", *words], code, output.read())


def serve() -> None:
    """Fork for every line of the standard input, and say how the child ended."""
    # the last three take the Snakefile most of its time to import
    import h5py  # noqa: F401
    import pydantic  # noqa: F401
    import pydicom  # noqa: F401
    import snakemake.cli  # noqa: F401

    assert not [name for name in sys.modules if name.partition(".")[0] in ("lungline", "tests")]
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(answer(*json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def answer(words: list[str], folder: str, environment: dict[str, str], output: str) -> int:
    """What `python -m snakemake` does after its imports."""
    from snakemake import cli

    with open(output, "wb") as out, open(os.devnull, "rb") as nothing:
        for mine, standard in ((nothing, 0), (out, 1), (out, 2)):
            os.dup2(mine.fileno(), standard)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:1] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = ["snakemake", *words]
    code = 1
    try:
        cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    serve()
