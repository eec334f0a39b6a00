"""Predict for every CT study that arrives in an Orthanc, and store segmentation and report beside it."""

import hashlib
import json
import secrets
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints, TypeAdapter

from lungline import NOTICE
from lungline.errors import LunglineError, lack_of_the_disk
from lungline.escape import visible
from lungline.pacs.bounded_http import UnreachableError
from lungline.pacs.orthanc import Id, NonsenseError, Orthanc, Study
from lungline.privacy.permissions import secret_folder, write_secret
from lungline.readers.sandbox import end_with_parent
from lungline.reports.summary import format_answer
from lungline.runner.locks import hold
from lungline.stages.write_dicom import SEG, SR, WHY_NOT
from lungline.storage.predictions import read_predictions
from lungline.storage.results import read_result

_CLOCK_S = 1.1  # Orthanc tells arrivals to the second: what comes in the same second looks the same
_TRIES = 3  # of a study about which the server answers nonsense


def run(
    url: str,
    *,
    out: Path = Path("listening"),
    bundle: Path | None = None,
    device: str = "auto",
    send_to: str | None = None,
    every_s: float = 5.0,
    settle_s: float = 60.0,
    once: bool = False,
) -> int:
    """Poll the Orthanc at URL for CT studies without an answer; `lungline predict` answers each.

    SEG and SR are stored in the same study, and sent on to the DICOM node SEND_TO, a name of Orthanc's configuration.
    OUT/{study}/ holds what `predict` writes of a study; its images are deleted again. OUT/private/journal.json knows
    which study is which and what came of it. What failed is tried again at the next start. One line on stdout says
    what came of each study. A study is looked at when Orthanc calls it stable and, for SETTLE_S seconds of our own
    clock, nothing has come to it: after a restart Orthanc calls a study stable of which half is on its way. ONCE ends
    when nothing is left to do, with 1 if something failed.

    User and password of Orthanc are looked up in ~/.netrc. BUNDLE and DEVICE are those of `predict`.
    """
    server = Orthanc(url)
    options = ["--device", device, *(["--bundle", str(bundle)] if bundle else [])]
    with hold(out):
        secret_folder(out / "private")
        shutil.rmtree(out / "private" / "incoming", ignore_errors=True)  # of a run that was killed
        server.last_change()  # a wrong URL is said at once
        _log(f"listening to {server.url}; Ctrl-C ends it. {NOTICE}")
        try:
            return _Listener(server, out, options, send_to, settle_s, _read(out)).listen(every_s, once=once)
        except KeyboardInterrupt:
            return 0


@dataclass(frozen=True)
class Entry:
    """State of a study whose results are in OUT/`name`; `content` is SHA-256 over its CT images, ids and bytes."""

    name: Annotated[str, StringConstraints(pattern=r"^study-[0-9a-f]{1,32}$")]  # it becomes that of folders
    updated: str = ""  # when something had arrived last
    content: str = ""
    outcome: str = ""
    failed: bool = False  # is to be tried again


@dataclass(frozen=True)
class _Listener:
    """Answers the studies of a server with these options of `predict`; the journal holds what came of each.

    `seen` holds what a study that is not answered yet was like at the last look, and since when; `tries` how often the
    server answered nonsense about one.
    """

    server: Orthanc
    out: Path
    options: Sequence[str]
    send_to: str | None
    settle_s: float
    journal: dict[str, Entry]
    seen: dict[str, tuple[tuple[str, int], float]] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)

    def listen(self, every_s: float, *, once: bool) -> int:
        """Look whenever something has changed there; a server that is away is said once and waited for."""
        seen, waiting, silent = -1, False, False
        while True:
            try:
                now = self.server.last_change()
                if waiting or now != seen:
                    waiting, seen = self._look(), now
                silent = False
            except (UnreachableError, NonsenseError) as error:
                if once:
                    raise
                if not silent:
                    _log(f"{error} Asking again every {every_s:g} s.")
                silent = True
            if once and not waiting:
                return int(any(entry.failed for entry in self.journal.values()))
            time.sleep(every_s)

    def _look(self) -> bool:
        """Answer what is new and complete; whether something is still arriving."""
        waiting = False
        for study in self.server.studies():
            known = self.journal.get(study.id) or Entry(f"study-{secrets.token_hex(5)}")
            if known.updated == study.updated:
                continue
            try:
                if not (self._is_settled(study) and study.stable):
                    waiting = True
                    continue
                self._write(study, known)  # killed from here on, it is done again under the same name
                entry = self._handle(study, known)
            except NonsenseError as error:
                self.tries[study.id] += 1
                if waits := self.tries[study.id] < _TRIES:
                    waiting = True
                entry = replace(known, updated="" if waits else study.updated, outcome=f"FAILED: {error}", failed=True)
            self._write(study, entry)
            _log(f"{entry.name}: {entry.outcome}")
        return waiting

    def _write(self, study: Study, entry: Entry) -> None:
        """Write the journal with what is known of a study now."""
        self.journal[study.id] = entry
        text = json.dumps({name: asdict(one) for name, one in self.journal.items()}, indent=1)
        write_secret(self.out / "private" / "journal.json", text)

    def _is_settled(self, study: Study) -> bool:
        """Whether nothing has come to a study for `settle_s`, as far as we have seen ourselves."""
        now, like = time.monotonic(), (study.updated, self.server.count(study.id))
        before, since = self.seen.get(study.id, (None, now))
        if before != like:
            self.seen[study.id] = (like, now)
            return False
        return now - since >= self.settle_s

    def _handle(self, study: Study, known: Entry) -> Entry:
        """One study from its images to its SEG and SR; whatever goes wrong is its outcome."""
        failed, content, updated = True, known.content, study.updated
        try:
            instances = self.server.instances(study.id)
            content = self._content(instances)
            if "CT" not in instances:
                found = ", ".join(sorted(filter(str.isalnum, instances)))
                outcome = f"no CT in it (found {found or 'nothing'}): nothing to do"
            elif content == known.content and not known.failed:
                outcome = "no new CT since it was answered: nothing to do"
            else:
                made = self._predict(known.name, instances["CT"])
                stored = [self.server.store(file) for file in made]
                if self.send_to is not None and stored:
                    self.server.send(stored, self.send_to)
                names = " and ".join({SEG: "SEG", SR: "SR"}[file.name] for file in made) or "nothing"
                sent = "" if self.send_to is None else f" and sent to {self.send_to}"
                outcome = f"{_answer(self.out / known.name)}; {names} stored{sent}"
                after = self.server.study(study.id).updated
                time.sleep(_CLOCK_S)
                same = self.server.study(study.id).updated == after
                if same and self._content(self.server.instances(study.id)) == content:  # what we stored is no news
                    updated = after
            failed = False
        except (UnreachableError, NonsenseError):
            raise
        except LunglineError as error:
            outcome = f"FAILED: {error}"
        except OSError as error:  # its own words may name a file of the scan
            outcome = f"FAILED: {lack_of_the_disk(error) or error.strerror}"
        return replace(known, updated=updated, content=content, outcome=visible(outcome), failed=failed)

    def _content(self, instances: Mapping[str, Sequence[str]]) -> str:
        """SHA-256 over ids and bytes of the CT images: one that was replaced under its id is another."""
        lines = sorted(f"{one} {self.server.digest(one)}" for one in instances.get("CT", []))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def _predict(self, name: str, instances: Sequence[str]) -> list[Path]:
        """The DICOM files that `lungline predict` writes of these images: in a process of its own, which may die."""
        incoming, answers = self.out / "private" / "incoming" / name, self.out / name
        shutil.rmtree(incoming, ignore_errors=True)
        for folder in (incoming.parent, incoming):
            secret_folder(folder)
        try:
            for number, instance in enumerate(instances):
                self.server.fetch(instance, incoming / f"{number:05}.dcm")
            command = [sys.executable, "-m", "lungline.cli", "predict", str(incoming), "--out", str(answers)]
            done = subprocess.run(
                [*command, *self.options], capture_output=True, text=True, errors="replace", preexec_fn=end_with_parent
            )
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
        if done.returncode not in (0, 1):  # 1: the scan has no answer
            raise LunglineError((done.stderr.strip().splitlines() or [f"predict ended with {done.returncode}"])[-1])
        (row,) = read_predictions(answers / "predictions.csv")
        files = {path.name: path for path in answers.glob(f"private/dicom/{row.scan}/*")}
        made = [files[name] for name in (SEG, SR) if name in files]
        if not made and row.status != "quarantined":
            why = files[WHY_NOT].read_text(encoding="utf-8").strip() if WHY_NOT in files else ""
            raise LunglineError(f"{_answer(answers)}; no DICOM was written: {why}")
        return made


def _answer(answers: Path) -> str:
    """The answer of `predict` for the one scan in a folder, as text."""
    (row,) = read_predictions(answers / "predictions.csv")
    patient = read_result(answers / "nodules" / f"{row.scan}.json")["patient"]
    return format_answer(row, patient.get("supervision", "patients"))


def _read(out: Path) -> dict[str, Entry]:
    """The journal; what failed is in it as if it were new."""
    path = out / "private" / "journal.json"
    if not path.is_file():
        return {}
    try:
        found = TypeAdapter(dict[Id, Entry]).validate_json(path.read_bytes(), strict=True)
    except ValueError:
        mend = "Restore it, or remove it to begin anew."
        raise LunglineError(f"{path}: not a journal of `lungline listen`. {mend}") from None
    return {study: Entry(entry.name) if entry.failed else entry for study, entry in found.items()}


def _log(line: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}", flush=True)
