"""Progress is a line that is written over on a terminal, and a plain line now and then in a log."""

import io

import pytest

from lungline.progress import Progress, format_duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(stream: io.StringIO, *, seconds_per_step: float, total: int = 100, done: int = 0) -> str:
    time = {"now": 0.0}
    progress = Progress(total, done=done, stream=stream, now=lambda: time["now"])
    for step in range(done + 1, total + 1):
        time["now"] += seconds_per_step
        progress.log(step, f"loss {1 / step:.2f}")
    progress.clear()
    return stream.getvalue()


def test_a_log_gets_whole_lines_a_minute_apart() -> None:
    lines = told(io.StringIO(), seconds_per_step=6).splitlines()
    assert lines[0] == "step 10 of 100, loss 0.10, about 9 min left"
    assert lines[-1] == "step 100 of 100, loss 0.01"
    assert len(lines) == 10
    assert not any("\r" in line or "\x1b" in line for line in lines)


def test_a_terminal_gets_one_line_that_is_gone_at_the_end() -> None:
    said = told(Terminal(), seconds_per_step=6)
    assert "\n" not in said
    assert said.count("\r") == 101
    assert "[############............] step 50 of 100, loss 0.02, about 5 min left" in said
    assert said.endswith("\r\x1b[K")


def test_what_is_quick_says_nothing_in_a_log_and_little_on_a_terminal() -> None:
    assert told(io.StringIO(), seconds_per_step=0.5) == ""
    assert told(Terminal(), seconds_per_step=0.01).count("step") <= 5


def test_steps_of_an_earlier_process_do_not_make_the_rest_look_short() -> None:
    lines = told(io.StringIO(), seconds_per_step=60, done=90).splitlines()
    assert lines[0].endswith("about 9 min left")


@pytest.mark.parametrize(("seconds", "words"), [(8, "8 s"), (100, "2 min"), (5000, "83 min"), (9000, "2 h 30 min")])
def test_time_is_as_coarse_as_one_wants_it(seconds, words) -> None:
    assert format_duration(seconds) == words
