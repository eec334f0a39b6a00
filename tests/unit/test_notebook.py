"""The notebook runs, and what is stored in it is what comes out.

Its cells run here without Jupyter. To store new outputs:

    pip install nbclient ipykernel
    jupyter execute --inplace examples/lungline.ipynb
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lungline import NOTICE

NOTEBOOK = Path(__file__).parents[2] / "examples" / "lungline.ipynb"
MOST_BYTES = 400_000

#: Runs cells as Jupyter does, as far as the notebook needs it: the value of a last expression and open figures are
#: shown. Prints what each cell showed, as JSON.
RUNNER = """
import ast, contextlib, io, json, sys
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt

plt.show = lambda: None  # a cell's figures are looked at when it ends
names, shown = {"__name__": "__main__"}, []
for cell in json.load(sys.stdin):
    tree = ast.parse(cell)
    last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None
    streams = {"stdout": io.StringIO(), "stderr": io.StringIO()}
    with contextlib.redirect_stdout(streams["stdout"]), contextlib.redirect_stderr(streams["stderr"]):
        exec(compile(tree, "cell", "exec"), names)
        value = eval(compile(last, "cell", "eval"), names) if last else None
    outputs = [{name: stream.getvalue()} for name, stream in streams.items() if stream.getvalue()]
    for number in plt.get_fignums():
        png = io.BytesIO()
        plt.figure(number).savefig(png, dpi=72)
        outputs.append({"image/png": len(png.getvalue()), "text/plain": repr(plt.figure(number))})
    plt.close("all")
    if value is not None:
        page = {"text/html": value._repr_html_()} if hasattr(value, "_repr_html_") else {}
        outputs.append({"text/plain": repr(value), **page})
    shown.append(outputs)
print(json.dumps(shown))
"""


@pytest.fixture(scope="module")
def cells() -> list[dict[str, Any]]:
    """The cells of the notebook that hold code."""
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


def stored(cell: dict[str, Any]) -> list[dict[str, str]]:
    """What a cell showed when the notebook was stored: the text by stream or by kind, for each output."""
    shown = [{out["name"]: out["text"]} if out["output_type"] == "stream" else out["data"] for out in cell["outputs"]]
    return [{kind: "".join(text) for kind, text in one.items()} for one in shown]


def worded(outputs: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Outputs without what may differ from one processor to the next: the digits; of a page the heads of its table."""

    def words(kind: str, text: Any) -> str:
        if kind == "image/png":
            return "a picture"
        if kind == "text/html":
            return " ".join(re.findall(r"<th>(.*?)</th>", text))
        return " ".join(re.sub(r"-?\d+(\.\d+)?", "#", re.sub(r"[\[\](),]", " ", text)).split())

    return [{kind: words(kind, text) for kind, text in sorted(one.items())} for one in outputs]


def test_it_runs_and_shows_what_is_stored_in_it(cells, tmp_path) -> None:
    sources = json.dumps(["".join(cell["source"]) for cell in cells])
    command = [sys.executable, "-c", RUNNER]
    run = subprocess.run(command, input=sources, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    for cell, shown in zip(cells, json.loads(run.stdout), strict=True):
        assert worded(shown) == worded(stored(cell)), "".join(cell["source"])
    assert list(tmp_path.iterdir()) == []


def test_every_cell_was_run_once_and_in_order(cells) -> None:
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [out for cell in cells for out in cell["outputs"]]
    assert not [out for out in outputs if out["output_type"] == "error"]
    assert sum("image/png" in out.get("data", {}) for out in outputs) >= 3


def test_it_is_small_names_no_place_of_a_machine_and_says_what_it_is_for() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    assert re.findall(r"/(?:tmp|home|root|work|Users)/|\.py:\d+", text) == []
    assert text.count(NOTICE) >= 2  # at the top, and in an answer


def test_an_output_of_another_kind_is_found() -> None:
    one = [{"text/plain": "Volume(int16 [z, y, x] = (59, 146, 169))"}]
    assert worded(one) == worded([{"text/plain": "Volume(int16 [z, y, x] = (60, 100, 100))"}])
    assert worded(one) != worded([{"text/plain": "Volume(bool [z, y, x] = (59, 146, 169))"}])
    assert worded(one) != worded([{**one[0], "text/html": "<table><th>rank</th></table>"}])
    assert worded(one) != worded([])
