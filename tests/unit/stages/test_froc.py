"""`lungline froc`: a submission scored by LUNA-16's rules, and the misuses that it refuses."""

import json

import pytest

from lungline import NOTICE
from lungline.cli import main
from lungline.errors import LunglineError
from lungline.stages import froc

HEADER = "seriesuid,coordX,coordY,coordZ,probability\n"
FINDINGS = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"

#: Sorted: hit .9 (a), false .8 (b), hit .5 (b), false .3 (a); one of three nodules is never found, c and d are silent.
MARKS = "a,0,0,0,0.9\na,50,0,0,0.3\nb,0,1,0,0.5\nb,70,0,0,0.8\n"
NODULES = "a,0,0,0,10\nb,0,0,0,10\nb,0,100,0,6\n"


@pytest.fixture
def scored(tmp_path):
    """Score a submission given as text."""

    def score(marks=MARKS, ids="a\nb\nc\nd\n", nodules=NODULES, excluded="", **options):
        for name, text in (("s", HEADER + marks), ("a", FINDINGS + nodules), ("e", FINDINGS + excluded), ("u", ids)):
            (tmp_path / f"{name}.csv").write_text(text)
        files = {"submission": "s", "annotations": "a", "excluded": "e", "seriesuids": "u"}
        froc.run(**{key: tmp_path / f"{name}.csv" for key, name in files.items()}, out=tmp_path / "o.json", **options)
        return json.loads((tmp_path / "o.json").read_text())

    return score


def test_a_submission_by_hand(scored):
    """False positives per scan at the corners: 0, 1/4, 1/4, 1/2; sensitivity 1/3, 1/3, 2/3, 2/3."""
    result = scored()
    assert result["notice"] == NOTICE
    found = result["froc"]
    assert (found["scans"], found["nodules"]) == (4, 3)
    assert (found["true_positives"], found["false_positives"], found["false_negatives"]) == (2, 2, 1)
    assert {point: row["value"] for point, row in found["sensitivity_at"].items()} == pytest.approx(
        {"0.125": 1 / 3, "0.25": 2 / 3, "0.5": 2 / 3, "1": 2 / 3, "2": 2 / 3, "4": 2 / 3, "8": 2 / 3}
    )
    assert found["cpm"]["value"] == pytest.approx((1 / 3 + 6 * 2 / 3) / 7)
    at_one = result["script_intervals"]["1"]
    assert 0 <= at_one["low"] <= at_one["mean"] <= at_one["high"] <= 1
    assert list(result["script_intervals"]) == list(found["sensitivity_at"])
    assert found["cpm"]["low"] <= found["cpm"]["value"] <= found["cpm"]["high"]
    assert result["warnings"] == []


def test_the_page_says_the_same(scored, tmp_path):
    scored()
    page = (tmp_path / "o.md").read_text()
    assert NOTICE in page
    assert "2 of 3 nodules hit and 2 false positives in 4 scans" in page
    assert "| sensitivity at 0.125 false positives per scan | 0.333 (" in page


def test_a_mark_on_an_excluded_finding_counts_neither_way(scored):
    found = scored(excluded="b,71,0,0,-1\nz,0,0,0,-1\n")["froc"]
    assert (found["ignored_on_excluded"], found["false_positives"]) == (1, 1)


def test_an_annotation_that_stands_there_twice_counts_once(scored):
    assert scored(nodules=NODULES + "a,0,0,0,10\n")["froc"] == scored()["froc"]


def test_intervals_are_seeded(scored):
    assert scored(seed=3)["froc"]["cpm"] == scored(seed=3)["froc"]["cpm"]


def test_saturated_scores_that_tie_at_the_cut_give_a_warning(scored):
    many = "".join(f"a,{x},0,0,1\n" for x in range(100, 201))
    result = scored(marks=many + MARKS)
    assert result["froc"]["marks_lost_to_ties"] == 100
    assert "100 marks were lost: they tie" in result["warnings"][0]


def test_mostly_silent_scans_give_a_warning(scored):
    assert "3 of 5 listed scans have no mark" in scored(ids="a\nb\nc\nd\ne\n")["warnings"][0]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"ids": "a\n"}, "1 of 2 scans with marks are not in the list of 1 scans"),
        ({"ids": "a\nb\na\n"}, "line 3: this scan stands there twice, first in line 1"),
        ({"ids": "\n"}, "no scan"),
        ({"marks": MARKS + "a,9,9,9,nan\n"}, "line 6: probability: expected a finite number"),
        ({"marks": MARKS + "a,9,9,9,inf\n"}, "line 6: probability: expected a finite number"),
        ({"marks": MARKS + "a,9,9,9,high\n"}, "line 6: probability: expected a finite number"),
        ({"marks": MARKS + "a,0,0,0,0.1\n"}, r"line 6: this scan has a mark at \(0\.0, 0\.0, 0\.0\) already"),
        ({"nodules": "z,0,0,0,10\n"}, "none of the 1 annotations belongs"),
    ],
)
def test_misuse_is_refused(scored, wrong, complaint):
    with pytest.raises(LunglineError, match=complaint):
        scored(**wrong)


def test_a_scan_that_the_detector_was_trained_on_is_refused(scored, tmp_path):
    for axis in "zyx":
        (tmp_path / "unet" / axis).mkdir(parents=True)
        card = {"notice": NOTICE, "cases": {"train": ["t"], "valid": ["d"] if axis == "x" else []}}
        (tmp_path / "unet" / axis / "card.json").write_text(json.dumps(card))
    with pytest.raises(LunglineError, match=r"1 of the scans to be scored were used to train the model \(d\)"):
        scored(detector=tmp_path / "unet")
    assert scored(ids="a\nb\nc\n", detector=tmp_path / "unet")["froc"]["scans"] == 3


def test_a_refusal_is_one_line(scored, tmp_path, capsys):
    scored()
    (tmp_path / "u.csv").write_text("a\n")
    words = ["--submission", "s", "--annotations", "a", "--seriesuids", "u"]
    words = [word if word.startswith("-") else str(tmp_path / f"{word}.csv") for word in words]
    capsys.readouterr()
    assert main(["froc", *words, "--out", str(tmp_path / "p.json")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "p.json").exists()


def test_counts_thresholds_and_recall_among_the_strongest_by_hand(scored, tmp_path):
    system = scored()["system"]
    assert system["counts_at"]["0.125"] == {"score": 0.9, "true_positives": 1, "false_positives": 0}
    assert system["counts_at"]["0.25"] == {"score": 0.5, "true_positives": 2, "false_positives": 1}
    assert system["counts_at"]["8"] == {"score": 0.3, "true_positives": 2, "false_positives": 2}
    among = {n: row["value"] for n, row in system["recall_among"].items()}
    assert (among["1"], among["5"], among["100"]) == pytest.approx((1 / 3, 2 / 3, 2 / 3))
    assert system["scans_without_marks"] == 2
    page = (tmp_path / "o.md").read_text()
    assert "| 0.25 | 0.5 | 2 | 1 |" in page
    assert "| all marks, diameter 6-10 mm (1 nodules) | 0.000 (" in page
    assert "2 listed scans have no mark; they count." in page


def test_two_systems_differ_by_their_difference_and_one_from_itself_by_nothing(scored, tmp_path):
    (tmp_path / "t.csv").write_text(HEADER + "a,0,0,0,0.9\nb,0,1,0,0.9\n")
    ours, theirs = scored()["froc"], scored(marks="a,0,0,0,0.9\nb,0,1,0,0.9\n")["froc"]
    difference = scored(versus=tmp_path / "t.csv")["system"]["difference_over_scans"]
    assert difference["cpm"]["value"] == pytest.approx(ours["cpm"]["value"] - theirs["cpm"]["value"], abs=1e-12)
    assert difference["sensitivity_at"]["0.125"]["value"] == pytest.approx(1 / 3 - 2 / 3)
    assert difference["cpm"]["low"] < difference["cpm"]["high"]
    same = scored(versus=tmp_path / "s.csv")["system"]["difference_over_scans"]["cpm"]
    assert (same["value"], same["low"], same["high"]) == (0, 0, 0)


def test_patients_are_drawn_whole(scored, tmp_path):
    (tmp_path / "p.csv").write_text("scan,patient\na,1\nb,2\nc,3\nd,4\n")
    (tmp_path / "q.csv").write_text("scan,patient\na,1\nb,1\nc,2\nd,2\n")
    alone = scored(patients=tmp_path / "p.csv")
    assert alone["system"]["over_patients"]["cpm"] == alone["froc"]["cpm"]  # one scan each: the same draws
    paired = scored(patients=tmp_path / "q.csv")["system"]["over_patients"]["cpm"]
    assert paired["value"] == alone["froc"]["cpm"]["value"]
    # Patient 1 twice: the false positives per scan double, and 1/3 holds up to 0.5. Patient 2 alone: no nodule.
    assert (paired["low"], paired["high"]) == pytest.approx((4 / 7, 13 / 21))
    (tmp_path / "q.csv").write_text("scan,patient\na,1\n")
    with pytest.raises(LunglineError, match="3 of 4 listed scans have no patient"):
        scored(patients=tmp_path / "q.csv")


def test_the_curve_is_drawn_on_demand(scored, tmp_path):
    scored(figure=tmp_path / "froc.png")
    assert (tmp_path / "froc.png").read_bytes().startswith(b"\x89PNG")


def test_scans_that_a_folder_leaves_out_are_told(scored, tmp_path):
    scored()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.csv").write_text("score,x_mm,y_mm,z_mm\n0.9,0,0,0\n")
    result = scored(versus=tmp_path / "own")
    assert result["warnings"] == ["own: 3 of 4 listed scans do not occur, counted without marks."]


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    ["typical", "over_100_marks_with_ties", "excluded_and_double_marks", "no_false_positives", "few_detections"],
)
def test_the_command_agrees_with_lunas_official_script(sample_data, tmp_path, name):
    folder = sample_data / "froc"
    froc.run(
        submission=folder / f"submission_{name}.csv",
        annotations=folder / "annotations.csv",
        excluded=folder / "annotations_excluded.csv",
        seriesuids=folder / "seriesuids.csv",
        out=tmp_path / "o.json",
    )
    found = json.loads((tmp_path / "o.json").read_text())["froc"]
    wanted = json.loads((folder / "expected.json").read_text())[name]
    counts = ("scans", "nodules", "true_positives", "false_positives", "false_negatives")
    counts += ("ignored_on_excluded", "ignored_double")
    assert {key: found[key] for key in counts} == {key: wanted[key] for key in counts}
    assert found["marks_after_cut"] == wanted["candidates_after_cut"]
    assert found["cpm"]["value"] == pytest.approx(wanted["cpm"], abs=1e-9)
    for point, sensitivity in wanted["sensitivity_at"].items():
        assert found["sensitivity_at"][point]["value"] == pytest.approx(sensitivity, abs=1e-9)


def test_a_detector_that_marks_nothing_has_sensitivity_0(scored):
    found = scored(marks="")["froc"]
    assert (found["true_positives"], found["false_positives"], found["cpm"]["value"]) == (0, 0, 0)
