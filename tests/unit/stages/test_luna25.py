"""`lungline luna25` and `luna25-score`: the challenge's own files in and out, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from sklearn.metrics import roc_auc_score

from lungline import NOTICE
from lungline.cli import main
from lungline.errors import LunglineError
from lungline.imaging.volume import Volume
from lungline.nodules.given_points import Point, place_in
from lungline.stages import luna25, luna25_score, predict
from phantoms import make_chest
from untrained import untrained_bundle

LESION = ((60.0, 60.0, 36.0), 6.0, 40.0)  # (z, y, x) mm, radius, HU: in the right lung
PLACES = {"in_lung": [36, 60, 60], "far": [4.0, 4.0, 60.0], "beyond": [36.0, 60.0, 999.0], "again": [36, 60, 60]}


def point_list(places: dict, **more) -> dict:
    points = [{"name": name, "point": place} for name, place in places.items()]
    return {"name": "Nodules", "type": "Multiple points", "points": points, "version": {"major": 1, "minor": 0}, **more}


def write_case(folder: Path, content: object, image: sitk.Image | None = None) -> Path:
    (folder / "images/chest-ct").mkdir(parents=True, exist_ok=True)
    if image is not None:
        sitk.WriteImage(image, folder / "images/chest-ct/0c1d.mha", useCompression=True)
    (folder / "nodule-locations.json").write_text(json.dumps(content))
    (folder / "clinical-information-lung-ct.json").write_text('{"age": 63, "gender": "Female"}')
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return untrained_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def image() -> sitk.Image:
    ct = make_chest(spacing_mm=2.0, lesions=[LESION], windpipe=False).ct
    image = sitk.GetImageFromArray(ct.array.round().astype(np.int16))
    image.SetSpacing([2.0, 2.0, 2.0])
    image.SetOrigin(ct.affine[:3, 3].tolist())
    return image


@pytest.fixture(scope="module")
def answered(tmp_path_factory, bundle, image) -> Path:
    case = write_case(tmp_path_factory.mktemp("case"), point_list(PLACES), image)
    luna25.run(case, case / "output", bundle=bundle, device="cpu")
    return case


def points_of(folder: Path) -> list[dict]:
    return json.loads((folder / "lung-nodule-malginancy-likelihoods.json").read_text())["points"]


def test_every_point_is_answered_under_its_name_and_place_in_the_order_of_the_case(answered) -> None:
    content = json.loads((answered / "output/lung-nodule-malginancy-likelihoods.json").read_text())
    assert {key: content[key] for key in ("type", "version")} == {
        "type": "Multiple points",
        "version": {"major": 1, "minor": 0},
    }
    assert set(content) == {"name", "type", "points", "version"}
    assert [set(one) for one in content["points"]] == [{"name", "point", "probability"}] * 4
    assert [(one["name"], one["point"]) for one in content["points"]] == list(PLACES.items())
    first, far, beyond, again = (one["probability"] for one in content["points"])
    assert 0 < first == again <= 1
    assert far == beyond == luna25.NO_ANSWER


def test_the_answer_is_that_of_predict_with_points(answered, bundle, image, tmp_path) -> None:
    (tmp_path / "p.csv").write_text("x_mm,y_mm,z_mm\n36,60,60\n36,60,60\n")
    scan = next((answered / "images/chest-ct").iterdir())
    options = {"bundle": bundle, "pages": False, "dicom": False, "device": "cpu", "points": tmp_path / "p.csv"}
    predict.run(scan, out=tmp_path / "out", **options)
    (table,) = (tmp_path / "out/points").glob("*.csv")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    wanted = [one["probability"] for one in points_of(answered / "output") if one["probability"]]
    assert [float(row["cancer_probability"]) for row in rows] == wanted


def test_the_same_case_gives_the_same_bytes_and_points_without_an_answer_a_line(answered, bundle, capsys) -> None:
    assert main(["luna25", str(answered), str(answered / "b"), "--bundle", str(bundle), "--device", "cpu"]) == 0
    files = [answered / name / "lung-nodule-malginancy-likelihoods.json" for name in ("output", "b")]
    assert files[0].read_bytes() == files[1].read_bytes()
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "point 2 of 4: outside-lungs, not scored, answered with 0",
        "point 3 of 4: outside-scan, not scored, answered with 0",
    ]
    assert NOTICE in said.out


def test_a_case_without_points_gets_an_empty_list_and_no_model(tmp_path) -> None:
    case = write_case(tmp_path, point_list({}))
    (case / "images/chest-ct/a.mha").write_bytes(b"never read")
    luna25.run(case, tmp_path / "out")
    assert points_of(tmp_path / "out") == []


def test_a_damaged_image_is_one_line_and_no_answer(tmp_path, capsys) -> None:
    case = write_case(tmp_path, point_list(PLACES))
    (case / "images/chest-ct/a.mha").write_bytes(b"ObjectType = Image\n")
    assert main(["luna25", str(case), str(tmp_path / "out")]) == 2
    assert "Q_BAD_MHD" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ([], "expected a JSON object"),
        ({"type": "Point", "point": [1, 2, 3]}, "expected 'type': 'Multiple points'"),
        (point_list({}, points={}), "'points', a list"),
        (point_list({}, points=[{"name": "", "point": [0, 0, 0]}] * 10_001), "at most 10000"),
        (point_list({"a": [1, 2, 3], "b": [1, 2]}), "point 2 of 2: expected name"),
        (point_list({"a": [1, 2, "3"]}), "point 1 of 1"),
        (point_list({"a": [1, 2, True]}), "point 1 of 1"),
        (point_list({"a": [1, 2, float("nan")]}), "point 1 of 1"),
        (point_list({"a": [1, 2, 10**400]}), "expected JSON"),
        (point_list({}, points=[{"point": [0, 0, 0]}]), "point 1 of 1"),
        (point_list({}, points=[3]), "point 1 of 1"),
    ],
)
def test_what_is_no_list_of_points_is_refused(content, complaint, tmp_path) -> None:
    case = write_case(tmp_path, content)
    (case / "images/chest-ct/a.mha").touch()
    with pytest.raises(LunglineError, match=complaint):
        luna25.run(case, tmp_path / "out")


@pytest.mark.parametrize(("files", "found"), [((), "Found 0"), (("a.mha", "b.mha"), "Found 2"), (("a.tif",), ".tif")])
def test_a_case_has_one_image(files, found, tmp_path) -> None:
    case = write_case(tmp_path, point_list(PLACES))
    for name in files:
        (case / "images/chest-ct" / name).touch()
    with pytest.raises(LunglineError, match=rf"chest-ct: expected one image, \.mha\. .*{found}"):
        luna25.run(case, tmp_path / "out")


def test_missing_points_and_damaged_clinical_information_are_named(tmp_path) -> None:
    case = write_case(tmp_path, point_list(PLACES))
    (case / "images/chest-ct/a.mha").touch()
    (case / "clinical-information-lung-ct.json").write_text("{")
    with pytest.raises(LunglineError, match="clinical-information-lung-ct"):
        luna25.run(case, tmp_path / "out")
    (case / "nodule-locations.json").unlink()
    with pytest.raises(LunglineError, match=r"nodule-locations\.json: no such file"):
        luna25.run(case, tmp_path / "out")


def test_a_point_beside_the_lungs_is_taken_to_their_nearest_voxel_if_that_is_near() -> None:
    mask = np.zeros((5, 7, 9), bool)
    mask[2, 3, 4:6] = True
    lungs = Volume(mask, np.array([[0, 0, 1, 10.0], [0, 1, 0, 20], [1, 0, 0, 30], [0, 0, 0, 1]]))
    inside, beside, outside = Point(2, (14.2, 23.0, 32.0)), Point(3, (17.0, 23.0, 32.0)), Point(4, (14.0, 23.0, 99.0))
    assert place_in(inside, lungs, 0.0) == inside
    assert place_in(beside, lungs, 2.0) == Point(3, (15.0, 23.0, 32.0))
    assert place_in(beside, lungs, 1.9) is None
    assert place_in(outside, lungs, 100.0) is None


def answers(folder: Path, name: str, scores: dict[str, float]) -> None:
    points = [{"name": key, "point": [0, 0, 0], "probability": p} for key, p in scores.items()]
    (folder / name).mkdir(parents=True)
    (folder / name / "lung-nodule-malginancy-likelihoods.json").write_text(json.dumps(point_list({}, points=points)))


def truth(folder: Path, rows: str) -> Path:
    (folder / "truth.csv").write_text("PatientID,AnnotationID,label\n" + rows)
    return folder / "truth.csv"


def test_a_set_of_cases_is_scored_as_scikit_learn_and_delong_do(tmp_path, capsys) -> None:
    rng = np.random.default_rng(5)
    labels = {f"n{k}": int(rng.random() < 0.4) for k in range(40)}
    scores = {name: float(np.clip(np.round(rng.normal(0.4 + 0.2 * y, 0.2), 2), 0, 1)) for name, y in labels.items()}
    table = truth(tmp_path, "".join(f"p,{name},{y}\n" for name, y in labels.items()) + "p,unanswered,1\n")
    answers(tmp_path / "jobs", "1", dict(list(scores.items())[:25]))
    answers(tmp_path / "jobs", "2/output", dict(list(scores.items())[25:]))
    command = ["luna25-score", str(tmp_path / "jobs"), str(table), "--out", str(tmp_path / "o.json")]
    assert main(command) == 0
    result = json.loads((tmp_path / "o.json").read_text())
    y, p = np.array(list(labels.values())), np.array(list(scores.values()))
    assert (result["nodules"], result["malignant"], result["without_answer"]) == (40, y.sum(), 1)
    assert result["auc"]["value"] == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    psi = np.array([[(a > b) + 0.5 * (a == b) for b in p[y == 0]] for a in p[y == 1]])
    variance = psi.mean(1).var(ddof=1) / len(psi) + psi.mean(0).var(ddof=1) / psi.shape[1]
    assert result["auc"]["low"] == pytest.approx(psi.mean() - 1.959963984540054 * np.sqrt(variance), abs=1e-12)
    assert set(result["at"]) == {"specificity 0.95", "sensitivity 0.95"}
    page = capsys.readouterr().out
    assert "40 nodules" in page
    assert (
        f"| sensitivity at specificity 0.95 | {result['at']['specificity 0.95']['sensitivity']['value']:.3f} (" in page
    )
    assert NOTICE in page


def test_what_does_not_belong_to_the_truth_or_stands_twice_is_refused(tmp_path) -> None:
    table = truth(tmp_path, "p,a,1\np,b,0\n")
    answers(tmp_path / "x", "1", {"a": 0.5, "z": 0.1})
    with pytest.raises(LunglineError, match="1 of 2 names are not in"):
        luna25_score.run(tmp_path / "x", table, out=tmp_path / "o.json")
    answers(tmp_path / "y", "1", {"a": 0.5})
    answers(tmp_path / "y", "2", {"a": 0.6})
    (tmp_path / "none").mkdir()
    with pytest.raises(LunglineError, match="stood there before"):
        luna25_score.run(tmp_path / "y", table, out=tmp_path / "o.json")
    with pytest.raises(LunglineError, match="no answered point"):
        luna25_score.run(tmp_path / "none", table, out=tmp_path / "o.json")
    answers(tmp_path / "w", "1", {"a": 1.5})
    with pytest.raises(LunglineError, match="probability"):
        luna25_score.run(tmp_path / "w", table, out=tmp_path / "o.json")
    with pytest.raises(LunglineError, match=r"2 faults(.|\n)*line 3(.|\n)*line 4"):
        luna25_score.run(tmp_path / "x", truth(tmp_path, "p,a,1\np,a,1\np,b,maybe\n"), out=tmp_path / "o.json")


def test_one_class_has_a_reason_and_no_points(tmp_path) -> None:
    answers(tmp_path / "x", "1", {"a": 0.5, "b": 0.1})
    luna25_score.run(tmp_path / "x", truth(tmp_path, "p,a,0\np,b,0\n"), out=tmp_path / "o.json")
    assert "all cases have one class" in (tmp_path / "o.md").read_text()
