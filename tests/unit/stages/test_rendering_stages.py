"""Figures and curves from the files of a run."""

import numpy as np
import pytest

from lungline.config.loading import config_text, read_config
from lungline.detection.candidates import extract_candidates, write_candidates
from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.imaging.volume import Volume
from lungline.stages import plot_curves, render_figures
from lungline.storage import hdf5
from lungline.storage.hdf5 import Flag, Header, volume_field
from lungline.storage.predictions import Prediction, write_predictions
from lungline.storage.results import read_result, write_result

DETECTORS = {"small": {"network": {"base_channels": 2, "levels": 2}, "training": {"steps": 1, "batch": 1}}}


def files(folder, flags=()):
    shape, box = (20, 24, 28), (slice(2, 18), slice(3, 22), slice(4, 25))
    ct = Volume(np.full(shape, -850, np.float32), geometry.make_affine((1, 1, 1), (-5, 6, 70)))
    mask = np.zeros(shape, bool)
    mask[box] = True
    nodule = np.zeros(shape, bool)
    nodule[8:12, 9:13, 10:14] = True
    nodules = ct.with_array(nodule).crop(box)
    probability = nodules.with_array(nodules.array.astype(np.float16))
    content = {
        "volume": {"ct": volume_field(ct, "HU", "")},
        "lungs": {name: volume_field(ct.with_array(mask), "1", "") for name in ("lungs", "mask")},
        "cache": {"ct": volume_field(ct.crop(box), "HU", "")},
        "detected": {"probability": volume_field(probability, "1", "")},
        "nodules": {"nodules": volume_field(nodules, "1", "")},
    }
    quarantined = any(flag.flag.startswith("Q_") for flag in flags)
    for name, fields in content.items():
        hdf5.write_file(folder / f"{name}.h5", Header(name, name, tuple(flags)), {} if quarantined else fields)
    write_candidates(
        folder / "candidates.csv", "s", [] if quarantined else extract_candidates(probability, threshold=0.8)[0]
    )
    paths = {name: folder / f"{name}.h5" for name in content}
    (folder / "config.json").write_text(config_text(read_config({"detectors": DETECTORS})))
    drawn = {"config": folder / "config.json", "detector": "small"}
    return {"scan": "s", "candidates": folder / "candidates.csv", **drawn, **paths}


def test_five_figures_and_a_page_are_written(tmp_path):
    render_figures.run(tmp_path / "out", **files(tmp_path))
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == [
        "README.md", *(f"figure{n}.png" for n in range(1, 6)),
    ]  # fmt: skip


def test_without_annotations_the_page_says_so(tmp_path):
    render_figures.run(tmp_path / "out", **{**files(tmp_path), "nodules": None})
    assert not (tmp_path / "out" / "figure2.png").exists()
    assert "figure2, not drawn: this scan has no annotations" in (tmp_path / "out" / "README.md").read_text()


def test_a_quarantined_scan_gets_its_reason(tmp_path):
    render_figures.run(tmp_path / "out", **files(tmp_path, [Flag("Q_LUNGS_EMPTY", "0 ml")]))
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == ["README.md", "not_used.png"]
    assert "Q_LUNGS_EMPTY: no lung was found" in (tmp_path / "out" / "README.md").read_text()


def test_curves_of_what_is_given_are_drawn(tmp_path):
    rows = [Prediction(f"p{i}", "dsb17", "test", i % 2, 0.2 + 0.1 * i, "ok", (), "m2") for i in range(6)]
    write_predictions(tmp_path / "predictions.csv", [*rows, Prediction("u", "folder", "test", None, 0.5, "ok")])
    froc = {"cpm": {"value": None, "reason": "no annotated nodule"}, "curve": None}
    write_result(tmp_path / "detection.json", {"split": "test", "froc": froc})
    curve = tmp_path / "paper" / "z" / "learning_curve.csv"
    curve.parent.mkdir(parents=True)
    curve.write_text("step,train_loss,valid_loss\n1,2,3\n2,1,2\n")
    plot_curves.run(tmp_path / "one", learning_curves=(curve,))
    assert [path.name for path in (tmp_path / "one").glob("[!.]*")] == ["learning_curves.png"]
    plot_curves.run(
        tmp_path / "all",
        predictions=tmp_path / "predictions.csv",
        detection=tmp_path / "detection.json",
        learning_curves=(curve, curve),
    )
    assert sorted(p.name for p in (tmp_path / "all").glob("[!.]*")) == [
        "froc.png",
        "learning_curves.png",
        "roc_reliability.png",
    ]


def test_nothing_to_draw_is_refused(tmp_path):
    with pytest.raises(LunglineError, match="nothing to plot"):
        plot_curves.run(tmp_path)


def test_a_result_is_refused_when_it_is_none_of_ours(tmp_path):
    for text in ("{", "[]", '{"notice": "other"}'):
        (tmp_path / "r.json").write_text(text)
        with pytest.raises(LunglineError, match=r"not a result|expected (a )?JSON"):
            read_result(tmp_path / "r.json")


def test_a_result_never_holds_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_result(tmp_path / "r.json", {"value": float("nan")})
    assert not (tmp_path / "r.json").exists()
