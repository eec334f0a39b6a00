"""The precision of the configuration decides, and never the clock."""

import pytest
import torch

from lungline.device import _cpu_has_bfloat16, half_precision, map_in_parallel

CPU = torch.device("cpu")


def product(precision):
    context, scaled = half_precision(CPU, precision)
    with context:
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype, scaled


def test_float32_and_bfloat16_are_what_they_say_on_every_cpu():
    assert product("float32") == (torch.float32, False)
    assert product("bfloat16") == (torch.bfloat16, False)


def test_auto_follows_the_processor():
    assert product("auto")[0] == (torch.bfloat16 if _cpu_has_bfloat16() else torch.float32)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["flags : fpu avx512_bf16 rdpid"], True),
        (["flags : fpu amx_bf16 amx_tile"], True),
        (["Features : fp asimd bf16"], True),
        (["flags : fpu avx512f avx512bw"], False),
        (["flags : fpu avx512_bf16", "flags : fpu"], False),
        (["model name : avx512_bf16"], False),
        ([], False),
    ],
)
def test_bfloat16_counts_if_every_core_has_it(tmp_path, flags, expected):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("\n\n".join(f"processor : {n}\n{line}" for n, line in enumerate(flags)), encoding="utf-8")
    assert _cpu_has_bfloat16(cpuinfo) is expected


def test_a_system_that_does_not_say_computes_in_float32(tmp_path):
    assert _cpu_has_bfloat16(tmp_path / "none") is False


@pytest.mark.parametrize("threads", [1, 3])
def test_each_part_is_one_threads_whatever_their_number(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        seen = map_in_parallel(lambda part: (part, torch.get_num_threads(), torch.is_grad_enabled()), range(7), CPU)
        assert seen == [(part, 1, False) for part in range(7)]
        assert torch.get_num_threads() == threads
        with pytest.raises(ZeroDivisionError):
            map_in_parallel(lambda part: 1 / part, [1, 0], CPU)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
