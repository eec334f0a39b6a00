"""The steps of envs/Dockerfile in a clean Debian, where no builder of images can be had.

`python -m tests.conformance.clean_image`: as root, with debootstrap and unshare, in a new folder that is removed.

Debian with its own Python 3.11 takes the place of the image that the Dockerfile begins from. Its COPY, ENV, RUN and
WORKDIR lines are done in their order; another instruction is an error. Then, as user 1000, with no network but
loopback and without HOME, `lungline predict` answers a synthetic scan and Snakemake plans the micro workflow of a
copy of the clone. pip takes its packages from where it takes them here: its settings, and the folders that they
name, are shown inside, read-only.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from lungline.synthetic.cohort import plan_scan
from lungline.synthetic.phantom import simulate_scan_hu
from lungline.synthetic.writers import write_dicom_series
from tests.repository import REPOSITORY

BASE = "python3,python3-venv,ca-certificates"  # what the image that the Dockerfile begins from holds
USER = 1000
KNOWN = ("FROM", "RUN", "COPY", "ENV", "WORKDIR")


@dataclass
class Image:
    """A root file system, and what the instructions so far have set."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    #: Folders and files of this machine that are seen inside at the same place, read-only.
    shown: tuple[Path, ...] = ()

    def run(self, command: str, *, network: bool = True, user: int = 0) -> str:
        """What a command of the shell prints; it must end well."""
        shows = [f"mount --rbind -o ro {shlex.quote(str(path))} {self.root}{path}" for path in self.shown]
        shows += [f"mount -t proc proc {self.root}/proc", f"mount --rbind /dev {self.root}/dev"]
        enter = ["chroot", f"--userspec={user}:{user}", str(self.root), "/bin/sh", "-c"]
        script = "\n".join(["set -e", *shows, f"exec {shlex.join([*enter, f'cd {self.folder} && {command}'])}"])
        apart = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", *([] if network else ["--net"])]
        changed = {"PATH": "/opt/python/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **self.environment}
        done = subprocess.run(
            [*apart, "sh", "-c", script],
            env=changed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{command}: exit code {done.returncode}\n{done.stdout[-4000:]}")
        return done.stdout


def instructions(text: str) -> list[tuple[str, str]]:
    """(instruction, its words) of every line of a Dockerfile that is no comment; a continued line is one."""
    lines = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#"))).splitlines()
    pairs = [(line.partition(" ")[0].upper(), line.partition(" ")[2].strip()) for line in lines if line.strip()]
    if unknown := {name for name, _ in pairs} - set(KNOWN):
        raise ValueError(f"no way here to do {', '.join(sorted(unknown))}; known are {', '.join(KNOWN)}")
    return pairs


def follow(image: Image, name: str, words: str, source: Path) -> None:
    """Do one instruction."""
    if name == "WORKDIR":
        image.folder = words
        (image.root / words.lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif name == "ENV":
        image.environment |= dict(pair.split("=", 1) for pair in shlex.split(words))
    elif name == "RUN":
        image.run(words)
    elif name == "COPY":
        *names, target = words.split()
        place = image.root / image.folder.lstrip("/") / target
        for path in (source / other for other in names):
            if path.is_dir():
                shutil.copytree(path, place, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
            else:
                shutil.copy(path, place)


def settings_of_pip() -> tuple[dict[str, str], tuple[Path, ...]]:
    """pip's settings as variables, and the files and folders of this machine that they name."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    found: dict[str, str] = {}
    for section, name, value in re.findall(r"^(\S+?)\.([\w-]+)='(.*)'$", listed.stdout, re.MULTILINE):
        if section in ("global", "install", ":env:"):
            found["PIP_" + name.upper().replace("-", "_")] = value.replace("\\n", " ")
    words = [word for value in found.values() for word in value.split()]
    places = {Path(word) for word in words if word.startswith("/")}
    # a local index keeps its files beside it
    places |= {Path(word.removeprefix("file://")).parent for word in words if word.startswith("file:///")}
    return found, tuple(sorted(path for path in places if path.exists()))


def begin(folder: Path, suite: str) -> Image:
    """Debian in `folder`, with an environment of Python that pip may write to."""
    where = "http://deb.debian.org/debian"
    command = ["debootstrap", "--variant=minbase", f"--include={BASE}", suite, str(folder), where]
    apart = ["unshare", "--mount", "--propagation", "private"]  # what it mounts is gone with it
    subprocess.run([*apart, *command], check=True, stdout=subprocess.DEVNULL)
    variables, places = settings_of_pip()
    (folder / "opt/python").mkdir(parents=True)
    for path in places:
        target = folder / str(path).lstrip("/")
        target.mkdir(parents=True, exist_ok=True) if path.is_dir() else target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            target.touch()
    for name in ("etc/resolv.conf", "etc/hosts"):
        shutil.copy(f"/{name}", folder / name)
    image = Image(folder, variables, shown=places)
    image.run("python3 -m venv /opt/python")
    return image


def answer(image: Image) -> list[str]:
    """What the finished image says of a scan, and of the workflow."""
    own = image.root / "scans"
    own.mkdir(parents=True)
    write_dicom_series(own / "scan", simulate_scan_hu(plan_scan("luna16", 3, 1, 0.3)), patient="one")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for name in filter(None, tracked.stdout.split("\0")):
        (image.root / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, image.root / "clone" / name)
    subprocess.run(["chown", "-R", f"{USER}:{USER}", own, image.root / "clone"], check=True)
    environment, image.environment = image.environment, {}
    image.folder = "/scans"
    said = image.run("lungline predict scan", network=False, user=USER)  # the code that was installed
    if "1 of 1 scans have an answer" not in said:
        raise SystemExit(f"lungline predict: {said}")
    image.environment = {name: value for name, value in environment.items() if not name.startswith("PIP_")}
    image.environment["HOME"] = "/tmp"  # as in the command at the top of the Dockerfile
    image.folder = "/clone"
    words = "snakemake --cores 1 --dry-run --quiet host --configfile config/micro.yaml"
    plan = image.run(words, network=False, user=USER)  # the code of the clone
    if "train_classifier" not in plan:
        raise SystemExit(f"snakemake: {plan}")
    return [*(line for line in said.splitlines() if "have an answer" in line), "the micro workflow is planned"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.clean_image", description=__doc__)
    parser.add_argument("--suite", default="bookworm", help="of Debian: one whose Python is the image's (bookworm)")
    parser.add_argument("--scratch", type=Path, help="where the file system is made, 4 GB ($TMPDIR)")
    words = parser.parse_args()
    missing = [name for name in ("debootstrap", "unshare", "chroot") if shutil.which(name) is None]
    if missing or os.getuid():
        print(f"clean image: not run, it needs root{''.join(f' and {name}' for name in missing)}")
        return 1
    with tempfile.TemporaryDirectory(dir=words.scratch, prefix="clean-image-") as scratch:
        began = time.monotonic()
        image = begin(Path(scratch) / "root", words.suite)
        base_s = time.monotonic() - began
        for name, rest in instructions((REPOSITORY / "envs/Dockerfile").read_text(encoding="utf-8")):
            if name != "FROM":
                print(f"{name} {rest}", flush=True)
                follow(image, name, rest, REPOSITORY)
        built_s = time.monotonic() - began
        size = subprocess.run(["du", "-sx", "--block-size=1M", image.root], capture_output=True, text=True, check=True)
        print(f"base {base_s / 60:.1f} min, all {built_s / 60:.1f} min, {size.stdout.split()[0]} MiB", flush=True)
        for line in answer(image):
            print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
