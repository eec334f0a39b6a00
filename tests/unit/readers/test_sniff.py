"""The header of weights is read without torch, learning curves and the cohort's truth as tables."""

import pytest

from lungline.errors import CorruptFileError, LunglineError
from lungline.readers.sniff import safetensors_header
from lungline.storage.frames import largest_diameters, read_curve, training_name


def test_tensors_and_our_header_are_read(tmp_path):
    import torch

    from lungline.storage.weights import write_tensors

    write_tensors(tmp_path / "w.safetensors", {"conv.weight": torch.zeros(2, 3)}, {"purpose": "test"})
    tensors, about = safetensors_header(tmp_path / "w.safetensors")
    assert tensors == {"conv.weight": ("F32", [2, 3])}
    assert about["purpose"] == "test"


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"\x02\0\0\0\0\0\0\0[]", b'\x09\0\0\0\0\0\0\0{"a": 1}'])
def test_a_file_that_is_no_safetensors_is_refused(tmp_path, content):
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(CorruptFileError, match="not a safetensors file"):
        safetensors_header(tmp_path / "w.safetensors")


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
    (tmp_path / "truth.csv").write_text("dataset,scan,diameter_mm\ndsb17,a,5\ndsb17,a,9.5\ndsb17,b,4\n")
    assert largest_diameters(tmp_path / "truth.csv") == {"a": 9.5, "b": 4.0}


def test_a_diameter_that_is_no_number_is_refused_with_its_line(tmp_path):
    (tmp_path / "truth.csv").write_text("scan,diameter_mm\na,big\n")
    with pytest.raises(LunglineError, match="line 2"):
        largest_diameters(tmp_path / "truth.csv")
