"""`lungline predict`: the workflow's answers, from one process, in every format."""

import csv
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.sr.codedict import codes

from dicom_series import complaints
from lungline.cli import main

pytestmark = pytest.mark.workflow


def predict(finished, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(finished.folder / "src")}
    command = [sys.executable, "-m", "lungline.cli", "predict", *words]
    command += ["--bundle", "results/micro/bundle/m2-micro.json"]
    return subprocess.run(command, cwd=finished.folder, env=environment, text=True, capture_output=True, check=False)


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as handle:
        return {row["scan"]: row for row in csv.DictReader(handle)}


@pytest.fixture(scope="module")
def answered(finished):
    """The micro run's patients, answered by `predict`: original name -> row."""
    answer = predict(finished, "results/micro/cohort/dsb17/stage1", "--out", "new")
    assert answer.returncode == 1, answer.stderr  # the damaged scan of the cohort has no probability
    names = {scan: row["original"] for scan, row in rows_of(finished.folder / "new/private/map.csv").items()}
    return {names[scan]: row for scan, row in rows_of(finished.folder / "new/predictions.csv").items()}


def test_the_answers_are_those_of_the_workflow(finished, answered) -> None:
    workflow = rows_of(finished.folder / "results/micro/predictions.csv")
    scored = {scan: row for scan, row in workflow.items() if row["status"] != "not-scored"}
    assert answered.keys() == scored.keys()
    assert len(answered) == 10
    for scan, row in scored.items():
        assert answered[scan]["input_sha256"] == row["input_sha256"]
        if row["status"] == "quarantined":
            assert (answered[scan]["status"], answered[scan]["flags"]) == (row["status"], row["flags"])
            continue
        assert abs(float(answered[scan]["cancer_probability"]) - float(row["cancer_probability"])) < 1e-6
        assert answered[scan]["n_candidates"] == row["n_candidates"]
        assert answered[scan]["weights_sha256"] == row["weights_sha256"]
        candidates = rows_of(finished.folder / f"new/candidates/{answered[scan]['scan']}.csv")
        assert len(candidates) <= 20


def test_the_nodule_table_is_that_of_the_workflow(finished, answered) -> None:
    (table,) = (finished.folder / "results/micro/describe_nodules/m2-micro").glob("*.json")
    workflow = json.loads(table.read_text(encoding="utf-8"))
    scan = answered[table.stem]["scan"]
    ours = json.loads((finished.folder / f"new/nodules/{scan}.json").read_text(encoding="utf-8"))
    assert len(ours["nodules"]) == len(workflow["nodules"])
    for own, other in zip(ours["nodules"], workflow["nodules"], strict=True):
        measured = {key for key, value in other.items() if isinstance(value, float)}
        for key in measured:
            assert own[key] == pytest.approx(other[key], rel=1e-6, abs=1e-6)
        assert {**own, **{key: other[key] for key in measured}} == other
    assert ours["grid"] == workflow["grid"]
    assert ours["patient"] == workflow["patient"]


def test_every_scan_has_a_page_to_which_the_index_leads(finished, answered) -> None:
    index = (finished.folder / "new/index.html").read_text(encoding="utf-8")
    for row in answered.values():
        assert f'href="pages/{row["scan"]}.html"' in index
        page = (finished.folder / f"new/pages/{row['scan']}.html").read_text(encoding="utf-8")
        assert ("This scan was not used" in page) is (row["status"] == "quarantined")


def test_no_original_name_stands_in_what_it_writes_and_stages_are_not_kept(finished, answered) -> None:
    files = [path for path in (finished.folder / "new").rglob("*") if path.is_file() and "private" not in path.parts]
    assert {path.parts[-2] for path in files} == {"new", "answers", "candidates", "nodules", "pages"}
    for path in files:
        assert not any(name.encode() in path.read_bytes() for name in answered)


def dicom_of(out: Path, scan: str) -> Path:
    return out / "private" / "dicom" / scan


def test_every_dicom_scan_that_is_used_is_written_as_dicom_for_its_owner_alone(finished, answered) -> None:
    for row in answered.values():
        folder = dicom_of(finished.folder / "new", row["scan"])
        made = {path.name for path in folder.iterdir()}
        if row["status"] == "quarantined":
            assert made == {"why-not.txt"}
        else:
            assert made == ({"sr.dcm", "seg.dcm"} if int(row["n_candidates"]) else {"sr.dcm"})
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_the_report_agrees_with_the_nodule_table_and_names_the_patient_of_the_source(finished, answered) -> None:
    import highdicom as hd

    patient = next(name for name, row in sorted(answered.items()) if int(row["n_candidates"] or 0) > 0)
    scan = answered[patient]["scan"]
    folder = dicom_of(finished.folder / "new", scan)
    assert complaints(folder / "seg.dcm") == complaints(folder / "sr.dcm") == []
    table = json.loads((finished.folder / f"new/nodules/{scan}.json").read_text(encoding="utf-8"))
    report = hd.sr.srread(folder / "sr.dcm")
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert len(groups) == len(table["nodules"]) > 0
    for group, row in zip(groups, table["nodules"], strict=True):
        (centre,) = [item.value[0] for item in group[0].ContentSequence if item.name == codes.DCM.Center]
        assert np.abs(centre - [row["x_mm"], row["y_mm"], row["z_mm"]]).max() < 1e-3
        measured = {item.name.value: item.value for item in group.get_measurements()}
        wanted = {
            codes.SCT.LongAxis.value: row["long_axis_mm"],
            codes.SCT.Volume.value: row["volume_mm3"],
            codes.DCM.ProbabilityOfCancer.value: 100 * row["cancer_probability"],
            "score": row["score"],  # a sum, so no certainty
            "slice-position": row["slice_position_mm"],
            "instance-number": row["instance_number"],
        }
        assert measured == {code: pytest.approx(value, rel=1e-9) for code, value in wanted.items()}
    (of_scan,) = report.content.get_image_measurement_groups()
    assert [item.value for item in of_scan.get_measurements(codes.DCM.ProbabilityOfCancer)] == [
        pytest.approx(100 * float(answered[patient]["cancer_probability"]))
    ]
    source = {
        (header := pydicom.dcmread(path, stop_before_pixels=True)).SOPInstanceUID: header
        for path in (finished.folder / "results/micro/cohort/dsb17/stage1" / patient).glob("*.dcm")
    }
    first = next(iter(source.values()))
    seg = pydicom.dcmread(folder / "seg.dcm")
    assert seg.PatientID == patient
    assert (seg.PatientID, seg.StudyInstanceUID) == (first.PatientID, first.StudyInstanceUID)
    shown = [f.DerivationImageSequence[0].SourceImageSequence[0] for f in seg.PerFrameFunctionalGroupsSequence]
    assert {item.ReferencedSOPInstanceUID for item in shown} <= source.keys()
    voxel_mm3 = np.prod(seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing)
    voxel_mm3 *= seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices
    volume_mm3 = sum(row["volume_mm3"] for row in table["nodules"])
    assert seg.pixel_array.sum() * voxel_mm3 == pytest.approx(volume_mm3, rel=0.1)


def test_the_export_of_a_run_writes_the_same_report_and_predict_leaves_it_out_if_told_to(finished, answered) -> None:
    (table,) = (finished.folder / "results/micro/describe_nodules/m2-micro").glob("*.json")
    assert main(["export", str(finished.folder / "results/micro"), "--out", str(finished.folder / "export")]) == 0
    (made,) = (finished.folder / "export/dicom/m2-micro").iterdir()
    ours = dicom_of(finished.folder / "new", answered[table.stem]["scan"])
    assert {path.name for path in made.iterdir()} == {path.name for path in ours.iterdir()}
    for name in (path.name for path in ours.iterdir()):
        one, other = (pydicom.dcmread(folder / name) for folder in (made, ours))
        if name == "seg.dcm":  # predict uses more threads, so a voxel at the threshold may fall on the other side
            assert one.pixel_array.sum() == pytest.approx(other.pixel_array.sum(), rel=0.01)
        assert (one.PatientID, one.StudyInstanceUID) == (other.PatientID, other.StudyInstanceUID)
    assert main(["export", str(finished.folder / "new"), "--out", str(finished.folder / "copied")]) == 0
    for path in ours.iterdir():
        copied = finished.folder / "copied/dicom/m2-micro" / ours.name / path.name
        assert copied.read_bytes() == path.read_bytes()
        assert stat.S_IMODE(copied.stat().st_mode) == 0o600
    patient = str(finished.folder / "results/micro/cohort/dsb17/stage1" / table.stem)
    answer = predict(finished, patient, "--out", "without", "--dicom", "false", "--pages", "false")
    assert answer.returncode == 0, answer.stderr
    assert not (finished.folder / "without/private/dicom").exists()


def test_a_second_call_reads_nothing_again_but_what_has_changed(finished, answered) -> None:
    times = {path: path.stat().st_mtime_ns for path in (finished.folder / "new/answers").glob("*.csv")}
    patient = sorted(answered)[0]
    slice_of_it = sorted((finished.folder / "results/micro/cohort/dsb17/stage1" / patient).glob("*.dcm"))[0]
    os.utime(slice_of_it)
    answer = predict(finished, "results/micro/cohort/dsb17/stage1", "--out", "new")
    again = {path.stem for path, before in times.items() if path.stat().st_mtime_ns != before}
    assert again == {answered[patient]["scan"]}
    assert answer.stderr.count("Finding nodules with the U-Nets") == 1


def test_dicom_metaimage_nifti_and_a_zip_of_one_scan_get_one_answer(finished, answered, tmp_path) -> None:
    patient = next(name for name, row in sorted(answered.items()) if int(row["n_candidates"] or 0) > 0)
    reader = sitk.ImageSeriesReader()
    folder = str(finished.folder / "results/micro/cohort/dsb17/stage1" / patient)
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
    image = reader.Execute()
    shutil.make_archive(str(tmp_path / "c"), "zip", folder)
    (tmp_path / "patient.yaml").write_text("purpose: screening\n")
    for name in ("a.mhd", "b.nii.gz", "c.zip"):
        if name != "c.zip":
            sitk.WriteImage(sitk.Cast(image, sitk.sitkInt16), str(tmp_path / name), useCompression=True)
        told = ["--patient", str(tmp_path / "patient.yaml")] if name == "c.zip" else []
        answer = predict(finished, str(tmp_path / name), "--out", str(tmp_path / f"out-{name}"), *told)
        assert answer.returncode == 0, answer.stderr
        (row,) = rows_of(tmp_path / f"out-{name}/predictions.csv").values()
        assert abs(float(row["cancer_probability"]) - float(answered[patient]["cancer_probability"])) < 1e-4
        places = [_places(out) for out in (tmp_path / f"out-{name}", finished.folder / "new")]
        ours, theirs = places[0][row["scan"]], places[1][answered[patient]["scan"]]
        assert np.abs(ours - theirs).max() < 0.5
        page = (tmp_path / f"out-{name}/pages/{row['scan']}.html").read_text(encoding="utf-8")
        assert ("<h2>Categories</h2>" in page) == (tmp_path / f"out-{name}/categories").is_dir() == bool(told)


def _places(out: Path) -> dict[str, np.ndarray]:
    """World positions (n, 3) mm of the candidates of each scan."""
    found = {}
    for path in (out / "candidates").glob("*.csv"):
        with open(path, newline="", encoding="utf-8") as handle:
            found[path.stem] = np.array(
                [[float(r[k]) for k in ("x_mm", "y_mm", "z_mm")] for r in csv.DictReader(handle)]
            )
    return found


def test_a_scan_that_cannot_be_used_is_named_and_the_others_are_answered(finished, answered, tmp_path) -> None:
    patient = next(name for name, row in sorted(answered.items()) if row["cancer_probability"])
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/good").symlink_to(finished.folder / "results/micro/cohort/dsb17/stage1" / patient)
    (tmp_path / "scans/bad.nii").write_bytes(bytes(400))
    answer = predict(finished, str(tmp_path / "scans"), "--out", str(tmp_path / "out"))
    assert answer.returncode == 1
    assert "1 of 2 scans have an answer" in answer.stdout
    statuses = sorted(row["status"] for row in rows_of(tmp_path / "out/predictions.csv").values())
    assert statuses == sorted(["quarantined", answered[patient]["status"]])
    assert "quarantined, Q_" in answer.stderr


def test_a_mistake_is_one_line_with_what_to_do(finished, tmp_path) -> None:
    answer = predict(finished, str(tmp_path / "nothing"), "--out", str(tmp_path / "out"))
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
    assert "expected a folder of scans" in answer.stderr
