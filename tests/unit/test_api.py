"""The Python interface: the answers of the commands, as arrays and pandas tables."""

from __future__ import annotations

import ast
import csv
import doctest
import inspect
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import lungline
from lungline import LunglineError, Volume, api
from lungline.imaging import geometry
from lungline.stages import predict
from lungline.storage import hdf5
from lungline.storage.checksums import sha256
from lungline.storage.weights import write_card, write_tensors
from lungline.synthetic.cohort import plan_scan
from lungline.synthetic.phantom import simulate_scan_hu
from lungline.synthetic.writers import write_mhd
from lungline.workflow.bundle import Bundle, write_bundle
from tests import scans, stage_settings
from tests.phantoms import make_chest
from tests.untrained import untrained_bundle

FUNCTIONS = ("read_scan", "resample", "segment_lungs", "detect", "predict", "to_nifti", "froc", "make_affine")
QUIET = pytest.mark.filterwarnings("ignore:W_")


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic scan of a small chest with three nodules."""
    path = tmp_path_factory.mktemp("scan") / "scan.mhd"
    write_mhd(path, simulate_scan_hu(plan_scan("luna16", 3, 1, 0.4)))
    return path


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The description of models that nobody trained."""
    return untrained_bundle(tmp_path_factory.mktemp("models"))


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def as_written(table: pd.DataFrame) -> str:
    """A table as lungline writes it to CSV."""
    words = {name: table[name].map({True: "true", False: "false"}) for name in table.select_dtypes("boolean")}
    return table.assign(**words).to_csv(index=False, float_format="%.9g", lineterminator="\n")


def test_predict_gives_the_answer_of_the_command_to_the_byte(scan, tmp_path) -> None:
    assert predict.run(scan, out=tmp_path, pages=False, dicom=False, device="cpu") == 0
    (row,) = rows_of(tmp_path / "predictions.csv")
    answer = lungline.predict(str(scan), device="cpu", scan=row["scan"])
    assert f"{answer.malignancy_score:.9g}" == row["malignancy_score"]
    assert answer.cancer_probability is None  # these models learnt what readers think of nodules
    assert (answer.status, ";".join(answer.flags["flag"])) == (row["status"], row["flags"])
    nodules, candidates = (tmp_path / name / f"{row['scan']}.csv" for name in ("nodules", "candidates"))
    assert as_written(answer.nodules) == nodules.read_text(encoding="utf-8")
    theirs = rows_of(candidates)
    own = answer.candidates.assign(label=[one["label"] for one in theirs])  # of the file's label map
    assert as_written(own) == candidates.read_text(encoding="utf-8")
    rank_of = {int(one["label"]): int(one["rank"]) for one in theirs}
    labels = hdf5.read_volume(tmp_path / "candidates" / f"{row['scan']}.h5", "labels")
    np.testing.assert_array_equal(answer.labels.affine, labels.affine)
    np.testing.assert_array_equal(answer.labels.array, np.vectorize(lambda label: rank_of.get(label, 0))(labels.array))


def test_each_row_of_both_tables_owns_the_voxels_of_its_rank(scan, untrained) -> None:
    ct = lungline.read_scan(scan)
    found = lungline.detect(ct, bundle=untrained, device="cpu")
    answer = lungline.predict(scan, bundle=untrained, device="cpu")
    assert found.candidates.equals(answer.candidates)
    np.testing.assert_array_equal(found.labels.array, answer.labels.array)
    assert list(found.flags["flag"]) == list(answer.flags["flag"]) == ["W_LUNG_VOLUME"]
    counts = np.bincount(found.labels.array.ravel(), minlength=len(found.candidates) + 1)
    assert counts[1:].tolist() == found.candidates["n_voxels"].tolist()
    assert list(answer.nodules["rank"]) == list(answer.candidates["rank"])
    assert answer.malignancy_score is None  # of patients, as the card does not say otherwise
    assert 0 < answer.cancer_probability < 1
    for row in found.candidates.itertuples():
        place = geometry.voxel_to_world(found.labels.affine, (row.z, row.y, row.x))
        np.testing.assert_allclose(place, (row.x_mm, row.y_mm, row.z_mm), atol=1e-4)


@QUIET
def test_a_volume_whose_axes_are_turned_shows_the_same_lungs_in_the_same_place() -> None:
    ct = make_chest(sides=("right",)).ct
    turned = Volume(
        np.ascontiguousarray(ct.array.transpose(2, 0, 1)[:, ::-1]),
        ct.affine @ np.array([[0, -1, 0, ct.shape_zyx[0] - 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]]),
    )
    straight, other = lungline.segment_lungs(ct), lungline.segment_lungs(turned)
    np.testing.assert_array_equal(straight.array, other.array)
    np.testing.assert_allclose(straight.affine, other.affine, atol=1e-9)


@QUIET
def test_what_the_lungs_are_warned_of_is_a_warning_of_python() -> None:
    with pytest.warns(UserWarning, match="W_ONE_LUNG") as said:
        lungline.segment_lungs(make_chest(sides=("right",)).ct)
    words = [str(one.message) for one in said]
    assert [line.partition(":")[0] for line in words] == ["W_LUNG_VOLUME", "W_ONE_LUNG"]
    assert "Found: left 0 ml, right" in words[1]
    assert {one.filename for one in said} == {__file__}  # of the caller


def containers(folder: Path, hu: np.ndarray) -> list[Path]:
    """The same scan as a DICOM folder, .mhd, .nii.gz, and in zips."""
    dicom = scans.write_dicom(folder / "dicom" / "series", hu)
    mhd = scans.write_mhd(folder / "a" / "scan.mhd", hu)
    nifti = scans.write_nifti(folder / "b" / "scan.nii.gz", hu)
    packed, several = folder / "dicom.zip", folder / "several.zip"
    with zipfile.ZipFile(packed, "w") as archive, zipfile.ZipFile(several, "w") as other:
        for file in sorted(dicom.iterdir()):
            archive.write(file, f"series/{file.name}")
            other.write(file, f"one/{file.name}")
            other.write(file, f"two/{file.name}")
    return [dicom, dicom.parent, mhd, nifti, packed, several / "two"]


def test_a_scan_is_the_same_from_every_container(tmp_path) -> None:
    hu = scans.chest()
    for path in containers(tmp_path, hu):
        for given in (path, str(path)):
            ct = lungline.read_scan(given)
            np.testing.assert_array_equal(ct.array, hu)
            assert ct.array.flags.owndata
            np.testing.assert_allclose(ct.spacing_zyx_mm, (2.5, 2.1, 1.7))
            np.testing.assert_allclose(geometry.voxel_to_world(ct.affine, (0, 0, 0)), (-31, -42, 13), atol=1e-4)


def test_a_path_may_begin_with_the_home_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    scans.write_nifti(tmp_path / "scan.nii.gz", scans.chest())
    assert lungline.read_scan("~/scan.nii.gz").shape_zyx == (12, 30, 40)


def no_scans(folder: Path) -> dict[str, tuple[Path, str]]:
    """Paths that hold no scan that can be used, and what is said of each."""
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("nothing", encoding="utf-8")
    (folder / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    (folder / "link.nii").symlink_to(folder / "gone.nii")
    scans.write_nifti(folder / "cut.nii.gz", scans.chest(), cut=slice(2000))
    for name in ("one", "two"):
        scans.write_nifti(folder / "both" / f"{name}.nii", scans.chest())
    scans.write_nifti(folder / "water.nii", np.zeros((12, 30, 40), np.int16))
    return {
        "missing": (folder / "scan.nii.gz", "no such file or folder"),
        "empty": (folder / "empty", "Found none"),
        "no scan": (folder / "notes.txt", "Found none"),
        "broken zip": (folder / "broken.zip", "Q_BAD_ZIP"),
        "broken link": (folder / "link.nii", "no such file or folder"),
        "cut off": (folder / "cut.nii.gz", "Q_BAD_NIFTI"),
        "two scans": (folder / "both", "expected one scan. Found 2"),
        "no chest": (folder / "water.nii", "Q_BAD_VOXELS"),
    }


def one_line(error: pytest.ExceptionInfo[LunglineError]) -> str:
    (line,) = str(error.value).splitlines()
    return line


def test_a_bad_scan_is_one_line_of_one_error(tmp_path, untrained) -> None:
    for case, (path, words) in no_scans(tmp_path).items():
        with pytest.raises(LunglineError) as error:
            lungline.predict(path, bundle=untrained, device="cpu")
        assert one_line(error).startswith(str(path)), case
        assert words in one_line(error), case
        if case != "no chest":
            with pytest.raises(LunglineError) as error:
                lungline.read_scan(path)
            assert words in one_line(error), case


def bad_volumes() -> dict[str, tuple[Volume, str]]:
    ct = make_chest().ct
    far, thick, sheared = ct.affine.copy(), ct.affine.copy(), ct.affine.copy()
    far[0, 3], thick[2, 0], sheared[0, 0] = 1e6, 60, 0.5
    holes = ct.array.copy()
    holes[3, 4, 5] = np.nan
    stored = ct.array + 1024
    blind = np.where(ct.array < -500, 40, ct.array)
    return {
        "not finite": (ct.with_array(holes), "Q_BAD_VOXELS"),
        "no HU": (ct.with_array(stored.astype(np.uint16)), "Q_NOT_CHEST_CT"),
        "no lung": (ct.with_array(blind), "Q_NOT_CHEST_CT"),
        "mask": (ct.with_array(ct.array < 0), "Got an array of bool"),
        "far away": (Volume(ct.array, far), "Q_NO_GEOMETRY"),
        "thick": (Volume(ct.array, thick), "Q_BAD_SPACING"),
        "sheared": (Volume(ct.array, sheared), "Q_BAD_DIRECTION"),
        "a corner": (ct.crop((slice(0, 8), slice(0, 40), slice(0, 50))), "Q_NOT_CHEST_CT"),
    }


def test_a_bad_volume_is_one_line_of_one_error(untrained) -> None:
    for case, (volume, words) in bad_volumes().items():
        with pytest.raises(LunglineError) as error:
            lungline.segment_lungs(volume)
        assert words in one_line(error), case
        with pytest.raises(LunglineError) as error:
            lungline.detect(volume, bundle=untrained)
        assert words in one_line(error), case


def test_a_chest_without_air_in_the_body_has_no_lungs() -> None:
    ct = make_chest(sides=(), gas=False, windpipe=False).ct
    room = ct.array.copy()
    room[:, :10] = -850  # as much air of the density of lung as a chest has, outside the body
    with pytest.raises(LunglineError, match=r"^volume: not usable. Q_NOT_CHEST_CT"):
        lungline.segment_lungs(ct.with_array(room))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda ct: lungline.predict(ct), "expected a path (str or Path). Got Volume."),
        (lambda ct: lungline.read_scan(ct.array), "expected a path (str or Path). Got ndarray."),
        (lambda ct: lungline.detect("scan.mhd"), "expected a Volume, as lungline.read_scan gives it. Got str."),
        (lambda ct: lungline.segment_lungs(ct.array), "expected a Volume"),
        (lambda ct: lungline.to_nifti(ct.array, "a.nii"), "expected a Volume"),
        (lambda ct: lungline.to_nifti(ct, "a.txt"), "ends in .nii or .nii.gz"),
        (lambda ct: lungline.detect(ct, scan="Jane Doe"), "a scan id holds letters"),
        (lambda ct: lungline.detect(ct, bundle="no/where"), "no such file"),
        (lambda ct: lungline.detect(ct, device="gpu"), "device should be auto, cpu or cuda"),
    ],
)
def test_a_wrong_argument_is_one_line_of_one_error(call, words) -> None:
    with pytest.raises(LunglineError) as error:
        call(make_chest().ct)
    assert words in one_line(error)


def baseline(folder: Path) -> Path:
    """The description of a baseline, which says the same of every scan."""
    write_tensors(folder / "classifier" / "weights.safetensors", {"nothing": torch.zeros(1)}, {"purpose": "test"})
    about = {
        "classifier": {"kind": "baseline", "cancer_probability": 0.25},
        "cancer_probability": 0.25,
        "cases": {"train": [], "valid": []},
    }
    digest = sha256(folder / "classifier" / "weights.safetensors")
    write_card(folder / "classifier" / "card.json", {**about, "weights_sha256": digest})
    steps = {
        "resample": stage_settings.RESAMPLE,
        "segment_lungs": stage_settings.LUNGS,
        "cache_volume": stage_settings.CACHE,
    }
    write_bundle(folder / "bundle.json", Bundle("prior", steps, folder / "classifier"))
    return folder


def test_models_that_read_no_candidates_answer_without_them(scan, tmp_path) -> None:
    answer = lungline.predict(scan, bundle=baseline(tmp_path), device="cpu")  # a folder names its bundle.json
    assert answer.cancer_probability == 0.25
    assert answer.labels is None
    assert answer.nodules.empty
    assert answer.candidates["rank"].dtype == np.int64
    with pytest.raises(LunglineError, match="expected models that read candidates"):
        lungline.detect(lungline.read_scan(scan), bundle=tmp_path)


def test_seeds_threads_and_modes_of_pytorch_are_left_as_they_were(untrained, monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    try:
        torch.set_num_threads(2)
        torch.set_deterministic_debug_mode(0)
        torch.manual_seed(7)
        before = torch.get_rng_state()
        lungline.detect(make_chest().ct, bundle=untrained, device="cpu")
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.get_num_threads() == 2
        assert torch.get_deterministic_debug_mode() == 0
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(mode)


def test_an_answer_is_shown_as_a_page_and_as_a_line_and_progress_is_logged(scan, tmp_path, caplog) -> None:
    caplog.set_level("INFO", "lungline")
    answer = lungline.predict(scan, bundle=baseline(tmp_path), device="cpu")
    page = answer._repr_html_()
    for words in ("cancer probability 0.250", "W_LUNG_VOLUME", lungline.NOTICE):
        assert words in page
        assert words in repr(answer)
    assert "<table" in page
    assert caplog.messages[:3] == ["Reading", "Resampling", "Finding the lungs"]


def test_the_package_is_imported_without_what_its_functions_need() -> None:
    slow = ("numpy", "pandas", "torch", "lungline.api")
    code = f"import sys, lungline; print(*[name for name in {slow!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []


def test_without_pandas_one_line_says_what_to_install() -> None:
    code = """
import sys
sys.modules["pandas"] = None  # as where it is not installed
import lungline
from lungline.errors import LunglineError
try:
    lungline.predict
except LunglineError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "lungline.predict needs pandas. Install it: pip install pandas\n"


def test_a_scan_is_read_and_its_lungs_are_found_without_pytorch(tmp_path) -> None:
    np.save(tmp_path / "hu.npy", make_chest(spacing_mm=2.0).ct.array)
    code = """
import sys, numpy, lungline
ct = lungline.Volume(numpy.load("hu.npy"), lungline.make_affine((2.0, 2.0, 2.0)))
lungline.read_scan(lungline.to_nifti(ct, "scan.nii.gz"))
lungline.segment_lungs(ct)
print("torch" in sys.modules)
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == "False\n"


def test_the_package_names_what_the_interface_offers() -> None:
    offered = set(api.__all__)
    assert set(lungline.__all__) == offered | {"NOTICE", "__version__"}
    assert offered < set(dir(lungline))
    tree = ast.parse(inspect.getsource(lungline))
    named = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "lungline.api"]
    assert {alias.name for node in named for alias in node.names} == offered  # for editors and type checkers
    with pytest.raises(AttributeError, match="no attribute 'detector'"):
        _ = lungline.detector


@QUIET
@pytest.mark.parametrize("name", [*FUNCTIONS, "Volume"])
def test_the_examples_of_the_documentation_are_true(name, scan, monkeypatch, tmp_path, capsys) -> None:
    for file in scan.parent.glob("scan.*"):
        (tmp_path / file.name).symlink_to(file)
    monkeypatch.chdir(tmp_path)
    (tests,) = doctest.DocTestFinder(recurse=False).find(getattr(lungline, name), name, globs={})
    assert tests.examples
    assert doctest.DocTestRunner().run(tests).failed == 0, capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")
def test_the_lines_of_the_page_run(scan, untrained, monkeypatch, tmp_path, capsys) -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "python-api.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lungline.to_nifti(lungline.read_scan(scan), tmp_path / "scan.nii.gz")
    header, nodule = "seriesuid,coordX,coordY,coordZ,diameter_mm", "first,-26.7,-199.4,-191.3,14.2"
    (tmp_path / "annotations.csv").write_text(f"{header}\n{nodule}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "PACKAGED", untrained)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page.name, "exec"), names)
    assert "holiday.zip: no such file or folder" in capsys.readouterr().out
    assert (tmp_path / "labels.nii.gz").is_file()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_documents_every_parameter_what_it_returns_and_raises(name) -> None:
    function = getattr(lungline, name)
    text = inspect.getdoc(function)
    for section in ("Parameters", "Returns", "Raises", "Examples"):
        assert f"\n{section}\n{'-' * len(section)}\n" in text
    head = text.partition("\nReturns\n")[0].splitlines()
    documented = {word for line in head if line and " : " in line for word in line.partition(" : ")[0].split(", ")}
    if name == "predict":
        documented |= {"bundle", "device", "scan"}  # as of detect
    assert set(inspect.signature(function).parameters) <= documented
