"""`lungline verify` names what is not as it was written: damage, other inputs, other code, other raw files."""

import json
import shutil

import pytest

from lungline import cli
from lungline.errors import LunglineError
from lungline.runner.audit import verify_tree
from lungline.stages import ingest, predict, resample
from lungline.storage import checksums, hdf5
from lungline.storage.checksums import checksum_path, lineage_of, write_checksummed_text
from lungline.storage.scan_rows import ScanRow, write_manifest
from scans import chest, write_mhd
from stage_settings import RESAMPLE


@pytest.fixture
def results(tmp_path):
    """The raw scan, ingest and resample of one scan."""
    folder = tmp_path / "results"
    write_manifest(folder / "manifest.csv", [ScanRow("s", "mhd", "luna16", "test")])
    raw = write_mhd(tmp_path / "raw" / "a.mhd", chest())
    (folder / "private" / "raw").mkdir(parents=True)
    (folder / "private" / "raw" / "s").symlink_to(raw)
    ingest.run(folder / "private" / "raw" / "s", folder / "ingest" / "s.h5", source="mhd")
    resample.run(folder / "ingest" / "s.h5", folder / "resample" / "s.h5", **RESAMPLE)
    return folder


def found(results):
    checksums.sha256_of_this_moment.cache_clear()
    return {(finding.file, finding.kind) for finding in verify_tree(results).findings}


def test_a_sound_tree_is_as_written(results, capsys):
    assert found(results) == set()
    assert cli.main(["verify", str(results)]) == 0
    assert "2 files" in capsys.readouterr().out


def test_damage_is_named_once_and_where_it_is(results, capsys):
    with open(results / "ingest" / "s.h5", "ab") as file:
        file.write(b"x")
    assert found(results) == {("ingest/s.h5", "damaged")}
    assert cli.main(["verify", str(results), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["differs"] is True
    assert told["findings"][0]["file"] == "ingest/s.h5"


def test_damaged_files_can_be_set_aside_in_one_go(results):
    with open(results / "ingest" / "s.h5", "ab") as file:
        file.write(b"x")
    assert cli.main(["verify", str(results), "--quarantine-damaged"]) == 1
    assert found(results) == {("ingest/s.h5.damaged", "quarantined"), ("resample/s.h5", "missing")}


def test_an_input_made_anew_with_other_content_is_named(results):
    hdf5.write_file(results / "ingest" / "s.h5", hdf5.Header("other", "ingest"), {})
    assert ("resample/s.h5", "made from another file") in found(results)


def test_an_input_that_is_gone_is_missing_unless_its_checksum_still_vouches(results):
    (results / "ingest" / "s.h5").unlink()  # as `keep_intermediates: false` does
    assert found(results) == set()
    checksum_path(results / "ingest" / "s.h5").unlink()
    assert found(results) == {("resample/s.h5", "missing")}


def test_a_file_without_a_checksum_and_one_set_aside_are_named(results):
    shutil.copy(results / "ingest" / "s.h5", results / "ingest" / "t.h5")
    shutil.copy(results / "ingest" / "s.h5", results / "ingest" / "u.h5.damaged")
    assert found(results) == {("ingest/t.h5", "no checksum"), ("ingest/u.h5.damaged", "quarantined")}


def test_other_code_is_told_and_is_no_difference(results, monkeypatch):
    monkeypatch.setattr("lungline.runner.audit.code_fingerprint", lambda module: "f" * 16)
    assert found(results) == {("ingest/s.h5", "made by other code"), ("resample/s.h5", "made by other code")}
    assert not verify_tree(results).differs


def test_a_changed_raw_file_is_counted_and_not_named(results):
    raw = (results / "private" / "raw" / "s").resolve()
    pixels = next(path for path in raw.parent.iterdir() if path.suffix in (".raw", ".zraw"))
    content = bytearray(pixels.read_bytes())
    content[0] ^= 1
    pixels.write_bytes(content)
    assert found(results) == {("private/raw/s", "raw scan changed")}
    (finding,) = verify_tree(results).findings
    assert finding.detail == "1 of 2 files are new or changed, 1 are gone"
    assert pixels.name not in finding.detail


def test_a_raw_scan_that_is_elsewhere_is_no_difference(results):
    (results / "private" / "raw" / "s").unlink()
    assert found(results) == {("private/raw/s", "raw scan not here")}
    assert not verify_tree(results).differs


def test_predictions_that_are_no_copy_and_hashes_that_fit_nothing_are_named(results):
    from lungline.storage.predictions import Prediction, write_predictions

    row = Prediction("s", "dsb17", "test", 1, 0.5, "ok", input_sha256="0" * 64, weights_sha256="1" * 64)
    with lineage_of("predict_cancer"):
        write_checksummed_text(results / "predict_cancer" / "m.csv", "scan\n")
    write_predictions(results / "collect_predictions" / "m.csv", [row])
    shutil.copy(results / "collect_predictions" / "m.csv", results / "predictions.csv")
    assert found(results) == {("collect_predictions/m.csv", "contradiction")}
    (results / "predictions.csv").write_text("scan\n")
    assert ("predictions.csv", "damaged") in found(results)


def test_a_folder_without_checksums_is_refused(tmp_path):
    with pytest.raises(LunglineError, match="expected a result tree"):
        verify_tree(tmp_path)


def test_the_folder_of_predict_is_as_written_until_something_changes(tmp_path):
    raw, out = write_mhd(tmp_path / "raw" / "a.mhd", chest()), tmp_path / "out"
    (out / ".stages-dead" / "ingest").mkdir(parents=True)
    assert predict.run(raw, out=out, device="cpu") in (0, 1)
    assert not list(out.glob(".stages-*"))  # nor that of a call that was killed
    assert found(out) == set()
    (table,) = (out / "nodules").glob("*.json")
    text = table.read_text()
    table.write_text(text + " ")
    assert (f"nodules/{table.name}", "damaged") in found(out)
    table.write_text(text)
    answers = (out / "predictions.csv").read_text()
    (out / "predictions.csv").write_text(answers.replace("folder", "luna16"))
    assert ("predictions.csv", "damaged") in found(out)
    (out / "predictions.csv").write_text(answers)
    raw.write_text(raw.read_text() + "Comment = x\n")
    assert found(out) == {(f"private/raw/{table.stem}", "raw scan changed")}
