"""Name every annotation that the networks cannot see, with its line."""

from pathlib import Path

from lungline.nodules.annotations import Nodule, nodules_outside, read_annotations
from lungline.runner.stage import stage
from lungline.storage import hdf5
from lungline.storage.tables import Note, log_notes, write_notes


@stage
def run(output: Path, annotations: Path, *, caches: Path) -> None:
    """Read ANNOTATIONS and the grids of CACHES/{scan}.h5 of their scans, write the rows outside to OUTPUT (CSV)."""
    nodules, outside = read_annotations(annotations), list[Nodule]()
    for scan in dict.fromkeys(nodule.scan for nodule in nodules):
        cache = caches / f"{scan}.h5"
        if cache.is_file() and hdf5.read_header(cache).status != "quarantined":
            outside += nodules_outside(*hdf5.read_grid(cache, "ct"), [n for n in nodules if n.scan == scan])
    what = "the centre lies outside the region that the networks see"
    notes = [Note(annotations.name, line, "W_NODULE_OUTSIDE", what) for line in sorted(n.line for n in outside)]
    write_notes(output, notes)
    log_notes(notes, output)
