"""Answer the studies of a source, each once: a journal holds what came of each, whatever ends the process."""

import json
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints, TypeAdapter

from lungline.errors import LunglineError, lack_of_the_disk
from lungline.escape import visible
from lungline.names import SEG, SR
from lungline.pacs.bounded_http import UnreachableError
from lungline.pacs.study_source import NonsenseError, Study, StudySource
from lungline.privacy.permissions import secret_folder, write_secret

_Id = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.-]{1,128}$")]  # of a study, by its source
_NO_NEWS = "; no new CT since it was answered: nothing to do"
_TRIES = 3  # of a study about which the server answers nonsense

#: (folder of images, folder for the results) -> (answer as text, files of SEG and SR).
Predict = Callable[[Path, Path], tuple[str, list[Path]]]


@dataclass(frozen=True)
class Entry:
    """State of a study whose results are in OUT/`name`; `content` is the digest of its CT images."""

    name: Annotated[str, StringConstraints(pattern=r"^study-[0-9a-f]{1,32}$")]  # it becomes that of folders
    updated: str = ""  # what the source said of it then
    content: str = ""
    outcome: str = ""
    failed: bool = False  # is to be tried again


@dataclass(frozen=True)
class Answerer:
    """Answers the studies of a source by `predict`; OUT/private/journal.json holds what came of each.

    A study is looked at when the source calls it stable and nothing has come to it for `settle_s`. `seen` holds what
    one that is not answered yet was like at the last look, and since when; `tries` how often the server answered
    nonsense about one. `clock` gives seconds that only grow, `sleep` waits.
    """

    source: StudySource
    out: Path
    predict: Predict
    send_to: str | None
    settle_s: float
    journal: dict[str, Entry]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    seen: dict[str, tuple[tuple[str, int], float]] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)

    def listen(self, every_s: float, *, once: bool = False) -> int:
        """Look whenever something has changed there; a server that is away is said once and waited for."""
        before: object = None
        waiting, silent = False, False
        while True:
            try:
                now = self.source.last_change()
                if waiting or now != before:
                    waiting, before = self.look(), now
                silent = False
            except (UnreachableError, NonsenseError) as error:
                if once:
                    raise
                if not silent:
                    log(f"{error} Asking again every {every_s:g} s.")
                silent = True
            if once and not waiting:
                return int(any(entry.failed for entry in self.journal.values()))
            self.sleep(every_s)

    def look(self) -> bool:
        """Answer what is new and complete; whether something is still arriving."""
        waiting = False
        for study in self.source.studies():
            known = self.journal.get(study.id) or Entry(f"study-{secrets.token_hex(5)}")
            if known.updated == study.updated:
                continue
            try:
                if not (self._is_settled(study) and study.stable):
                    waiting = True
                    continue
                self._write(study, known)  # killed from here on, it is done again under the same name
                entry = self._handle(study, known)
                self.tries.pop(study.id, None)
            except NonsenseError as error:
                self.tries[study.id] += 1
                if waits := self.tries[study.id] < _TRIES:
                    waiting = True
                entry = replace(known, updated="" if waits else study.updated, outcome=f"FAILED: {error}", failed=True)
            self._write(study, entry)
            self.seen.pop(study.id, None)
            log(f"{entry.name}: {entry.outcome}")
            if not entry.failed:
                self.source.done(study)
        return waiting

    def _write(self, study: Study, entry: Entry) -> None:
        """Write the journal with what is known of a study now."""
        self.journal[study.id] = entry
        text = json.dumps({name: asdict(one) for name, one in self.journal.items()}, indent=1)
        write_secret(self.out / "private" / "journal.json", text)

    def _is_settled(self, study: Study) -> bool:
        """Whether nothing has come to a study for `settle_s`, as far as we have seen ourselves."""
        now, like = self.clock(), (study.updated, self.source.count(study.id))
        before, since = self.seen.get(study.id, (None, now))
        if before != like:
            self.seen[study.id] = (like, now)
            return False
        return now - since >= self.settle_s

    def _handle(self, study: Study, known: Entry) -> Entry:
        """One study from its images to its SEG and SR; whatever goes wrong is its outcome."""
        failed, content, updated = True, known.content, study.updated
        try:
            instances = self.source.instances(study.id)
            content = self.source.content(study.id, instances)
            if "CT" not in instances:
                found = ", ".join(sorted(filter(str.isalnum, instances)))
                outcome = f"no CT in it (found {found or 'nothing'}): nothing to do"
            elif content == known.content and not known.failed:
                outcome = f"{known.outcome.removesuffix(_NO_NEWS)}{_NO_NEWS}".removeprefix("; ")
            else:
                outcome = self._answer(known.name, instances["CT"])
                after = self.source.study(study.id).updated
                self.sleep(self.source.clock_s)
                same = self.source.study(study.id).updated == after
                if same and self.source.content(study.id, self.source.instances(study.id)) == content:
                    updated = after  # what we stored is no news
            failed = False
        except (UnreachableError, NonsenseError):
            raise
        except LunglineError as error:
            outcome = f"FAILED: {error}"
        except OSError as error:  # its own words may name a file of the scan
            outcome = f"FAILED: {lack_of_the_disk(error) or error.strerror}"
        return replace(known, updated=updated, content=content, outcome=visible(outcome), failed=failed)

    def _answer(self, name: str, images: list[str]) -> str:
        """Fetch these images, predict, give SEG and SR back; what came of it."""
        incoming = self.out / "private" / "incoming" / name
        shutil.rmtree(incoming, ignore_errors=True)
        for folder in (incoming.parent, incoming):
            secret_folder(folder)
        try:
            for number, instance in enumerate(images):
                self.source.fetch(instance, incoming / f"{number:05}.dcm")
            answer, made = self.predict(incoming, self.out / name)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
        stored = [self.source.store(file) for file in made]
        if self.send_to is not None and stored:
            self.source.send(stored, self.send_to)
        names = " and ".join({SEG: "SEG", SR: "SR"}[file.name] for file in made) or "nothing"
        sent = "" if self.send_to is None else f" and sent to {self.send_to}"
        return f"{answer}; {names} {self.source.stored_word}{sent}"


def prepare(out: Path) -> dict[str, Entry]:
    """Make the folders of OUT, remove images of a run that was killed, and read the journal; call under its lock.

    What failed is in the journal as if it were new.
    """
    secret_folder(out / "private")
    shutil.rmtree(out / "private" / "incoming", ignore_errors=True)
    path = out / "private" / "journal.json"
    if not path.is_file():
        return {}
    try:
        found = TypeAdapter(dict[_Id, Entry]).validate_json(path.read_bytes(), strict=True)
    except ValueError:
        mend = "Restore it, or remove it to begin anew."
        raise LunglineError(f"{path}: not a journal of `lungline listen` or `receive`. {mend}") from None
    return {study: Entry(entry.name) if entry.failed else entry for study, entry in found.items()}


def log(line: str) -> None:
    """One line on stdout, with the time."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}", flush=True)
