"""Derive the answers of `lungline predict` again, compare their bytes, and say what differs and why it may."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lungline.errors import LunglineError, Quarantine
from lungline.fingerprint import code_fingerprint
from lungline.names import Device
from lungline.privacy.scan_list import list_plain_folder
from lungline.progress import status_line
from lungline.readers.listing import Listed, list_folder
from lungline.readers.scan import hash_of_files, raw_files
from lungline.readers.zips import unpacked
from lungline.runner.made_with import differences, made_with
from lungline.stages.predict import answer_scan
from lungline.storage.checksums import read_checksum, sha256
from lungline.storage.foreign_files import read_json
from lungline.storage.predictions import read_answers
from lungline.workflow.bundle import PACKAGED, Bundle, check_networks, read_bundle
from lungline.workflow.steps import steps_of_scan

#: What is compared, where it is there: tables, JSON, label maps.
_FILES = (
    "answers/{}.csv",
    "nodules/{}.json",
    "nodules/{}.csv",
    "candidates/{}.csv",
    "candidates/{}.h5",
    "points/{}.csv",
)
_MOST_REASONS = 12


def run(
    predictions: Path,
    scans: Path,
    *,
    bundle: Path = PACKAGED,
    device: Device = "auto",
    lungs: Path | None = None,
    lobes: Path | None = None,
    points: Path | None = None,
) -> int:
    """Answer each scan of PREDICTIONS (OUT of `lungline predict`) again from SCANS and compare bytes; 1 if any differ.

    Settings are those recorded in PREDICTIONS/answers/{scan}.json, models those of BUNDLE; name the one that was used.
    LUNGS, LOBES and POINTS are the files that were given then. Compared are tables, JSON and label maps: answers,
    nodules, candidates, masks and points; pages and DICOM, which hold dates, are not. Nothing is written.

    A scan is found in SCANS by the bytes of its files, wherever it lies, or at its old place by its pseudonym. Of each
    one it is told which files differ and what may be why: input, weights, settings, code, version of lungline and of
    libraries, processor, threads. What an older lungline did not record is said. Where all of that is the same, files
    that differ were changed since: `lungline verify` says so.
    """
    folder = predictions / "answers"
    if not folder.is_dir() or not any(folder.glob("*.csv")):
        raise LunglineError(f"{predictions}: expected OUT of `lungline predict`, with answers/. There is none.")
    recipe, given = read_bundle(bundle), {"lungs": lungs, "lobes": lobes, "points": points}
    named = {name: path for name, path in given.items() if path is not None}
    if gone := [name for name, path in named.items() if not path.is_file()]:
        raise LunglineError(f"--{gone[0]}: {named[gone[0]]}: expected a file. There is none; check its name.")
    listed = _Listed(predictions, scans)
    answers = sorted(path.stem for path in folder.glob("*.csv"))
    check_networks(recipe)
    same = 0
    for number, scan in enumerate(answers, start=1):
        show = status_line(f"[{number}/{len(answers)}] {scan}: ")
        try:
            found, why = _compare(predictions, scan, listed, recipe, device, named, show)
        except LunglineError as error:
            found, why = [f"cannot be derived again: {error}"], []
        show("the same bytes" if not found else "differs", last=True)
        same += not found
        print(f"{scan}: {'the same' if not found else 'differs'}")
        for line in [*(f"  {one}" for one in found), *(f"  {'may be why' if found else 'although'}: {w}" for w in why)]:
            print(line)
    print(f"{same} of {len(answers)} answers are the same to the byte")
    return int(same < len(answers))


class _Listed:
    """The scans of a folder, by what their files hold and by their pseudonyms."""

    def __init__(self, predictions: Path, scans: Path) -> None:
        if not scans.exists():
            raise LunglineError(f"{scans}: no such file or folder. Name the scans that were answered.")
        own = (predictions / "private").is_dir()
        whole = list_plain_folder(scans, predictions, None) if own else list_folder(scans.absolute(), b"", None)
        self._by_name = {one.row.scan: one for one in whole.scans} if own else {}
        self._by_hash = {digest: one for one in whole.scans if (digest := _hash_of(one))}

    def find(self, scan: str, digest: str) -> Listed:
        one = self._by_hash.get(digest) or self._by_name.get(scan)
        if one is None:
            raise LunglineError("none of the scans has the files that were answered. Name their folder.")
        return one


def _hash_of(one: Listed) -> str:
    """Of the files of a scan, as `predict` records it; "" where they cannot be read."""
    try:
        with unpacked(one.path, one.row.source) as files:
            return hash_of_files(raw_files(files, one.row.source))
    except (OSError, Quarantine):
        return ""


def _compare(
    predictions: Path,
    scan: str,
    listed: _Listed,
    recipe: Bundle,
    device: Device,
    given: Mapping[str, Path],
    show: Any,
) -> tuple[list[str], list[str]]:
    """What differs of a scan, and what may be why."""
    then = read_answers(predictions / "answers" / f"{scan}.csv")[scan]
    note = predictions / "answers" / f"{scan}.json"
    recorded: Mapping[str, Any] = (read_json(note) if note.is_file() else {}).get("made_with") or {}
    settings = recorded.get("settings")
    if isinstance(settings, Mapping):
        recipe = replace(recipe, settings=settings)
    if "score_points" in recipe.settings and "points" not in given:
        raise LunglineError("it was given points of a table. Name that table: --points.")
    item = listed.find(scan, then["input_sha256"])
    stages = ("predict", *(step.name for step in steps_of_scan(recipe.settings)))
    code = " ".join(code_fingerprint(f"lungline.stages.{stage}") for stage in stages)
    now = made_with(recipe, code, device, given)
    masks = (predictions / "masks" / scan).is_dir()
    with tempfile.TemporaryDirectory(prefix="lungline-") as work:
        answer_scan(
            replace(item.row, scan=scan),
            item.path,
            out=Path(work),
            recipe=recipe,
            device=device,
            keep=False,
            pages=False,
            dicom=False,
            masks=masks,
            given=given,
            show=show,
        )
        found = list(_different(predictions, Path(work), scan))
        digest = read_answers(Path(work) / "answers" / f"{scan}.csv")[scan]["input_sha256"]
    why = differences(recorded, now)
    if digest != then["input_sha256"]:
        why.insert(0, f"input: the files were {then['input_sha256'][:12]}, are {digest[:12]}")
    if len(why) > _MOST_REASONS:
        why = [*why[:_MOST_REASONS], f"and {len(why) - _MOST_REASONS} more"]
    return found, why or (["nothing that is recorded; was a file changed since?"] if found else [])


def _different(predictions: Path, work: Path, scan: str) -> list[str]:
    """The files of a scan that are not the same in both folders."""
    names = [name.format(scan) for name in _FILES]
    names += sorted(f"masks/{scan}/{path.name}" for path in (predictions / "masks" / scan).glob("[!.]*"))
    found = []
    for name in names:
        old, new = predictions / name, work / name
        if old.is_file() != new.is_file():
            found.append(f"{name}: was {'there' if old.is_file() else 'missing'}, now is not")
        elif old.is_file() and sha256(old) != sha256(new):
            checksum = read_checksum(old)
            changed = checksum is not None and checksum.sha256 != sha256(old)
            found.append(f"{name}: {_where(old, new)}{'; changed since it was written' if changed else ''}")
    return found


def _where(old: Path, new: Path) -> str:
    """What of two files differs, as far as a line can say."""
    if old.suffix == ".json":
        then, now = read_json(old), read_json(new)
        keys = [key for key in sorted({*then, *now}) if then.get(key) != now.get(key)]
        return f"differs in {', '.join(keys)}" if keys else "differs in layout"
    if old.suffix == ".csv":
        lines = [path.read_text(encoding="utf-8", errors="replace").splitlines() for path in (old, new)]
        return f"{_unlike(*lines)} of {max(map(len, lines))} lines differ"
    return f"{old.stat().st_size} bytes differ from {new.stat().st_size}"


def _unlike(old: Sequence[str], new: Sequence[str]) -> int:
    return sum(a != b for a, b in zip(old, new, strict=False)) + abs(len(old) - len(new))
