"""`lungline receive` and `lungline send` to a node: wrong ways are one line; the storm is in tests/conformance."""

from __future__ import annotations

import functools

import pytest

from lungline.cli import main
from lungline.errors import LunglineError
from lungline.stages import receive, send
from tests.conformance.receive import Archive, as_file, free_port, image, tiny_answer


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("--host 0.0.0.0", "others could send. Name --callers"),
        ("--host 0.0.0.0 --callers SCANNER", "Name --callers"),
        ("--send-to PACS", "expected a DICOM node"),
        ("--ae-title ABCDEFGHIJKLMNOPQ", "expected an AE title"),
        ("--port 0", "--port 0: expected 1 to 65535"),
        ("--quiet-seconds 0", "--quiet-seconds 0.0: expected a number above 0"),
        ("--max-queue-gb nan", "expected a number above 0"),
        ("--addresses scanner", "expected an IP address or network"),
    ],
)
def test_a_wrong_way_is_one_line(tmp_path, capsys, words, why) -> None:
    assert main(["receive", *words.split(), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert why in said.err
    assert not (tmp_path / "out").exists()


def test_it_ends_by_ctrl_c_and_leaves_its_folder_to_the_next(tmp_path, monkeypatch, capsys) -> None:
    def pressed(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(receive, "receive", functools.partial(receive.receive, sleep=pressed))
    for _ in range(2):
        assert receive.run(port=free_port(), out=tmp_path / "out") == 0
    assert "LUNGLINE receives at 127.0.0.1:" in capsys.readouterr().out


def test_seg_and_sr_go_to_a_node(tmp_path, capsys) -> None:
    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming/0.dcm").write_bytes(as_file(image(0, 0)))
    _, made = tiny_answer(tmp_path / "incoming", tmp_path / "answers")
    archive = Archive()
    node = f"ARCHIVE@127.0.0.1:{archive.port}"
    assert main(["send", node, *map(str, made)]) == 0
    assert [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines()] == ["stored"] * 2
    assert main(["send", node, str(tmp_path / "incoming/0.dcm")]) == 2
    assert "takes no such object" in capsys.readouterr().err  # no CT
    archive.server.shutdown()
    assert main(["send", node, *map(str, made)]) == 2
    assert "does not answer" in capsys.readouterr().err
    with pytest.raises(LunglineError, match=r"no seg\.dcm or sr\.dcm"):
        send.run(node, [tmp_path / "incoming"])
