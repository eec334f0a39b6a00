"""Tables of ours as data frames: words stay words, numbers are exact, what is wrong is named."""

import pytest

from lungline.errors import DamagedFileError, LunglineError
from lungline.storage.checksums import write_checksummed_text
from lungline.storage.frames import (
    NOT_MEASURED,
    Cost,
    largest_diameters,
    read_cost,
    read_curve,
    read_frame,
    read_numbers,
    training_name,
)

BENCHMARK = "s\th:m:s\tmax_rss\tcpu_time\n"


def test_ids_stay_text_and_nothing_stays_nothing(tmp_path):
    (tmp_path / "t.csv").write_text("n,id,more\n1,007,x\n,NA,y\n1e5,nan,z\n")
    table = read_frame(tmp_path / "t.csv", ["id", "n"])
    assert table.to_dict("list") == {"id": ["007", "NA", "nan"], "n": ["1", "", "1e5"]}


def test_a_missing_column_is_named(tmp_path):
    (tmp_path / "t.csv").write_text("id\na\n")
    with pytest.raises(LunglineError, match=r"t\.csv: expected a table with id, cancer.*cancer"):
        read_frame(tmp_path / "t.csv", ["id", "cancer"])


def test_a_damaged_table_is_not_read(tmp_path):
    write_checksummed_text(tmp_path / "t.csv", "id\na\n")
    (tmp_path / "t.csv").write_text("id\nb\n")
    with pytest.raises(DamagedFileError):
        read_frame(tmp_path / "t.csv", ["id"])


@pytest.mark.parametrize("word", ["0.1", "69.314718055994530941723", "2.2250738585072011e-308", "1e23"])
def test_numbers_are_read_to_the_last_digit(tmp_path, word):
    (tmp_path / "t.csv").write_text(f"x\n{word}\n")
    assert read_numbers(tmp_path / "t.csv", ["x"])["x"].tolist() == [float(word)]


def test_costs_are_summed_and_the_largest_peak_counts(tmp_path):
    for name, rows in (("a", "1.5\t0:00:01\t900.0\t2.0\n"), ("b", "9\t-\t1\t9\n2.5\t0:00:02\t300\tNA\n")):
        (tmp_path / f"{name}.tsv").write_text(BENCHMARK + rows)
    paths = [tmp_path / "a.tsv", tmp_path / "b.tsv"]
    assert read_cost(paths[:1]) == Cost(1.5, 2.0, 900.0)
    assert read_cost(paths) == Cost(4.0, None, 900.0)
    assert read_cost([*paths, tmp_path / "none.tsv"]) is read_cost([]) is NOT_MEASURED
    (tmp_path / "b.tsv").write_text(BENCHMARK + "0.1\t0:00:00\t-\t-\n")
    assert read_cost(paths[1:]) == Cost(0.1, None, None)


def test_a_learning_curve_is_read_by_column(tmp_path):
    (tmp_path / "c.csv").write_text("step,train_loss,valid_loss,dice\n10,0.5,0.6,0.1\n20,0.3,0.4,0.2\n")
    curve = read_curve(tmp_path / "c.csv")
    assert curve["step"].tolist() == [10, 20]
    assert curve["valid_loss"].tolist() == [0.6, 0.4]


@pytest.mark.parametrize("rows", ["", "10,0.5,low\n"])
def test_an_empty_or_wordy_learning_curve_is_refused(tmp_path, rows):
    (tmp_path / "c.csv").write_text("step,train_loss,valid_loss\n" + rows)
    with pytest.raises(LunglineError, match=r"c\.csv"):
        read_curve(tmp_path / "c.csv")


def test_a_training_is_named_after_its_folder(tmp_path):
    assert training_name(tmp_path / "paper" / "z" / "learning_curve.csv") == "paper z"
    assert training_name(tmp_path / "m2" / "learning_curve.csv") == "m2"


def test_the_largest_diameter_of_each_scan_is_taken(tmp_path):
    (tmp_path / "ground_truth.csv").write_text("dataset,scan,diameter_mm\ndsb17,a,5\ndsb17,a,9.5\ndsb17,b,4\n")
    assert largest_diameters(tmp_path / "ground_truth.csv") == {"a": 9.5, "b": 4.0}


def test_a_diameter_that_is_no_number_is_refused_with_its_line(tmp_path):
    (tmp_path / "ground_truth.csv").write_text("scan,diameter_mm\na,big\n")
    with pytest.raises(LunglineError, match="line 2"):
        largest_diameters(tmp_path / "ground_truth.csv")
