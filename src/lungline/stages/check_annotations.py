"""Name every annotation that the networks cannot see, with its line."""

from __future__ import annotations

from pathlib import Path

from lungline.nodules.annotations import Nodule, nodules_outside, read_annotations
from lungline.runner.stage import stage
from lungline.storage import hdf5
from lungline.storage.tables import Note, say, write_notes


@stage
def run(output: Path, annotations: Path, *, caches: Path) -> None:
    """Read ANNOTATIONS and the grids of CACHES/{scan}.h5 of their scans, write the rows outside to OUTPUT (CSV)."""
    nodules: dict[str, list[Nodule]] = {}
    for nodule in read_annotations(annotations):
        nodules.setdefault(nodule.scan, []).append(nodule)
    outside: list[Nodule] = []
    for scan, its_nodules in nodules.items():
        cache = caches / f"{scan}.h5"
        if cache.is_file() and hdf5.read_header(cache).status != "quarantined":
            outside += nodules_outside(*hdf5.read_grid(cache, "ct"), its_nodules)
    what = "the centre lies outside the region that the networks see"
    notes = [Note(annotations.name, line, "W_NODULE_OUTSIDE", what) for line in sorted(n.line for n in outside)]
    write_notes(output, notes)
    say(notes, output)
