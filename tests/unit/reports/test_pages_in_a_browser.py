"""The pages in a real browser: what is drawn, where a click leads, what is asked of the network."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from browser import NARROW, WIDE, open_browser
from lungline.imaging import geometry
from lungline.imaging.lungs import LungQuality
from lungline.imaging.volume import Volume
from lungline.nodules.table import Grid, NoduleRow, SourceGrid, split_nodules
from lungline.reports import packed
from lungline.stages import render_index, render_page
from lungline.storage import hdf5
from lungline.storage.checksums import write_checksummed_text
from lungline.storage.hdf5 import Header
from lungline.storage.predictions import Prediction, write_predictions
from lungline.storage.results import write_result
from lungline.storage.tables import table_text

READY = "document.body?.dataset.ready === 'yes'"
DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
#: World places x, y, z mm (LPS) of bright balls of 10 mm: one in the patient's left lung, one in his right.
LEFT, RIGHT = (38.4, -6.2, 541.0), (-35.7, 9.1, 578.3)
AFFINE = geometry.make_affine((1.0, 1.0, 1.0), (-80.0, -60.0, 500.0))
SHAPE = (120, 118, 162)


def ball(centre_xyz_mm, diameter_mm=10.0) -> np.ndarray:
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    return np.linalg.norm(geometry.voxel_to_world(AFFINE, index) - centre_xyz_mm, axis=-1) <= diameter_mm / 2


def row(rank, place, laterality, logit, *, finding=True) -> NoduleRow:
    z, y, x = geometry.world_to_voxel(AFFINE, place)
    number = int((place[2] - 500) / 2 + 0.5) + 1
    slices, sizes = (number, 61 - number, 500.0 + 2 * (number - 1)), (10.0, 523.6, -446.0, 80.0, "solid", -12.0, 0.97)
    about = (rank, 0.9951234 - rank / 10, finding)
    measured = {"short_axis_mm": 9.2, "mean_diameter_mm": 9.6, "mean_diameter_low_mm": 7.94, "pleura_distance_mm": 4.2,
                "mean_diameter_high_mm": 11.31, "volume_low_mm3": 391.2, "volume_high_mm3": 1702.9, "p5_hu": -702.0,
                "p25_hu": -590.0, "p50_hu": -440.0, "p75_hu": -210.0, "p95_hu": 31.0}  # fmt: skip
    scores = (0.27, logit, expit(logit), rank == 2)
    return NoduleRow(*about, *place, z, y, x, *slices, laterality, "middle", *sizes, *scores, **measured)


def axes_at(rank, place) -> dict:
    """Long axis along x and short axis along y, 4 mm above the middle of the ball."""
    ends = place + np.array([[[-5, 0, 4], [5, 0, 4]], [[0, -4.6, 4], [0, 4.6, 4]]])
    return {"rank": rank, "long_axis_xyz_mm": ends[0].tolist(), "short_axis_xyz_mm": ends[1].tolist()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Pages of a scan with two candidates, of one that cannot be used, and of their cohort."""
    folder = tmp_path_factory.mktemp("pages")
    z, y, x = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    lungs = np.hypot(np.hypot((abs(x - 80.5) - 38) / 30, (y - 59) / 42), (z - 60) / 50) <= 1
    ct = np.random.default_rng(0).normal(0, 20, SHAPE) + np.where(lungs, -850, 30)
    probability = np.zeros(SHAPE, np.float16)
    for place in (LEFT, RIGHT):
        ct[ball(place)] = 60
        probability[ball(place)] = 0.9
    for name, field, array in (("ct", "ct", ct), ("lungs", "lungs", lungs), ("detect", "probability", probability)):
        item = hdf5.volume_field(Volume(array.astype(np.float32) if name == "ct" else array, AFFINE), "1", "")
        hdf5.write_file(folder / f"{name}.h5", Header("x", "resample"), {field: item})
    grid = Grid((60, 118, 162), geometry.make_affine((2.0, 1.0, 1.0), (-80.0, -60.0, 500.0)))
    source = SourceGrid(grid.shape_zyx, grid.affine, tuple(range(60, 0, -1)))  # the scanner counts from the head
    rows = [row(1, LEFT, "left", -2.0), row(2, RIGHT, "right", 0.5)]
    patient = {"cancer_probability": 0.6225, "malignancy_score": None, "logit": 0.5, "interval": [0.41, 0.8],
               "interval_reason": "of the calibration", "n_candidates": 2, "deciding_rank": 2}  # fmt: skip
    table = {"schema": "nodules/2", "scan": "good", "classifier": "m2", "status": "warned",
             "flags": [{"flag": "W_TILT", "detail": "</script><script>alert(1)</script>"}], "patient": patient,
             "grid": grid.as_json(), "source_grid": source.as_json(),
             "quality": LungQuality(800.0, 390.0, 410.0, -850.0, 0.02, 0, 0, 0, 0, 0).as_json(),
             "ranked_by": "fpr", "min_finding_score": None,
             "axes": [axes_at(1, LEFT), axes_at(2, RIGHT)], **split_nodules(rows)}  # fmt: skip
    nobody = dict.fromkeys(patient) | {"interval_reason": "the patient has no score"}
    empty = dict.fromkeys(("grid", "source_grid", "quality", "nodules", "also_looked_at"))
    flags = [{"flag": "Q_LUNGS_EMPTY", "detail": "no air inside a body"}]
    bad = table | empty | {"scan": "bad", "status": "quarantined", "flags": flags, "patient": nobody}
    alone = {"supervision": "nodules", "cancer_probability": None, "malignancy_score": 0.6225}
    alone |= {"interval": None, "interval_reason": "nothing was found"}
    rated = table | {"scan": "rated", "patient": patient | alone}
    for name, content in (("good", table), ("bad", bad), ("rated", rated)):
        write_result(folder / "nodules" / f"{name}.json", content)
        render_page.run(folder / "pages" / f"{name}.html", nodules=folder / "nodules" / f"{name}.json",
                      volume=folder / "ct.h5", lungs=folder / "lungs.h5", detected=folder / "detect.h5")  # fmt: skip
    chosen = table | {
        "scan": "chosen",
        "min_finding_score": 0.85,
        **split_nodules([rows[0], replace(rows[1], finding=False)]),
    }
    write_result(folder / "nodules" / "chosen.json", chosen)
    with pytest.MonkeyPatch.context() as little:
        for name, room in (("chosen", packed.ROOM), ("coarse", 100_000)):
            little.setattr(packed, "ROOM", room)
            render_page.run(folder / "pages" / f"{name}.html", nodules=folder / "nodules" / "chosen.json",
                          volume=folder / "ct.h5", lungs=folder / "lungs.h5")  # fmt: skip
    predictions = [
        Prediction("good", "dsb17", "test", 1, 0.6225, "warned", ("W_TILT",), "m2", 2, 2, 0.5),
        Prediction("other", "dsb17", "test", 0, 0.9, "ok", (), "m2", 1, 1, 2.2),
        Prediction("bad", "dsb17", "test", 0, None, "quarantined", ("Q_LUNGS_EMPTY",), "m2"),
        Prediction("third", "dsb17", "test", 0, 0.05, "ok", (), "m2", 0, None, -3.0),
    ]
    write_predictions(folder / "predictions.csv", predictions)
    estimate = {"value": 0.5, "low": 0.4, "high": 0.6, "method": "", "reason": ""}
    curve = {"false_positives_per_scan": [0.0, 0.125, 1.0, 8.0], "sensitivity": [0.1, 0.3, 0.6, 0.9],
             "low": [0.0, 0.2, 0.5, 0.8], "high": [0.2, 0.4, 0.7, 1.0]}  # fmt: skip
    write_result(
        folder / "froc.json", {"split": "test", "froc": {"cpm": estimate, "nodules": 9, "scans": 4, "curve": curve}}
    )
    render_index.run(folder / "index.html", predictions=folder / "predictions.csv", nodules=folder / "nodules",
                   pages=folder / "pages", detection=folder / "froc.json",
                   comparison=compared(folder / "comparison.csv"))  # fmt: skip
    return folder


def test_the_opinion_of_a_classifier_that_learned_from_nodules_is_not_called_a_probability(folder) -> None:
    says = {name: (folder / "pages" / f"{name}.html").read_text(encoding="utf-8") for name in ("good", "rated")}
    assert "of 100 patients" in says["good"]
    assert "not the patient's risk" in says["rated"]
    assert "of 100 patients" not in says["rated"]
    assert "Probability of lung cancer" not in says["rated"]
    assert '<th scope="col">Cancer probability</th>' in says["good"]
    assert '<th scope="col">Malignancy score</th>' in says["rated"]
    assert "<dt>Interval</dt><dd>0.410 to 0.800: of the calibration</dd>" in says["good"]
    assert "<dt>Interval</dt><dd>not given: nothing was found</dd>" in says["rated"]


def compared(path):
    """A table as `compare` writes it: one classifier that was run, and one that was not."""
    names = [f"{name}{end}" for name in ("log_loss", "auc", "accuracy", "cpm") for end in ("", "_low", "_high")]
    rows = [["m2<i>", "40", *([0.5, 0.4, 0.6] * 4)], ["paper", "", *([None] * 12)]]
    write_checksummed_text(path, table_text(["classifier", "patients", *names], rows))
    return path


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def good(page, folder):
    page.errors.clear()
    page.requests.clear()
    page.open(folder / "pages" / "good.html", WIDE)
    page.wait(READY)
    return page


def crosshair_mm(page) -> np.ndarray:
    return np.array(page.run("viewer.mm()"))


def brightness(page, canvas: str, across: float, down: float) -> float:
    """Mean of red, green, blue around a place of a canvas, shares of its width and height."""
    return page.run(f"""(() => {{
        const c = document.querySelector({json.dumps(canvas)});
        const d = c.getContext("2d").getImageData(c.width * {across} - 2, c.height * {down} - 2, 4, 4).data;
        let sum = 0;
        d.forEach((v, i) => sum += i % 4 < 3 ? v : 0);
        return sum / 48;
    }})()""")


def test_it_opens_at_the_strongest_candidate_and_asks_nobody_for_anything(good, folder) -> None:
    np.testing.assert_allclose(crosshair_mm(good), RIGHT, atol=0.01)
    assert good.requests == [(folder / "pages" / "good.html").resolve().as_uri()]
    assert good.errors == []
    assert (folder / "pages" / "good.html").stat().st_size < 10_000_000


def test_a_click_on_a_candidate_leads_to_it_and_left_stays_left(good) -> None:
    good.click_on('tr[data-rank="1"] td:nth-child(3)')
    np.testing.assert_allclose(crosshair_mm(good), LEFT, atol=0.01)
    assert good.run("viewer.hu()") == pytest.approx(60, abs=5)
    good.run(DRAWN)
    assert "image 39, slice 22 of 60 from below" in good.run("document.getElementById('where').textContent")
    good.press("o")  # the probability would colour the picture
    good.run(DRAWN)
    # the ball in the patient's left lung lies in the right half of the axial and the coronal picture, and is bright
    for canvas, plane in (("#axial canvas", (2, 1, 1)), ("#coronal canvas", (2, 0, -1))):
        across, down = shares(good, canvas, plane, LEFT)
        assert across > 0.55
        assert brightness(good, canvas, across + 0.006, down + 0.006) > 200
        assert brightness(good, canvas, 1 - across, down) < 120  # nothing at the mirrored place but lung
    assert good.errors == []


def shares(page, canvas: str, plane: tuple[int, int, int], place) -> tuple[float, float]:
    """Where a world point lies on a canvas that shows the whole scan, reckoned without the viewer's own code."""
    about = json.loads(page.run("document.getElementById('about').textContent"))
    right, down, sign = plane
    point = geometry.world_to_voxel(np.array(about["affine"]), place)
    size = about["shape_zyx"]
    width, height = page.run(f"[{canvas!r}].map(s => document.querySelector(s)).flatMap(c => [c.width, c.height])")
    scale = min(width / size[right], height / size[down])
    across, below = ((point[k] - (size[k] - 1) / 2) * scale for k in (right, down))
    return 0.5 + across / width, 0.5 + sign * below / height


def test_the_axes_are_drawn_in_the_slice_where_they_were_measured_and_said_in_words(good) -> None:
    pink = """(() => {
        const canvas = document.querySelector("#axial canvas");
        const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let count = 0;
        for (let i = 0; i < data.length; i += 4) count += data[i] > 200 && data[i + 1] < 130 && data[i + 2] > 150;
        return count;
    })()"""
    good.click_on("tr[data-rank='1'] button")
    good.run(DRAWN)
    assert good.run(pink) == 0
    assert "axes" not in good.run("document.getElementById('where').textContent")
    good.run("document.getElementById('viewer').focus()")
    good.press("m")
    good.run(DRAWN)
    assert good.run("viewer.mm()[2]") == pytest.approx(LEFT[2] + 4, abs=0.5)
    assert good.run(pink) > 20
    assert "axes of 1: 10.0 × 9.2 mm" in good.run("document.getElementById('where').textContent")
    label = good.run("document.querySelector(\"#pictures canvas[data-plane='axial']\").getAttribute('aria-label')")
    assert label == "axial, number 1, long axis 10.0 mm, short axis 9.2 mm"
    size = good.run("document.querySelector(\"tr[data-rank='1'] td[data-name='size']\").innerText")
    assert size.split("\n") == ["9.6 mm", "10.0 × 9.2", "7.9 to 11.3"]


def test_sliders_announce_millimetres_and_the_slice_by_which_a_pacs_finds_it(good) -> None:
    good.click_on('tr[data-rank="1"] td:nth-child(3)')
    good.run(DRAWN)
    said = good.run("[...document.querySelectorAll('.view input')].map(s => s.getAttribute('aria-valuetext'))")
    assert said == ["z 541.0 mm, image 39, slice 22 of 60 from below", "y -6.2 mm", "x 38.4 mm"]
    cells = good.run("[...document.querySelectorAll('tr[data-rank=\"1\"] td')].map(cell => cell.innerText)")
    assert cells[3].split("\n") == ["39", "slice 22, 542.0 mm"]


def test_a_type_stands_beside_the_density_that_it_is_by(good) -> None:
    cells = good.run("[...document.querySelectorAll('tr[data-rank=\"1\"] td')].map(cell => cell.innerText)")
    assert [cell.split("\n") for cell in cells[6:9]] == [
        ["−12 HU", "all −446 ± 80", "−702 to 31"],
        ["solid", "97 % ≥ −400 HU"],
        ["0.895"],
    ]


def test_findings_stand_apart_and_each_count_is_that_of_its_rows(page, folder) -> None:
    page.open(folder / "pages" / "chosen.html")
    page.wait(READY)
    heads = page.run("[...document.querySelectorAll('#nodules h2, #others h2')].map(head => head.textContent)")
    assert heads == ["Findings (1)", "Also looked at (1)"]
    for section in ("nodules", "others"):
        assert page.run(f"document.querySelectorAll('#{section} tbody tr').length") == 1
    assert "From 0.85 on a candidate is a finding" in page.run("document.getElementById('nodules').textContent")
    assert "number 2, which is no finding" in page.run("document.getElementById('answer').textContent")
    page.open(folder / "index.html")
    cells = page.run("[...document.querySelectorAll('.sortable tr')].map(r => [...r.cells].map(c => c.innerText)[3])")
    assert cells[0] == "Findings"
    assert sorted(cells[1:]) == ["", "", "", "2"]


def test_the_finer_surroundings_of_a_candidate_have_no_edge_and_the_page_says_of_them(page, folder) -> None:
    """Squares of finer grain looked like something in the patient."""
    page.open(folder / "pages" / "coarse.html")
    page.wait(READY)
    assert "voxels of 3 mm; around each candidate it is finer" in page.run("document.body.textContent")
    for plane in range(3):
        opacity = np.array(
            page.run(f"""(() => {{
                const crop = layers.crops[0], plane = PLANES[{plane}];
                const index = Math.round(crop.centre[plane.across] - crop.first_zyx[plane.across] - 0.5);
                const away = fading(crop, plane, index);
                return [...Array(crop.shape_zyx[plane.down]).keys()].map(row =>
                    [...Array(crop.shape_zyx[plane.right]).keys()].map(column => away(row, column)));
            }})()""")
        )
        assert opacity.max() == 255
        for edge in (opacity[0], opacity[-1], opacity[:, 0], opacity[:, -1]):
            assert edge.max() < 10
        steps = np.hypot(np.diff(opacity, axis=0)[:, 1:], np.diff(opacity, axis=1)[1:])
        assert steps.max() < 60  # of 255 a voxel of 1 mm
    assert page.errors == []


def test_a_click_into_a_slice_moves_the_crosshair_there(good) -> None:
    for canvas, plane in (
        ("#axial canvas", (2, 1, 1)),
        ("#coronal canvas", (2, 0, -1)),
        ("#sagittal canvas", (1, 0, -1)),
    ):
        across, down = shares(good, canvas, plane, LEFT)
        good.click_on(canvas, across, down)
        seen = [2 - k for k in plane[:2]]  # array axis k is world axis 2 - k
        np.testing.assert_allclose(crosshair_mm(good)[seen], np.array(LEFT)[seen], atol=0.6)


def test_keys_walk_through_candidates_slices_and_windows(good) -> None:
    good.run("document.getElementById('viewer').focus()")
    good.press("n")
    np.testing.assert_allclose(crosshair_mm(good), LEFT, atol=0.01)
    good.press("ArrowUp")
    assert crosshair_mm(good)[2] == pytest.approx(LEFT[2] + 1, abs=0.01)
    good.press("ArrowRight")
    assert crosshair_mm(good)[0] == pytest.approx(LEFT[0] + 1, abs=0.01)
    for key, name in (("2", "soft tissue"), ("3", "bone"), ("1", "lung")):
        good.press(key)
        pressed = good.run(
            "[...document.querySelectorAll('[data-window][aria-pressed=true]')].map(b => b.dataset.window)"
        )
        assert pressed == [name]
    good.press("+")
    assert good.run("viewer.state.zoom") == 1.5
    good.press("0")
    assert good.run("viewer.state.zoom") == 1
    assert good.errors == []


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["pages/good.html", "pages/bad.html", "index.html"])
def test_nothing_is_wider_than_the_window_and_colours_follow_the_reader(page, folder, name, size, dark) -> None:
    page.errors.clear()
    page.open(folder / name, size, dark=dark)
    if name == "pages/good.html":
        page.wait(READY)
    assert page.run("document.documentElement.scrollWidth") <= size[0]
    colour = page.run("getComputedStyle(document.body).backgroundColor")
    assert bool(np.mean(list(map(int, re.findall(r"\d+", colour)))) < 80) is dark
    assert page.errors == []


def test_no_word_of_the_table_is_cut_off_on_a_phone(page, folder) -> None:
    page.open(folder / "pages" / "good.html", NARROW)
    page.wait(READY)
    cut = """[...document.querySelectorAll('.cards td')].filter(cell => {
      const words = document.createRange(); words.selectNodeContents(cell);
      return words.getBoundingClientRect().right > cell.closest('tr').getBoundingClientRect().right;
    }).map(cell => cell.textContent)"""
    assert page.run(cut) == []


def test_words_that_came_from_elsewhere_stay_words(good) -> None:
    assert "</script><script>alert(1)</script>" in good.run("document.getElementById('quality').textContent")
    text = good.run("document.body.textContent")
    for words in ("Research use only. Not a medical device.", "62 %", "about 62 of 100", "0.410 to 0.800"):
        assert words in text


def test_a_scan_that_was_not_used_says_why_and_shows_nothing(page, folder) -> None:
    page.open(folder / "pages" / "bad.html")
    text = page.run("document.body.textContent")
    assert "This scan was not used" in text
    assert "Q_LUNGS_EMPTY" in text
    assert "no air inside a body" in text
    assert page.run("document.querySelectorAll('canvas').length") == 0


def test_the_cohort_stands_quarantined_first_and_is_sorted_by_a_press(page, folder) -> None:
    page.open(folder / "index.html")
    names = "[...document.querySelectorAll('.sortable tbody tr')].map(r => r.cells[0].textContent)"
    assert page.run(names) == ["bad", "other", "good", "third"]
    page.click_on("th:nth-child(3) button")
    assert page.run(names) == ["third", "good", "other", "bad"]
    page.click_on("th:nth-child(3) button")
    assert page.run(names) == ["other", "good", "third", "bad"]
    page.click_on("th:nth-child(1) button")
    assert page.run(names) == ["bad", "good", "other", "third"]
    assert page.run("document.querySelectorAll('svg').length") == 2
    assert "10.0 mm, solid, right middle" in page.run("document.querySelector('.sortable tbody').textContent")
    page.click_on("a[href='pages/good.html']")
    page.wait(READY)


def test_the_index_puts_classifiers_side_by_side_before_the_scans(page, folder) -> None:
    page.open(folder / "index.html", NARROW)
    assert page.run("[...document.querySelectorAll('h3 + .scroll td')].map(cell => cell.textContent)") == [
        "m2<i>", "40", *(["0.500 (0.400 to 0.600)"] * 4)]  # fmt: skip
    assert page.run("document.querySelector('h3').compareDocumentPosition(document.querySelector('.sortable')) & 4")
    assert page.run("document.documentElement.scrollWidth <= window.innerWidth")
