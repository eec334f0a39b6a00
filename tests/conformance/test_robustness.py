"""The robustness trial can tell right from silently wrong: a fake tool for every verdict."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.conformance.robustness import mutants, reference_reader, scoreboard
from tests.conformance.robustness.analytic_phantom import make_grid
from tests.conformance.robustness.dicom_cases import dicom_cases
from tests.conformance.robustness.judge import GroundTruth, as_expected, fault_of, judge
from tests.conformance.robustness.mhd_cases import mhd_cases
from tests.conformance.robustness.mixes import apart
from tests.conformance.robustness.nifti_cases import nifti_cases
from tests.conformance.robustness.scoreboard import Row
from tests.conformance.robustness.tool_client import tools

GRID = make_grid((30, 40, 48), (4.0, 2.1, 1.7))
GROUND_TRUTH = GroundTruth("answer", GRID)
CASES = {case.title: case for part in (dicom_cases, mhd_cases, nifti_cases) for case in part()}


def scaled(axis: int, factor: float) -> np.ndarray:
    affine = GRID.affine.copy()
    affine[:3, axis] *= factor
    return affine


def moved(*shift_mm: float) -> np.ndarray:
    affine = GRID.affine.copy()
    affine[:3, 3] += shift_mm
    return affine


def test_the_truth_itself_is_right_in_any_orientation() -> None:
    hu = GRID.hu()
    assert fault_of(hu, GRID.affine, GROUND_TRUTH) == ""
    turned = GRID.affine.copy()
    turned[:3, 3] += turned[:3, 0] * (len(hu) - 1)
    turned[:3, 0] *= -1
    assert fault_of(hu[::-1], turned, GROUND_TRUTH) == ""
    assert fault_of(hu.transpose(2, 0, 1), GRID.affine[:, [2, 0, 1, 3]], GROUND_TRUTH) == ""


@pytest.mark.parametrize(
    ("affine", "word"),
    [
        (scaled(0, 2.639 / 2.5), "spacing"),
        (scaled(0, 1.002), "spacing"),
        (scaled(2, 0.99), "spacing"),
        (moved(0.8, 0, 0), "off"),
        (moved(0, -0.8, 0), "off"),
        (moved(0, 0, 0.8), "off"),
        (moved(0, 0, 30), "scanned space"),
        (np.eye(4), "spacing"),
    ],
)
def test_a_tool_that_gives_another_geometry_is_silently_wrong(affine: np.ndarray, word: str) -> None:
    found = judge("answered", "", [(GRID.hu(), affine)], GROUND_TRUTH)
    assert found.verdict == "silently wrong"
    assert word in found.words


@pytest.mark.parametrize(
    "change",
    [
        lambda hu: hu + 10,
        lambda hu: hu * 2,
        lambda hu: hu[:, :, ::-1],
        lambda hu: hu[:, ::-1],
        lambda hu: hu[::-1],
        lambda hu: np.zeros_like(hu),
        lambda hu: hu.astype(np.uint8),
        lambda hu: np.roll(hu, 1, axis=0),
    ],
    ids=["10-hu", "doubled", "left-right", "front-back", "head-feet", "nothing", "8-bit", "one-slice"],
)
def test_a_tool_that_gives_other_voxels_is_silently_wrong(change) -> None:
    assert judge("answered", "", [(change(GRID.hu()), GRID.affine)], GROUND_TRUTH).verdict == "silently wrong"


def test_half_a_scan_is_silently_wrong() -> None:
    assert "scanned space" in fault_of(GRID.hu()[:15], GRID.affine, GROUND_TRUTH)


def test_an_answer_where_none_can_be_known_is_silently_wrong() -> None:
    assert judge("answered", "", [(GRID.hu(), GRID.affine)], GroundTruth("refuse", GRID)).verdict == "silently wrong"
    assert judge("answered", "", [], GROUND_TRUTH).verdict == "silently wrong"


def test_refusals_crashes_and_hangs_keep_their_names() -> None:
    outcomes = {"refused": "refused clearly", "raised": "refused by traceback", "crashed": "crashed", "hung": "hung"}
    assert {outcome: judge(outcome, "", [], GROUND_TRUTH).verdict for outcome in outcomes} == outcomes
    assert not as_expected("refused clearly", "answer")
    assert as_expected("refused clearly", "refuse")
    assert not any(as_expected("silently wrong", expect) for expect in ("answer", "refuse", "either"))  # type: ignore[arg-type]


def test_a_case_that_is_not_kept_or_takes_too_much_memory_stands_in_the_report() -> None:
    good = Row("cases", "dicom/a/b", "a", "lungline", "answer", "right", "", True, 0.1, 90.0)
    bad = dataclasses.replace(good, title="dicom/a/c", verdict="silently wrong", kept=False)
    fat = dataclasses.replace(good, title="dicom/a/d", peak_mib=4000.0)
    assert scoreboard.broken([good]) == []
    assert [row.title for row in scoreboard.broken([good, bad, fat])] == ["dicom/a/c", "dicom/a/d"]
    text = scoreboard.page([good, bad, fat], ["lungline", "dcm2niix"], "")
    assert "| lungline | 3 | 2 | 0 | 0 | 1 | 0 | 0 |" in text
    assert "| dcm2niix | not run |" in text


def test_there_are_at_least_300_cases_of_50_kinds_with_names_of_their_own() -> None:
    every = [case.title for part in (dicom_cases, mhd_cases, nifti_cases) for case in part()]
    assert len(every) == len(set(every)) >= 300
    assert len({(case.source, case.kind) for case in CASES.values()}) >= 50


def test_a_server_answers_refuses_and_outlives_a_hang(tmp_path: Path) -> None:
    with tools(["lungline"], None, 20.0) as started:
        outcomes = []
        for k, title in enumerate(("nifti/sound/nii", "mhd/data-file/parent", "mhd/sound/zraw")):
            case = CASES[title]
            (tmp_path / str(k)).mkdir()
            reply = started[0].read(case.build(tmp_path / str(k)), case.source)
            outcomes.append(judge(reply.outcome, reply.words, reply.answers, case.ground_truth).verdict)
            assert 10 < reply.peak_mib < 2048
        assert outcomes == ["right", "refused clearly", "right"]


def test_work_that_raises_is_told_from_work_that_ends_well() -> None:
    assert apart(lambda: None) == ""
    assert apart(lambda: [][1]) == "IndexError: list index out of range"


# ---- mutants -------------------------------------------------------------------------------------------------


def answer(mutant: mutants.Mutant, array: np.ndarray, affine: np.ndarray) -> str:
    return mutant.judge("answered", "", [(array, affine)]).verdict


def test_the_same_seed_draws_the_same_mutants_byte_for_byte(tmp_path: Path) -> None:
    for k, mutant in enumerate(mutants.draw(3, 12)):
        one, two = (mutant.build(tmp_path / f"{k}{part}") for part in "ab")
        files = [sorted(p.read_bytes() for p in path.parent.rglob("*") if p.is_file()) for path in (one, two)]
        assert files[0] == files[1]


def test_of_a_changed_slice_only_its_own_pixels_may_differ() -> None:
    grid = mutants.GRID
    mutant = mutants.Mutant("dicom", "explicit", "flip-bits", 5)
    changed = mutant._changed_slice()
    hu = grid.hu()
    other = hu.copy()
    other[changed] += 50
    assert answer(mutant, hu, grid.affine) == "right"
    assert answer(mutant, other, grid.affine) == mutants.AS_WRITTEN
    other[(changed + 3) % len(hu)] += 50
    assert answer(mutant, other, grid.affine) == "silently wrong"
    stretched = grid.affine.copy()
    stretched[:3, 0] *= 1.05
    assert answer(mutant, hu, stretched) == "silently wrong"
    if changed not in (0, len(hu) - 1):
        assert answer(mutant, hu[1:], grid.affine) == "silently wrong"


def test_a_strict_reading_agrees_with_the_sound_files_and_refuses_contradictions(tmp_path: Path) -> None:
    for title in ("mhd/sound/raw", "mhd/sound/zraw", "mhd/sound/mha", "nifti/sound/nii", "nifti/sound/gz"):
        case = CASES[title]
        (tmp_path / case.name).mkdir()
        path = case.build(tmp_path / case.name)
        read = reference_reader.read_metaimage(path) if case.source == "mhd" else reference_reader.read_nifti(path)
        assert read is not None
        assert fault_of(*read, case.ground_truth) == ""
    for title in ("mhd/truncated/zraw-0.9", "mhd/damaged-zraw/checksum", "nifti/forms-contradict/spacing"):
        case = CASES[title]
        folder = tmp_path / case.kind
        folder.mkdir()
        path = case.build(folder)
        assert (
            reference_reader.read_metaimage(path) if case.source == "mhd" else reference_reader.read_nifti(path)
        ) is None
