"""The ruler itself: pairs, ratios, verdicts, and that the literal way gives the answer of the quick one. No clock."""

import json
import subprocess

import numpy as np
import pytest
import torch

from benchmarks.speed import report, stages
from benchmarks.speed.measure import Check, Comparison, Took, dice, interleave, peak_mib, run_command, timed
from benchmarks.speed.networks import CPU
from benchmarks.speed.simulated_adult import SimulatedAdult
from lungline.allocator import keep_freed_memory
from lungline.classification.cancer_net import CancerNet
from lungline.config.networks import CancerNetSpec, UNetSpec
from lungline.detection.axis_ensemble import predict_axis
from lungline.detection.candidates import extract_candidates
from lungline.detection.unet import UNet
from lungline.imaging.lungs import add_margin, segment_lungs
from lungline.readers.scan import read_scan
from tests import literal

MACHINE = {
    "cpu": "a", "cores": 2, "threads": 1, "load_average": 0.1, "flags": ["f"], "copy_gb_s": 1,
    "fp32_matmul_gflop_s_numpy": 1, "fp32_matmul_gflop_s_torch": 1, "bf16_matmul_gflop_s_torch": 1,
    "versions": {"numpy": "2"},
}  # fmt: skip


@pytest.fixture(scope="module")
def adult(tmp_path_factory):
    return SimulatedAdult(tmp_path_factory.mktemp("speed"), pairs=1, shape_zyx=(66, 190, 200), scale=0.38)


def test_the_two_ways_take_turns():
    said, now = [], [0.0]

    def way(name, seconds):
        def work():
            said.append(name)
            now[0] += seconds
            return name

        return work

    def measured(work):
        return timed(work, clock=lambda: Took(now[0], 10 * now[0]))

    taken, theirs, ours = interleave(way("t", 6.0), way("o", 2.0), 3, measured, measured)
    assert "".join(said) == 3 * "to"
    assert (theirs, ours) == ("t", "o")
    assert taken == 3 * [(Took(6.0, 60.0), Took(2.0, 20.0))]


def comparison(*, min_score=None, found=0.0, pairs=((8, 1), (2, 1), (3, 1))):
    taken = [(Took(theirs, 2 * theirs), Took(ours, ours)) for theirs, ours in pairs]
    return Comparison(1, "what", "their way", "our way", taken, min_score, (Check("error", found, "<=", 0.1),))


def test_the_ratio_is_the_median_of_the_pairs_ratios():
    assert comparison().cpu_ratio == 3
    assert comparison(pairs=((10, 1), (10, 10), (100, 50))).cpu_ratio == 2  # not 10 / 10


def test_a_wrong_answer_is_no_goal_reached():
    assert comparison().verdict == "reported"
    assert comparison(min_score=3).verdict == "reached"
    assert comparison(min_score=3.1).verdict == "missed"
    assert comparison(min_score=3, found=0.2).verdict == "WRONG"
    assert comparison(min_score=3, found=float("nan")).verdict == "WRONG"


def test_the_table_has_a_line_each_and_the_file_every_pair(tmp_path):
    text = report.write(tmp_path, MACHINE, [comparison(min_score=3.1), comparison(found=1.0)])
    rows = [line for line in text.splitlines() if line.startswith("| 1 |")]
    assert [row.split(" | ")[-1] for row in rows] == ["missed |", "WRONG |"]
    assert len({row.count("|") for row in text.splitlines() if row.startswith("|")}) == 1
    about = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert about["comparisons"][0]["pairs_cpu_wall_s"][1] == [2, 1, 4, 1]
    assert "Not a medical device" in about["notice"]


def test_peak_memory_is_that_of_the_work_alone_whatever_was_freed_before():
    keep_freed_memory()
    arrays = [np.ones(3 << 20) for _ in range(4)]
    del arrays
    assert 30 < peak_mib(lambda: np.ones(32 << 17)) < 60
    assert np.isnan(peak_mib(lambda: 1 / 0))


def test_the_literal_lungs_and_margin_are_ours(adult):
    lungs, fine = adult.lungs, adult.fine
    with literal.slow_shapes():
        assert np.array_equal(segment_lungs(fine)[0], lungs)
    assert lungs.any()
    assert np.array_equal(literal.dilate(lungs, 5), add_margin(lungs, fine, 5.0))


def test_the_literal_spline_and_candidates_are_ours(adult):
    expected = literal.spline_at_our_places(adult.ct, adult.fine.shape_zyx)
    assert np.abs(adult.fine.array - expected).max() < 0.001
    found, _ = extract_candidates(adult.probability, threshold=0.6, count=5)
    wanted = literal.strongest(adult.probability.array.astype(np.float64), 0.6, 5)
    assert len(found) == len(wanted) > 0
    for one, (total, place) in zip(found, wanted, strict=True):
        assert one.sum_probability == pytest.approx(total, abs=1e-6)
        assert (one.z, one.y, one.x) == pytest.approx(place, abs=1e-6)


@pytest.mark.parametrize("compressed", [False, True])
def test_the_literal_reader_reads_what_ours_reads(adult, compressed):
    folder = adult.dicom(compressed=compressed)
    assert np.array_equal(literal.read_dicom(folder), read_scan(folder, "dicom")[0].array)


def test_the_literal_networks_are_ours():
    torch.manual_seed(0)
    network = UNet(UNetSpec(base_channels=4, levels=3)).eval()
    image = np.random.default_rng(0).random((2, 20, 28), dtype=np.float32)
    np.testing.assert_allclose(literal.detect_slices(network, image), predict_axis(image, network, "z", CPU), atol=1e-5)
    cancer = CancerNet(CancerNetSpec(shape_zyx=(16, 16, 16), channels=(2, 2, 4, 4, 4, 4), dense=8)).eval()
    cubes = torch.rand(3, 2, 16, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(literal.Table2(cancer).eval()(cubes), cancer(cubes))


def test_nodules_lie_in_the_lungs_of_the_adult(adult):
    assert dice(adult.nodules, adult.nodules & adult.mask) > 0.95


def test_the_memory_that_every_command_of_a_scan_may_take_is_read_off_the_rules():
    found, most = stages.declared(0), stages.declared(2**28)
    commands = ["ingest", "resample", "segment-lungs", "cache-volume", "detect", "extract-candidates", "crop-patches"]
    assert all(most[command] > found[command] >= 500 for command in commands)


def test_a_command_that_fails_stops_the_measurement():
    with pytest.raises(subprocess.CalledProcessError):
        run_command(["false"])


def test_the_table_of_commands_ends_with_the_sums():
    costs = [stages.Cost("a", Took(1.0, 2.0, 300.0), 500, 4.0), stages.Cost("b", Took(0.5, 1.0, 100.0), 500, 0.5)]
    assert stages.table(costs).splitlines()[-1] == "| all | 1.50 | 3.00 | 300 |  | 4.5 |"
