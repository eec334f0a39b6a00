"""Answer a case of the LUNA25 challenge: a malignancy for each given point, in the challenge's own files."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lungline import NOTICE
from lungline.errors import LunglineError
from lungline.names import SCORE_NAMES, Device
from lungline.nodules.given_points import COLUMNS
from lungline.nodules.point_lists import NamedPoint, read_point_list, write_point_list
from lungline.runner.in_memory import made_by_steps, work_folder
from lungline.storage.foreign_files import read_json
from lungline.storage.scan_rows import ScanRow
from lungline.storage.tables import read_rows, table_text
from lungline.workflow.bundle import PACKAGED, Bundle, check_networks, read_bundle
from lungline.workflow.steps import steps_of_scan

IMAGES, LOCATIONS, CLINICAL = "images/chest-ct", "nodule-locations.json", "clinical-information-lung-ct.json"
#: The challenge spells it so.
LIKELIHOODS = "lung-nodule-malginancy-likelihoods.json"
#: Of a point that cannot be scored; no scored point gets it.
NO_ANSWER = 0.0
#: A nodule at the pleura may be marked where the lungs end.
REACH_MM = 10.0

_SCAN = "case"
_NOT_NEEDED = ("crop_patches", "predict_cancer", "describe_nodules", "render_page")


def run(inputs: Path, out: Path, *, bundle: Path = PACKAGED, device: Device = "auto") -> None:
    """Read the image and the points of a case in INPUTS, write OUT/lung-nodule-malginancy-likelihoods.json.

    INPUTS and OUT are the challenge's /input and /output: images/chest-ct/ with one .mha, nodule-locations.json
    ("Multiple points", world mm), clinical-information-lung-ct.json (age and sex, which are not used). OUT names every
    point of INPUTS, in its order, with a probability of 0 to 1: the classifier's for the cube around the point, as
    `lungline predict --points` gives it. The models of the package give readers' opinion, no probability of cancer. A
    point outside the lungs by at most 10 mm is scored at their nearest voxel; one farther away or outside the scan gets
    0, which no scored point gets, and a line on stderr. A scan that cannot be used is one line, and no answer. The same
    case gives the same bytes. BUNDLE as for `lungline predict`.

    The files are those of inference.py in the challenge's baseline (DIAGNijmegen/luna25-baseline-public), as copied in
    jasperstiekema/luna25-pulse-3d, commit 461ab57. Research use only. Not a medical device.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
    image, points = _image(inputs / IMAGES), read_point_list(_there(inputs / LOCATIONS))
    if (inputs / CLINICAL).exists():
        read_json(inputs / CLINICAL)
    recipe = read_bundle(bundle)
    if recipe.detector is None:
        raise LunglineError(f"{bundle}: expected models that read candidates. '{recipe.classifier}' does not.")
    scored = _scored(points, image, recipe, device) if points else []
    answered = [replace(one, probability=p) for one, (_, p) in zip(points, scored, strict=True)]
    for number, (flag, probability) in enumerate(scored, start=1):
        if probability == NO_ANSWER:
            print(f"point {number} of {len(points)}: {flag}, not scored, answered with {NO_ANSWER:g}", file=sys.stderr)
    if twice := len(points) - len({one.name for one in points}):
        print(f"{twice} points have a name that another one has, too: a scorer cannot tell them apart", file=sys.stderr)
    write_point_list(out / LIKELIHOODS, answered)
    print(f"{out / LIKELIHOODS}: {len(points)} points. {NOTICE}")


def _there(path: Path) -> Path:
    if not path.is_file():
        raise LunglineError(f"{path}: no such file. Name the folder that the challenge calls /input.")
    return path


def _image(folder: Path) -> Path:
    """The one image of a case."""
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    shown = [name for name in names if not name.startswith(".")]
    if len(shown) != 1 or not shown[0].lower().endswith(".mha") or not (folder / shown[0]).is_file():
        kinds = sorted({Path(name).suffix for name in shown})
        raise LunglineError(f"{folder}: expected one image, .mha. Found {len(shown)} files{f' {kinds}' * bool(kinds)}.")
    return folder / shown[0]


def _scored(points: Sequence[NamedPoint], image: Path, recipe: Bundle, device: Device) -> list[tuple[str, float]]:
    """Flag and probability of each point; `LunglineError` if the scan cannot be used."""
    recipe = replace(recipe, settings={**recipe.settings, "score_points": {"reach_mm": REACH_MM}})
    check_networks(recipe)
    steps = [step for step in steps_of_scan(recipe.settings) if step.name not in _NOT_NEEDED]
    with work_folder() as work:
        table = work / "points.csv"
        rows = [[repr(value) for value in one.xyz_mm] for one in points]
        table.write_text(table_text(("x_mm", "y_mm", "z_mm"), rows), encoding="utf-8")
        row = ScanRow(_SCAN, "mhd", "folder", "test")
        made = made_by_steps(row, steps, recipe, work, device, image, raw=image, given={"points": table})
        found = [cells for _, cells in read_rows(made["score_points"], COLUMNS)]
    name = SCORE_NAMES[recipe.supervision]
    return [(cells["flag"], float(cells[name] or NO_ANSWER)) for cells in found]
