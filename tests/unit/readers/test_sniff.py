"""The header of weights is read without torch."""

import pytest

from lungline.errors import CorruptFileError
from lungline.readers.sniff import safetensors_header


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


def test_a_header_that_would_fill_the_memory_is_not_read(tmp_path):
    path = tmp_path / "w.safetensors"
    with open(path, "wb") as file:
        file.write((2 << 20).to_bytes(8, "little"))
        file.truncate(8 + (2 << 20))
    with pytest.raises(CorruptFileError, match="not a safetensors file"):
        safetensors_header(path)
