"""What would run, and what is refused, without running it."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lungline.config.models import Cohort
from lungline.splits import split_of_patient
from lungline.synthetic.cohort import plan_cohort
from unit.synthetic.nodule_folder import write_nodules

pytestmark = pytest.mark.workflow
REPOSITORY = Path(__file__).resolve().parents[2]


def test_snakemake_finds_nothing_to_complain_about(workflow) -> None:
    answer = workflow.snakemake("--lint")
    assert answer.returncode == 0
    assert "Congratulations" in answer.stdout


def test_lint_complains_about_a_step_without_a_log(workflow) -> None:
    with workflow.edited("rules/preprocess.smk", '    log:\n        out("logs/ingest/{scan}.log"),\n', ""):
        assert "No log directive" in workflow.snakemake("--lint").stdout


def test_snakemake_says_the_same_when_it_is_not_started_anew_for_every_plan(workflow) -> None:
    quiet = ("--dry-run", "--quiet", "host", "rules")
    for words, code in (((), 0), (("--config", "sede=1"), 1)):
        anew, forked = (
            workflow.snakemake(*quiet, "--configfile", "config/micro.yaml", *words, timeout_s=limit)
            for limit in (600, None)
        )
        assert (forked.returncode, forked.stdout) == (anew.returncode, anew.stdout)
        assert anew.returncode == code


def test_the_workflow_is_laid_out_by_snakefmt() -> None:
    command = [sys.executable, "-m", "snakefmt", "--check", "Snakefile", "rules"]
    assert subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False).returncode == 0


def test_implanted_nodules_are_a_data_set_that_second_stages_learn_a_part_of(workflow, tmp_path) -> None:
    write_nodules(tmp_path, patients=60)
    scans = {"train": {"scans": 5}, "valid": {"scans": 2}, "test": {"scans": 3}}
    change = {
        "implanted": {"nodules": str(tmp_path), "scans": scans},
        "detectors": {"pretrained": {"fpr": {"scans": 4}}},
    }
    jobs = workflow.plan("pretrained", change=change, targets=("pretrained",))
    assert (
        jobs.items() >= {"prepare_chest": 4, "implant_nodules": 10, "cache_volume": 10, "rasterise_nodules": 7}.items()
    )
    assert jobs.items() >= {"train_unet": 3, "detect": 9, "crop_patches": 6, "train_fpr": 1}.items()
    assert jobs.items() >= {"train_classifier": 1, "evaluate_detection": 1, "bundle_manifest": 1}.items()


def test_the_snakefile_stays_a_table_of_contents() -> None:
    assert len((REPOSITORY / "Snakefile").read_text(encoding="utf-8").splitlines()) <= 75


def test_reading_the_workflow_writes_nothing(workflow, tmp_path) -> None:
    answer = workflow.snakemake(
        "--dry-run",
        "--quiet",
        "host",
        "rules",
        "--snakefile",
        str(workflow.folder / "Snakefile"),
        "--directory",
        str(tmp_path),
    )
    assert answer.returncode == 0, answer.stdout
    assert [path for path in tmp_path.iterdir() if path.name != ".snakemake"] == []


def test_folders_that_are_not_listed_yet_are_refused_with_the_command_that_lists_them(workflow, real_folders) -> None:
    change = {"outdir": "results/unlisted", "data": real_folders}
    with pytest.raises(AssertionError, match=r"results/unlisted/manifest\.csv: .* not listed yet.*lungline list-scans"):
        workflow.plan("paper", change=change, listed=False)
    assert not (workflow.folder / "results" / "unlisted").exists()


def test_a_typo_in_the_configuration_is_refused_with_the_nearest_key(workflow) -> None:
    with pytest.raises(AssertionError, match=r"has no key 'treshold'\. Did you mean 'threshold'"):
        workflow.plan("micro", change={"extract_candidates": {"treshold": 0.5}})


def test_the_default_run_draws_prepares_trains_and_scores_the_synthetic_cohort(workflow) -> None:
    jobs = workflow.plan()
    cohort = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text(encoding="utf-8"))["cohort"]
    assert jobs["simulate_luna16_scan"] == cohort["luna16_scans"]
    assert jobs["simulate_dsb17_patient"] == cohort["dsb17_train"] + cohort["dsb17_test"]
    assert jobs["cache_volume"] == jobs["simulate_luna16_scan"] + jobs["simulate_dsb17_patient"]
    assert jobs["train_unet"] == 3
    assert jobs["train_classifier"] == 1
    assert len([name for name in jobs if name.startswith("detect_")]) == 12
    assert jobs["render_figures"] == 2
    assert jobs["describe_nodules"] == jobs["render_page"] == jobs["render_index"] == 1
    assert jobs["evaluate_detection"] == jobs["evaluate_cancer"] == 1


def test_no_training_is_planned_without_the_check_of_the_splits(workflow) -> None:
    for target in ("results/micro/train_unet/micro/z/card.json", "results/micro/train_classifier/m2-micro/card.json"):
        assert workflow.plan("micro", targets=(target,))["check_leakage"] == 1


def test_two_classifiers_share_their_preparation(workflow) -> None:
    jobs = workflow.plan(change={"run": ["m2", "m2-demo"]})
    assert jobs["cache_volume"] == jobs["ingest"]
    assert jobs["train_unet"] == 6
    assert jobs["predict_cancer"] == 2


@pytest.fixture
def real_folders(tmp_path: Path) -> dict[str, str]:
    """Folders laid out as LUNA-16 and DSB-17, with nothing in the scans."""
    luna16, dsb17 = tmp_path / "luna16", tmp_path / "dsb17"
    uids = [f"1.2.3.{fold}" for fold in range(10)]
    for fold, uid in enumerate(uids):
        (luna16 / f"subset{fold}").mkdir(parents=True)
        (luna16 / f"subset{fold}" / f"{uid}.mhd").touch()
    rows = ["seriesuid,coordX,coordY,coordZ,diameter_mm", *(f"{uid},1,2,3,4" for uid in uids)]
    (luna16 / "annotations.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    patients = [f"patient{k}" for k in range(20)]
    assert {split_of_patient(patient) for patient in patients[:16]} == {"train", "valid"}
    for patient in patients:
        (dsb17 / "stage1" / patient).mkdir(parents=True)
        (dsb17 / "stage1" / patient / "1.dcm").touch()
    for name, some in (("stage1_labels.csv", patients[:16]), ("stage1_solution.csv", patients[16:])):
        rows = ["id,cancer", *(f"{patient},{k % 2}" for k, patient in enumerate(some))]
        (dsb17 / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return {"luna16": str(luna16), "dsb17": str(dsb17)}


def test_the_same_steps_run_luna16_and_dsb17(workflow, real_folders) -> None:
    jobs = workflow.plan("paper", change={"data": real_folders, "detect": {"jobs": None}})
    assert "simulate_luna16_scan" not in jobs
    assert jobs["ingest"] == 30
    assert jobs["rasterise_nodules"] == 10  # one of them for Figure 2 of a test scan
    assert jobs["detect"] == 21
    assert jobs["train_unet"] == 3
    assert jobs["evaluate_detection"] == jobs["evaluate_cancer"] == 1


def test_annotations_of_no_scan_are_written_down_with_their_lines(workflow, real_folders) -> None:
    table = Path(real_folders["luna16"], "annotations.csv")
    table.write_text(table.read_text(encoding="utf-8") + "1.2.99,1,2,3,4\n1.2.3.0,9,9,9,0\n", encoding="utf-8")
    workflow.plan("paper", change={"data": real_folders})
    with open(workflow.folder / "results" / "paper" / "input_warnings.csv", encoding="utf-8") as handle:
        found = [(row["file"], row["line"], row["flag"]) for row in csv.DictReader(handle)]
    assert found == [("annotations.csv", "12", "T_UNKNOWN_SCAN"), ("annotations.csv", "13", "T_ROW_REFUSED")]


def test_the_list_of_scans_is_not_written_anew_when_it_says_the_same(workflow, real_folders) -> None:
    manifest = workflow.folder / "results" / "paper" / "manifest.csv"
    workflow.plan("paper", change={"data": real_folders})
    before = manifest.stat().st_mtime_ns
    workflow.plan("paper", change={"data": real_folders})
    assert manifest.stat().st_mtime_ns == before


def test_scans_of_a_folder_that_is_no_longer_named_leave_the_list(workflow, real_folders) -> None:
    workflow.plan("paper", change={"data": real_folders})
    models = {"detectors": {"paper": "models/d"}, "classifiers": {"m2": "models/s"}}
    given(workflow, "models")
    change = {"data": {**real_folders, "luna16": None}, "models": models, "detect": {"jobs": None}}
    jobs = workflow.plan("paper", change=change)
    assert jobs["ingest"] == jobs["crop_patches"] == 20


def given(workflow, folder: str) -> None:
    """Empty files where trained weights would be."""
    for part in ("d/z", "d/y", "d/x", "s"):
        place = workflow.folder / folder / part
        place.mkdir(parents=True, exist_ok=True)
        (place / "weights.safetensors").touch()
        (place / "card.json").touch()


def test_with_given_models_a_folder_without_labels_is_scored_and_nothing_is_trained(workflow, tmp_path) -> None:
    for scan in ("a", "b"):
        (tmp_path / f"{scan}.nii").touch()
    given(workflow, "models")
    change = {
        "outdir": "results/scored",
        "data": {"folder": str(tmp_path)},
        "detect": {"jobs": None},
        "models": {"detectors": {"demo": "models/d"}, "classifiers": {"m2-demo": "models/s"}},
    }
    jobs = workflow.plan("real", change=change)
    assert jobs["ingest"] == jobs["detect"] == 2
    assert jobs["predict_cancer"] == 1
    assert not {"train_unet", "train_classifier", "evaluate_cancer", "evaluate_detection"} & set(jobs)
    with open(workflow.folder / "results" / "scored" / "manifest.csv", encoding="utf-8") as handle:
        assert all(row["scan"].startswith("scan-") for row in csv.DictReader(handle))


def test_a_manifest_can_be_given_instead_of_folders(workflow, tmp_path) -> None:
    (tmp_path / "private" / "raw").mkdir(parents=True)
    (tmp_path / "private" / "raw" / "one").mkdir()
    rows = "scan,source,dataset,split,fold,label\none,dicom,folder,test,,\n"
    (tmp_path / "manifest.csv").write_text(rows, encoding="utf-8")
    given(workflow, "models")
    models = {"detectors": {"demo": "models/d"}, "classifiers": {"m2-demo": "models/s"}}
    jobs = workflow.plan(
        change={"outdir": "results/manifest", "manifest": str(tmp_path / "manifest.csv"), "models": models}
    )
    assert jobs["ingest"] == 1


def test_training_without_annotated_or_labelled_scans_is_refused_in_words(workflow, tmp_path) -> None:
    (tmp_path / "a.nii").touch()
    with pytest.raises(AssertionError, match=r"cannot be trained: no .* Name its folder under models"):
        workflow.plan(change={"outdir": "results/untrained", "data": {"folder": str(tmp_path)}})


def test_a_folder_that_does_not_exist_is_refused_by_its_key(workflow) -> None:
    with pytest.raises(AssertionError, match=r"data\.luna16: 'nowhere' does not exist"):
        workflow.plan(change={"outdir": "results/none", "data": {"luna16": "nowhere"}})


def test_figures_are_drawn_of_the_named_scans_and_an_unknown_one_is_refused(workflow) -> None:
    with open(REPOSITORY / "config/micro.yaml", encoding="utf-8") as handle:
        cohort = yaml.safe_load(handle)["cohort"]
    patient = next(plan.scan for plan in plan_cohort(1, Cohort(**cohort)) if plan.dataset == "dsb17")
    assert workflow.plan("micro", change={"figures": {"scans": [patient]}})["render_figures"] == 1
    with pytest.raises(
        AssertionError, match=r"figures\.scans: no scan that is searched for nodules is called 'nobody'"
    ):
        workflow.plan("micro", change={"figures": {"scans": ["nobody"]}})


def test_pages_are_made_of_all_patients_or_of_the_named_ones_and_an_unknown_one_is_refused(workflow) -> None:
    with open(REPOSITORY / "config/micro.yaml", encoding="utf-8") as handle:
        cohort = yaml.safe_load(handle)["cohort"]
    patients = [plan.scan for plan in plan_cohort(1, Cohort(**cohort)) if plan.dataset == "dsb17"]
    for scans, count in (("all", len(patients)), (patients[:3], 3), ([], 0)):
        jobs = workflow.plan("micro", change={"pages": {"scans": scans}})
        assert jobs.get("describe_nodules", 0) == jobs.get("render_page", 0) == count
        assert jobs["render_index"] == 1
    with pytest.raises(AssertionError, match=r"pages\.scans: no patient is called 'nobody'"):
        workflow.plan("micro", change={"pages": {"scans": ["nobody"]}})


def test_only_with_a_gpu_do_detections_wait_for_each_other(workflow) -> None:
    message = '        message:\n            f"Looking for nodules with detector {batch.description}"\n'
    wanted = {}
    with workflow.edited("rules/nodules.smk", message, ""):  # a job without a message tells its resources
        for device in ("cuda", "cpu"):
            file = workflow.folder / f"{device}.yaml"
            file.write_text(yaml.safe_dump({"device": device}), encoding="utf-8")
            answer = workflow.snakemake("--dry-run", "--configfile", "config/micro.yaml", file.name)
            wanted[device] = answer.stdout.count("gpu=1")
    assert wanted == {"cuda": 11, "cpu": 0}


STUB = """#!/bin/sh
# a training: it waits until three have begun, and writes down how many it has seen; $1 is train-unet, $2 its folder
touch "$2/begun"
for n in $(seq 200); do
    [ "$(ls "$2"/../*/begun | wc -l)" -ge "$SLOTS" ] && break
    sleep 0.1
done
ls "$2"/../*/begun | wc -l > "$2/learning_curve.csv"
touch "$2/weights.safetensors" "$2/card.json"
"""


def test_the_three_axes_train_at_the_same_time_on_three_gpu_slots(workflow, monkeypatch) -> None:
    """Independent jobs with one GPU each: the trainings are stubs that wait for one another."""
    with open(REPOSITORY / "config/micro.yaml", encoding="utf-8") as handle:
        cohort = yaml.safe_load(handle)["cohort"]
    scans = [
        p.scan for p in plan_cohort(1, Cohort(**cohort)) if p.dataset == "luna16" and p.split in ("train", "valid")
    ]
    results = workflow.folder / "results" / "slots"
    inputs = [results / step / f"{scan}.h5" for scan in scans for step in ("cache_volume", "rasterise_nodules")]
    for path in (*inputs, *(results / name for name in ("manifest.csv", "check_leakage.csv"))):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    stub = workflow.folder / "stub"
    stub.write_text(STUB, encoding="utf-8")
    stub.chmod(0o755)
    change = {"outdir": "results/slots", "device": "cuda"}
    (workflow.folder / "slots.yaml").write_text(yaml.safe_dump(change), encoding="utf-8")
    words = ["--cores", "3", "--resources", "gpu=3", "--allowed-rules", "train_unet", "--quiet", "host", "rules"]
    targets = [f"results/slots/train_unet/micro/{axis}/learning_curve.csv" for axis in "zyx"]
    monkeypatch.setenv("SLOTS", "3")
    with workflow.edited("rules/nodules.smk", '"{resources.launcher} train-unet', '"./stub train-unet'):
        answer = workflow.snakemake(*words, "--configfile", "config/micro.yaml", "slots.yaml", "--", *targets)
    assert answer.returncode == 0, answer.stdout
    assert [(workflow.folder / path).read_text(encoding="utf-8").strip() for path in targets] == ["3"] * 3


def test_ten_folds_share_their_preparation_and_train_ten_detectors(workflow) -> None:
    jobs = workflow.plan(targets=("folds",))
    scans = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text(encoding="utf-8"))["cohort"]["luna16_scans"]
    assert jobs["cache_volume"] == jobs["rasterise_nodules"] == scans
    assert jobs["train_unet"] == 30
    for step in ("detect", "extract_candidates"):
        assert len([name for name in jobs if name.startswith(f"{step}_demo_fold_")]) == jobs["split_fold"] == 10
    assert jobs["submit_detection"] == jobs["froc"] == 1
    assert not {"train_classifier", "predict_cancer", "evaluate_cancer", "detect_0"} & set(jobs)


def test_ten_folds_of_luna16_search_every_scan_once(workflow, real_folders) -> None:
    jobs = workflow.plan("luna16-folds", change={"data": {"luna16": real_folders["luna16"]}}, targets=("folds",))
    assert jobs["ingest"] == jobs["detect"] == jobs["extract_candidates"] == 10
    assert jobs["train_unet"] == 30
    assert jobs["split_fold"] == 10


def test_chosen_folds_alone_are_held_out(workflow) -> None:
    jobs = workflow.plan("micro", change={"folds": [0, 9]}, targets=("folds",))
    assert (jobs["train_unet"], jobs["detect"], jobs["split_fold"]) == (6, 2, 2)


def test_the_comparison_needs_the_answers_of_every_compared_classifier(workflow) -> None:
    jobs = workflow.plan(
        change={"compare": {"classifiers": ["m2-demo", "m2"], "reference": "m2"}}, targets=("compare",)
    )
    assert jobs["compare"] == 1
    assert jobs["collect_predictions"] == jobs["evaluate_detection"] == 2


FPR = {"network": {"channels": [8, 8, 16, 16, 32, 32]}, "training": {"steps": 2, "batch": 4}}
REPEATED = {
    "detectors": {"demo": {"fpr": FPR}, "again": {"extends": "demo", "training": {"seed": 2}}},
    "classifiers": {
        "m2-demo": {"init_from": "fpr"},
        "m2-again": {"extends": "m2-demo", "detector": "again", "training": {"seed": 2}},
        "m2-other": {"extends": "m2-again", "training": {"steps": 9}},
    },
    "run": ["m2-demo", "m2-again", "m2-other"],
}


def test_a_classifier_that_starts_from_the_fpr_waits_for_it(workflow) -> None:
    jobs = workflow.plan("micro", change=REPEATED | {"run": ["m2-demo"]})
    assert jobs["train_fpr"] == 1
    command = workflow.planned_command("train-classifier", "micro", change=REPEATED | {"run": ["m2-demo"]})
    assert "--init-from results/micro/train_unet/demo/fpr --checkpoints" in command


def test_fine_tuning_begins_with_the_weights_that_the_configuration_names(workflow) -> None:
    demo = {"init_from": "packaged", "fpr": FPR}
    change = {"detectors": {"demo": demo}, "classifiers": {"m2-demo": {"init_from": "my/m2"}}, "run": ["m2-demo"]}
    (workflow.folder / "my/m2").mkdir(parents=True, exist_ok=True)
    (workflow.folder / "my/m2/weights.safetensors").touch()
    for command, words in (
        ("train-unet", "pretrained/detector/"),
        ("train-fpr", "pretrained/detector/fpr "),
        ("train-classifier", "--init-from my/m2 "),
    ):
        assert words in workflow.planned_command(command, "micro", change=change)


def test_the_u_nets_of_a_detector_do_not_depend_on_its_second_stage(workflow) -> None:
    other = {"detectors": {"demo": {"fpr": {**FPR, "test_time_augmentation": 8}, "candidates": {"count": 9}}}}
    commands = [
        workflow.planned_command("train-unet", "micro", change=REPEATED | {"run": ["m2-demo"]} | change)
        for change in ({}, {"detectors": REPEATED["detectors"] | other["detectors"]})
    ]
    assert commands[0] == commands[1]
    assert "--test-time-augmentation 8" in workflow.planned_command(
        "rank-candidates", "micro", change=REPEATED | {"run": ["m2-demo"], "detectors": other["detectors"]}
    )


def test_submissions_are_written_for_both_challenges(workflow) -> None:
    jobs = workflow.plan("micro", targets=("submissions",))
    assert jobs["submit_cancer"] == jobs["submit_detection"] == 1
