"""What the runner does for every stage: inputs checked and noted, flags passed on, unusable scans written."""

import inspect
from pathlib import Path

import numpy as np
import pytest

from lungline.cli import parser_of
from lungline.errors import DamagedFileError, Quarantine
from lungline.runner.stage import Fields, InputFile, Made, ScanFile, scan_stage, stage
from lungline.storage import checksums, hdf5
from lungline.storage.checksums import read_checksum, sha256, unrecorded, write_checksummed_text
from lungline.storage.hdf5 import Field, Flag, Header

FIELDS = {"f": Field(np.zeros((2, 2, 2)), "zyx", "1", "")}


def of_resample(function):
    """As if the function stood in `lungline.stages.resample`."""
    function.__module__ = "lungline.stages.resample"
    return function


def scan_file(path, *flags):
    """What ingest writes."""
    fields = {} if any(flag.flag.startswith("Q_") for flag in flags) else FIELDS
    provenance = {"raw_sha256": "feed", "raw_files": 3}
    hdf5.write_file(path, Header("ct_hu", "ingest", flags, provenance=provenance), fields)
    return path


@scan_stage("q", unrecorded=("device",))
@of_resample
def two_inputs(
    first: ScanFile, second: ScanFile, *, table: InputFile | None = None, size: int, device: str = "cpu"
) -> Fields:
    """Do something."""
    return FIELDS


@pytest.fixture
def one(tmp_path):
    return scan_file(tmp_path / "1.h5", Flag("W_A"), Flag("W_B", "x"))


@pytest.fixture
def two(tmp_path):
    return scan_file(tmp_path / "2.h5", Flag("W_A"))


def test_the_command_has_the_inputs_the_output_and_the_options(tmp_path):
    assert list(inspect.signature(two_inputs).parameters) == ["first", "second", "output", "table", "size", "device"]
    words = ["a.h5", "b.h5", "out.h5", "--size", "3"]
    options = vars(parser_of(two_inputs, "test").parse_args(words))
    paths = {"first": Path("a.h5"), "second": Path("b.h5"), "output": Path("out.h5")}
    assert options == {**paths, "table": None, "size": 3, "device": "cpu"}


def test_flags_of_all_inputs_travel_on_once(one, two, tmp_path):
    @scan_stage("q")
    @of_resample
    def warn(first: ScanFile, second: ScanFile) -> Made:
        return Made(FIELDS, [Flag("W_C")])

    header = warn(one, two, tmp_path / "out.h5")
    assert [flag.flag for flag in header.flags] == ["W_A", "W_B", "W_C"]
    assert header.status == "warned"
    assert header == hdf5.read_header(tmp_path / "out.h5")


def test_parameters_are_the_options_that_change_the_content(one, two, tmp_path):
    header = two_inputs(one, two, tmp_path / "out.h5", table=two, size=3, device="cuda")
    assert header.parameters == {"size": 3}


def test_provenance_names_the_inputs_by_parameter_and_knows_the_raw_scan(one, two, tmp_path):
    write_checksummed_text(tmp_path / "t.csv", "t\n")
    header = two_inputs(one, two, tmp_path / "out.h5", table=tmp_path / "t.csv", size=3)
    expected = {"first": one, "second": two, "table": tmp_path / "t.csv"}
    assert header.provenance["inputs"] == {name: sha256(path) for name, path in expected.items()}
    assert header.provenance["raw_sha256"] == "feed"
    assert len(header.provenance["code"]) == 16


def test_a_file_that_is_read_on_the_way_is_an_input_too(one, tmp_path):
    write_checksummed_text(tmp_path / "net" / "card.json", "{}")

    @scan_stage("q")
    @of_resample
    def with_net(first: ScanFile) -> Fields:
        checksums.check(tmp_path / "net" / "card.json")
        return FIELDS

    header = with_net(one, tmp_path / "out.h5")
    assert header.provenance["inputs"]["net/card.json"] == sha256(tmp_path / "net" / "card.json")
    assert set(read_checksum(tmp_path / "out.h5").inputs) == {"1.h5", "net/card.json"}


def test_a_quarantined_scan_is_not_worked_on_but_written(tmp_path):
    @scan_stage("q")
    @of_resample
    def must_not_run(first: ScanFile) -> Fields:
        raise AssertionError

    source = scan_file(tmp_path / "1.h5", Flag("Q_BAD"))
    assert must_not_run(source, tmp_path / "out.h5").status == "quarantined"
    assert hdf5.field_names(tmp_path / "out.h5") == []


def test_a_stage_that_gives_up_on_a_scan_succeeds_and_says_why(tmp_path):
    @scan_stage("q")
    @of_resample
    def give_up() -> Fields:
        raise Quarantine("Q_EMPTY", "nothing there")

    assert give_up(tmp_path / "out.h5").flags == (Flag("Q_EMPTY", "nothing there"),)


def test_any_other_error_is_not_hidden(tmp_path):
    @scan_stage("q")
    @of_resample
    def fail() -> Fields:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail(tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize("damaged", ["2.h5", "t.csv"])
def test_every_declared_input_is_checked_before_the_work(one, two, tmp_path, damaged):
    write_checksummed_text(tmp_path / "t.csv", "t\n")
    with open(tmp_path / damaged, "ab") as file:
        file.write(b"x")
    with pytest.raises(DamagedFileError, match=damaged):
        two_inputs(one, two, tmp_path / "out.h5", table=tmp_path / "t.csv", size=3)


def test_runs_keep_their_lineages_apart_and_share_what_their_stage_has_read(tmp_path):
    for name in ("model", "a", "b", "other", "manifest"):
        write_checksummed_text(tmp_path / name, name)

    @stage
    @of_resample
    def one_scan(scan):
        checksums.check(tmp_path / scan)
        write_checksummed_text(tmp_path / f"{scan}.out", "made")

    def other_stage():
        checksums.check(tmp_path / "other")
        write_checksummed_text(tmp_path / "other.out", "made")

    other_stage.__module__ = "lungline.stages.ingest"

    @stage
    @of_resample
    def many_scans():
        checksums.check(tmp_path / "model")
        with unrecorded():
            checksums.check(tmp_path / "manifest")
        for scan in ("a", "b"):
            one_scan(scan)
        stage(other_stage)()
        write_checksummed_text(tmp_path / "all.out", "made")

    many_scans()
    inputs = {name: list(read_checksum(tmp_path / f"{name}.out").inputs) for name in ("a", "b", "other", "all")}
    assert inputs == {"a": ["a", "model"], "b": ["b", "model"], "other": ["other"], "all": ["model"]}
    assert [read_checksum(tmp_path / f"{name}.out").stage for name in ("a", "other")] == ["resample", "ingest"]


def test_a_file_is_no_input_of_itself(tmp_path):
    @stage
    @of_resample
    def add_a_line():
        checksums.check(tmp_path / "a")
        write_checksummed_text(tmp_path / "a", "more")

    write_checksummed_text(tmp_path / "a", "some")
    add_a_line()
    assert read_checksum(tmp_path / "a").inputs == {}
