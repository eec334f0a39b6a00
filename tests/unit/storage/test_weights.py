import pytest
import torch

from lungline import NOTICE
from lungline.errors import CorruptFileError
from lungline.storage.weights import read_card, read_tensors, write_card, write_curve, write_tensors


def test_weights_survive_and_the_same_weights_are_the_same_bytes(tmp_path):
    tensors = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.ones(2)}
    write_tensors(tmp_path / "1.safetensors", tensors, {"purpose": "test"})
    write_tensors(tmp_path / "2.safetensors", tensors, {"purpose": "test"})
    assert (tmp_path / "1.safetensors").read_bytes() == (tmp_path / "2.safetensors").read_bytes()
    back, about = read_tensors(tmp_path / "1.safetensors")
    assert about == {"purpose": "test", "notice": NOTICE}
    assert torch.equal(back["b"], tensors["b"])


def test_damaged_weights_are_refused(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(CorruptFileError, match="Train again"):
        read_tensors(tmp_path / "w.safetensors")
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(CorruptFileError, match="expected JSON"):
        read_card(tmp_path / "card.json")


def test_the_card_says_research_use_only(tmp_path):
    write_card(tmp_path / "card.json", {"purpose": "test"})
    assert read_card(tmp_path / "card.json")["notice"] == NOTICE


def test_the_curve_is_a_table(tmp_path):
    write_curve(tmp_path / "c.csv", [{"step": 10, "valid_loss": 0.5}, {"step": 20, "valid_loss": 0.25}])
    assert (tmp_path / "c.csv").read_text() == "step,valid_loss\n10,0.5\n20,0.25\n"
