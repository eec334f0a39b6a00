from pathlib import Path

import pytest

from lungline.config.models import Implanted
from lungline.errors import LunglineError
from lungline.splits import split_of_luna_fold
from lungline.synthetic.implant_plan import plan_implantation, read_nodule_rows, refuse_shared_patients, split_of_source
from unit.synthetic.nodule_folder import settings_for, write_nodules


def test_patients_are_dealt_once_and_for_all(tmp_path: Path) -> None:
    write_nodules(tmp_path, patients=40)
    plans = plan_implantation(3, Implanted(**settings_for(tmp_path)))
    refuse_shared_patients(plans)
    assert {plan.split for plan in plans} == {"train", "valid", "test"}
    for plan in plans:
        assert {split_of_source(row.patient, 3) for row in plan.sources} == {plan.split}
        assert split_of_luna_fold(plan.fold) == plan.split


def test_every_nodule_comes_once_before_one_comes_again(tmp_path: Path) -> None:
    write_nodules(tmp_path, patients=40)
    plans = [plan for plan in plan_implantation(3, Implanted(**settings_for(tmp_path))) if plan.split == "train"]
    names = [row.name for plan in plans for row in plan.nodules]
    own = {row.name for row in read_nodule_rows(tmp_path) if split_of_source(row.patient, 3) == "train"}
    assert len(names) > len(own)
    assert all(len({row.name for row in plan.nodules}) == len(plan.nodules) for plan in plans)
    assert set(names) == own


def test_more_scans_leave_the_first_ones_as_they_were(tmp_path: Path) -> None:
    write_nodules(tmp_path, patients=40)
    few, more = settings_for(tmp_path), settings_for(tmp_path)
    more["scans"]["train"]["scans"] += 5
    assert [
        p for p in plan_implantation(3, Implanted(**more)) if p in plan_implantation(3, Implanted(**few))
    ] == plan_implantation(3, Implanted(**few))


def test_patients_that_test_elsewhere_are_never_implanted(tmp_path: Path) -> None:
    write_nodules(tmp_path, patients=4, first="LIDC-IDRI-000")
    assert {row.patient for row in read_nodule_rows(tmp_path)} == {"LIDC-IDRI-0000", "LIDC-IDRI-0002"}


def test_a_chest_with_thick_slices_takes_no_small_nodule(tmp_path: Path) -> None:
    write_nodules(tmp_path, patients=40)
    settings = settings_for(tmp_path)
    settings["chests"]["a"]["smallest_mm"] = 9
    plans = plan_implantation(3, Implanted(**settings))
    assert min(row.diameter_mm for plan in plans if plan.chest == "a" for row in plan.nodules) >= 9


def test_a_split_without_a_chest_is_refused(tmp_path: Path) -> None:
    write_nodules(tmp_path, patients=40)
    settings = settings_for(tmp_path)
    settings["chests"]["b"]["splits"] = ["train"]
    with pytest.raises(LunglineError, match="no chest for the split 'test'"):
        plan_implantation(3, Implanted(**settings))


def test_a_chest_that_is_left_out_is_tested_on_and_nothing_else_changes(tmp_path: Path) -> None:
    write_nodules(tmp_path, patients=40)
    settings = settings_for(tmp_path)
    settings["chests"]["b"]["splits"] = ["train", "valid", "test"]
    all_chests = plan_implantation(3, Implanted(**settings))
    plans = plan_implantation(3, Implanted(**settings, leave_out="a"))
    learnt = [plan for plan in plans if plan.split != "test"]
    assert learnt == [plan for plan in all_chests if plan.split != "test" and plan.chest != "a"]
    assert 0 < len(learnt) < len([plan for plan in all_chests if plan.split != "test"])
    tested = [plan for plan in plans if plan.split == "test"]
    assert {plan.chest for plan in tested} == {"a"}
    assert [plan.nodules for plan in tested] == [plan.nodules for plan in all_chests if plan.split == "test"]


def test_a_chest_that_is_not_there_cannot_be_left_out(tmp_path: Path) -> None:
    write_nodules(tmp_path, patients=40)
    with pytest.raises(LunglineError, match=r"no chest is called 'z'. Take a name from implanted.chests."):
        plan_implantation(3, Implanted(**settings_for(tmp_path), leave_out="z"))
