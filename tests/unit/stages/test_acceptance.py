"""`lungline acceptance`: detectors whose figures are known, on chests with implanted nodules."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from lungline.cli import main
from lungline.errors import LunglineError
from lungline.evaluation.free_response import CPM_POINTS
from lungline.nodules.annotations import read_annotations
from lungline.readers.scan import read_scan
from lungline.stages import acceptance
from lungline.synthetic.cohort import plan_scan
from lungline.synthetic.phantom import simulate_scan_hu
from lungline.synthetic.writers import write_mhd
from unit.synthetic.nodule_folder import write_nodules

#: A detector in another program: it reads the folder of scans and writes LUNA-16's CSV; the truth lies beside.
ORACLE = """
import csv, pathlib, random, sys
scans, out, extra, score = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
rows = []
with open(scans.parent / "truth" / "annotations.csv", newline="") as file:
    for row in csv.DictReader(file):
        rows.append([*[row[name] for name in ("seriesuid", "coordX", "coordY", "coordZ")], score or 1])
for scan in sorted(path.stem for path in scans.glob("*.mhd")):
    rows += [[scan, 5000 + number, 0, 0, score or 1] for number in range(extra)]
with open(out / "marks.csv", "w", newline="") as file:
    csv.writer(file).writerows([["seriesuid", "coordX", "coordY", "coordZ", "probability"], *rows])
(out.parent / "calls.txt").open("a").write("called\\n")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with a chest, cut-outs, a detector; and the scans that were made of them, in `out`."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "chests").mkdir()
    (folder / "nodules").mkdir()
    write_mhd(folder / "chests" / "a.mhd", simulate_scan_hu(plan_scan("luna16", 3, 1, 0.4)))
    write_nodules(folder / "nodules", 8, volumes=True)
    (folder / "detector.py").write_text(ORACLE)
    assert accept(folder, only_scans=True) == 0
    return folder


def accept(site: Path, detector: str | None = None, out: str = "out", **options) -> int:
    small = {"copies": 3, "per_scan": 4, "synthetic": True, "device": "cpu"}
    return acceptance.run(
        site / "chests", nodules=site / "nodules", out=site / out, detector=detector, **{**small, **options}
    )


def command(site: Path, extra: int = 0, score: str = "1") -> str:
    return f"{sys.executable} '{site / 'detector.py'}' {{in}} {{out}} {extra} '{score}'"


def result(site: Path, out: str = "out") -> dict:
    return json.loads((site / out / "acceptance.json").read_text())


def test_nodules_lie_where_the_truth_says_and_nothing_else_differs(site):
    out = site / "out"
    truth = read_annotations(out / "truth" / "annotations.csv")
    (plain,) = (out / "truth" / "seriesuids_as_they_are.csv").read_text().split()
    original, _ = read_scan(site / "chests" / "a.mhd", "mhd")
    before, _ = read_scan(out / "scans" / f"{plain}.mhd", "mhd")
    assert np.array_equal(before.array, original.array)
    assert len(truth) >= 8
    for scan in (out / "truth" / "seriesuids.csv").read_text().split():
        after, _ = read_scan(out / "scans" / f"{scan}.mhd", "mhd")
        assert np.allclose(after.affine, original.affine)
        own = [nodule for nodule in truth if nodule.scan == scan]
        index = np.argwhere(after.array != before.array)
        places = index @ after.affine[:3, :3].T + after.affine[:3, 3]
        away = np.min([np.linalg.norm(places - n.centre_xyz_mm, axis=1) - n.diameter_mm / 2 for n in own], axis=0)
        assert away.max() < 20  # the widest surroundings that are blended in
        for nodule in own:
            at = np.rint(np.linalg.inv(after.affine) @ [*nodule.centre_xyz_mm, 1])[:3].astype(int)
            middle = after.array[tuple(slice(n - 1, n + 2) for n in at)]
            assert middle.mean() > -500, nodule


def test_a_detector_that_knows_the_truth_has_a_cpm_of_1(site):
    assert accept(site, command(site)) == 0
    found = result(site)
    assert found["froc"]["cpm"]["value"] == 1
    assert found["implanted_nodules"] == found["froc"]["true_positives"] > 0
    assert all(row["false_positives_per_scan"]["value"] == 0 for row in found["as_they_are"].values())
    by = found["by"]["columns"]
    assert set(by) == {"size", "attenuation", "touches", "depth", "laterality", "zone"}
    for table in by.values():
        assert sum(row["nodules"] for row in table.values()) == found["implanted_nodules"]
        assert all(row["sensitivity"]["value"] == 1 for row in table.values())
    page = (site / "out" / "acceptance.md").read_text()
    assert "| CPM (mean sensitivity at 1/8 to 8 false positives per scan) | 1.000" in page
    assert "| pleural |" in page


def test_one_that_cannot_tell_them_apart_has_what_arithmetic_says(site):
    """All marks of one score are one corner: every nodule, and 10 false marks a scan; straight lines lead there."""
    assert accept(site, command(site, extra=10)) == 0
    found = result(site)
    assert found["froc"]["cpm"]["value"] == pytest.approx(np.mean([point / 10 for point in CPM_POINTS]), abs=1e-12)
    assert found["as_they_are"]["8"]["false_positives_per_scan"]["value"] == 0  # at 8 no mark may count
    assert found["by"]["columns"]["size"][">=10"]["recall"]["value"] == 1
    assert found["by"]["columns"]["size"][">=10"]["sensitivity"]["value"] == 0


def test_one_that_guesses_finds_what_the_volume_says(site):
    """Of marks anywhere in a box, n per scan, a nodule of volume v in the box V has one with 1 - (1 - v / V)^n."""
    truth = read_annotations(site / "out" / "truth" / "annotations.csv")
    low, high = (edge([nodule.centre_xyz_mm for nodule in truth], axis=0) for edge in (np.min, np.max))
    low, high, rng = low - 15, high + 15, np.random.default_rng(1)
    share = np.array([4 / 3 * np.pi * (n.diameter_mm / 2) ** 3 / np.prod(high - low) for n in truth])
    chance = 1 - (1 - share) ** 100
    rows = ["seriesuid,coordX,coordY,coordZ,probability"]
    for path in sorted((site / "out" / "scans").glob("*.mhd")):
        points = rng.uniform(low, high, (100, 3))
        rows += [f"{path.stem},{x},{y},{z},{rng.random()}" for x, y, z in points.tolist()]
    (site / "guess.csv").write_text("\n".join(rows))
    assert accept(site, str(site / "guess.csv")) == 0
    found = result(site)["froc"]
    spread = np.sqrt((chance * (1 - chance)).sum())
    assert 0 < chance.sum() < len(truth)
    assert abs(found["true_positives"] - chance.sum()) < 3 * spread + 1
    assert found["cpm"]["value"] < 0.5


def test_what_is_done_is_not_done_again_and_another_folder_gets_the_same_bytes(site):
    calls = site / "out" / "calls.txt"
    calls.unlink(missing_ok=True)
    accept(site, command(site, score="3"))
    kept = {path: path.stat().st_mtime_ns for path in (site / "out" / "scans").iterdir()}
    accept(site, command(site, score="3"))
    assert calls.read_text().count("called") == 1
    assert kept == {path: path.stat().st_mtime_ns for path in (site / "out" / "scans").iterdir()}
    accept(site, out="again", only_scans=True)
    for name in ("scans", "truth"):
        first, second = (
            {path.name: path.read_bytes() for path in (site / out / name).glob("[!.]*")} for out in ("out", "again")
        )
        assert first == second
    accept(site, out="again", only_scans=True, seed=1)
    assert (site / "again/truth/nodules.csv").read_bytes() != (site / "out/truth/nodules.csv").read_bytes()


def test_results_of_other_copies_are_refused(site):
    """A detector that ran elsewhere, before nodules were implanted anew."""
    (first, *_) = (site / "out" / "truth" / "seriesuids.csv").read_text().split()
    (site / "old.csv").write_text(f"seriesuid,coordX,coordY,coordZ,probability\n{first},0,0,0,1\n")
    with pytest.raises(LunglineError, match="1 of 1 scans with marks are not in the list"):
        accept(site, str(site / "old.csv"), out="other", seed=1)
    assert accept(site, str(site / "old.csv")) == 0


def test_a_known_lesion_counts_neither_way(site):
    (chest,) = (site / "out" / "truth" / "seriesuids_as_they_are.csv").read_text().split()
    (site / "known.csv").write_text(f"seriesuid,coordX,coordY,coordZ,diameter_mm\n{chest},5000,0,0,8\n")
    accept(site, command(site, extra=9), out="known", known=site / "known.csv")
    found = result(site, "known")["froc"]
    assert found["ignored_on_excluded"] == 3 * 4  # x = 5000 to 5003 in three copies
    (site / "known.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\nchest-1,5000,0,0,8\n")
    with pytest.raises(LunglineError, match="findings of no chest in"):
        accept(site, command(site), out="known", known=site / "known.csv")


@pytest.mark.parametrize(
    ("detector", "complaint"),
    [
        ("tool {in}", "no {out} in it"),
        ("nowhere/results", r"no \{in\} and no \{out\}"),
        ("no-such-tool {in} {out}", "no-such-tool cannot be started"),
        (f"{sys.executable} -c 'print(1); raise SystemExit(3)' {{in}} {{out}}", "ended with 3. What it said stands in"),
        ("tool '{in} {out}", "quotes that do not match"),
    ],
)
def test_a_detector_that_cannot_be_run_is_named(site, detector, complaint):
    with pytest.raises(LunglineError, match=complaint):
        accept(site, detector)


def test_no_shell_reads_the_command(site):
    with pytest.raises(LunglineError, match="ended with"):
        accept(site, f"{sys.executable} -c 'raise SystemExit(1)' {{in}} {{out}} ; touch {site / 'harm'}")
    assert not (site / "harm").exists()


def test_a_folder_without_a_chest_is_one_line(site, tmp_path, capsys):
    (tmp_path / "none").mkdir()
    words = [str(tmp_path / "none"), "--nodules", str(site / "nodules"), "--out", str(tmp_path / "out")]
    assert main(["acceptance", *words]) == 2
    assert len(capsys.readouterr().err.splitlines()) >= 1


def test_the_packaged_models_are_the_default_detector(site):
    assert accept(site, copies=1, per_scan=2, out="ours") == 0
    found = result(site, "ours")
    assert found["format"] == "lungline"
    assert found["froc"]["scans"] == 1
