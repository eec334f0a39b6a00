"""The charts, tables and lists in the documentation are those of the code, the presets and the pages.

`python -m tests.unit.workflow.test_graphs` makes them anew.
"""

import ast
import re
from pathlib import Path

import pytest

from lungline.workflow.steps import BY_NAME, CANDIDATES, CLASSIFIER_INPUTS, LABELS, STEPS, graph

REPOSITORY = Path(__file__).parents[3]
STAGES = REPOSITORY / "src" / "lungline" / "stages"
#: Folders of modules that know no file of the pipeline: what a stage imports from them does its work.
SCIENCE = ("readers", "imaging", "detection", "nodules", "classification", "training", "evaluation", "reports",
           "synthetic", "pacs", "privacy")  # fmt: skip
STANDS_FOR = {
    CANDIDATES: "the candidates",
    LABELS: "their label map",
    CLASSIFIER_INPUTS: "what the classifier reads",
}


def table() -> str:
    """Every stage, those of `STEPS` first: what it does, reads and writes, and the modules that do its work."""
    lines = ["| step or command | does | reads | writes | modules |", "|---|---|---|---|---|"]
    rest = sorted(path.stem for path in STAGES.glob("[a-z]*.py") if path.stem not in BY_NAME)
    for name in [*BY_NAME, *rest]:
        tree = ast.parse((STAGES / f"{name}.py").read_text(encoding="utf-8"))
        does = (ast.get_docstring(tree) or "").splitlines()[0]
        imports = (node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
        files = sorted({name.removeprefix("lungline.").replace(".", "/") for name in imports})
        modules = [f"`{file}.py`" for file in files if file.partition("/")[0] in SCIENCE and "/" in file]
        step = BY_NAME.get(name)
        reads = [STANDS_FOR.get(made, made) for made in (*step.reads.values(), *step.graph_only)] if step else []
        writes = f"`{step.makes}`" if step else ""
        lines.append(f"| `{name}` | {does} | {', '.join(reads)} | {writes} | {', '.join(modules)} |")
    return "\n".join(lines) + "\n"


def presets() -> str:
    """Every preset, and what the comment at its beginning says that it is for."""
    lines = ["| preset | for |", "|---|---|"]
    for path in sorted((REPOSITORY / "config").glob("*.yaml")):
        comment = " ".join(line[2:] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# "))
        lines.append(f"| `config/{path.name}` | {re.split(r', on top of |[.] ', comment)[0]} |")
    return "\n".join(lines) + "\n"


def pages() -> str:
    """The pages of each kind, by their titles."""
    docs, lines = REPOSITORY / "docs", []
    for kind in ("getting-started", "how-to", "reference", "explanation", "decisions"):
        lines.append(f"## {kind.replace('-', ' ').capitalize().replace('How to', 'How-to')}\n")
        for path in sorted((docs / kind).glob("*.md")):
            title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
            lines.append(f"- [{title}]({path.relative_to(docs)})")
        lines.append("")
    return "\n".join(lines)


def charts() -> dict[tuple[str, str], str]:
    """What stands between the markers, by page and marker."""
    pipeline = "docs/reference/pipeline.md"
    return {
        ("docs/explanation/how-it-works.md", "begin"): f"```mermaid\n{graph(small=True)}\n```\n",
        (pipeline, "begin"): f"```mermaid\n{graph()}\n```\n",
        (pipeline, "table"): table(),
        ("docs/how-to/your-data.md", "presets"): presets(),
        ("docs/README.md", "pages"): pages(),
    }


def between(marker: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=<!-- graph:{marker} -->\n).*?(?=<!-- graph:end -->)", re.DOTALL)


@pytest.mark.parametrize(("page", "marker"), charts())
def test_what_a_page_shows_of_the_steps_is_what_the_code_says(page: str, marker: str) -> None:
    (shown,) = between(marker).findall((REPOSITORY / page).read_text(encoding="utf-8"))
    assert shown == charts()[page, marker], "made anew by python -m tests.unit.workflow.test_graphs"


def test_every_step_has_a_line_in_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .+\.", table(), re.MULTILINE)
    assert rows[: len(STEPS)] == list(BY_NAME)
    assert set(rows) == {path.stem for path in STAGES.glob("[a-z]*.py")}


def write_charts() -> None:
    """Put charts and table between the markers of their pages."""
    for (page, marker), chart in charts().items():
        path = REPOSITORY / page
        text = between(marker).sub(lambda _, chart=chart: chart, path.read_text(encoding="utf-8"), count=1)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_charts()
