"""The pages: links lead somewhere, figures are those of the result files, and the first page is short."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import median

import pytest

from experiments.figures import RESULTS, FigureError, differences, filled, pages, text_of, without_figures, written_cell
from tests.repository import REPOSITORY

PAGES = pages()
LINKED = [*PAGES, *(REPOSITORY / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
          *(REPOSITORY / folder / "README.md" for folder in ("benchmarks", "config", "experiments", "findings",
            "experiments/real_nodules", "results", "tests/conformance"))]  # fmt: skip
KINDS = ("getting-started", "how-to", "reference", "explanation", "decisions")
WORDS = 15_000  # of README and docs, without generated tables, charts, lists and pages
TYPED = re.compile(r"\b0\.\d{3}\b")  # shares are measured to three digits, and so are the ends of an interval
#: Numbers of this form that are no results.
SETTINGS = {
    "0.001": "tolerances of tests",
    "0.002": "weight decay",
    "0.003": "a learning rate",
    "0.004": "weight decay",
    "0.512": "an example of what is printed",
    "0.998": "what a test asks",
}


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def code_removed(text: str) -> str:
    return re.sub(r"`[^`\n]+`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path, text: str) -> list[str]:
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", code_removed(text)):
        if re.match(r"https?://|mailto:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            found.append(link)
    return found


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert broken_links(page, page.read_text(encoding="utf-8")) == []


def test_a_link_to_nothing_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Here and there\n")
    text = "[a](gone.md) [b](page.md#there) [c](page.md#here-and-there) [d](#here-and-there) `[e](code.md)`"
    assert broken_links(page, text) == ["gone.md", "page.md#there"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_figure_is_that_of_its_result_file(page: Path) -> None:
    found = list(differences(page.read_text(encoding="utf-8")))
    assert found == [], f"{name_of(page)}: run python -m experiments.figures"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_measured_figure_is_typed(page: Path) -> None:
    text = code_removed(without_figures(page.read_text(encoding="utf-8")))
    assert set(TYPED.findall(text)) <= set(SETTINGS)


def test_a_figure_that_differs_is_named_and_written_anew(tmp_path: Path) -> None:
    table = {"head": "figure", "columns": {"a": "ours", "b": "theirs"}, "bold": "clear of 0", "rows": {
        "auc": {"label": "AUC", "a": {"value": 0.9, "low": 0.85, "high": 0.951}, "b": "not run"},
        "gain": {"label": "gain", "a": {"value": -0.1, "low": -0.2, "high": -0.0, "signed": True, "digits": 2}, "b": {
            "count": 3, "of": 4, "value": 0.75, "low": 0.301, "high": 0.954}}}}  # fmt: skip
    (tmp_path / "study.json").write_text(json.dumps({"about": {}, "tables": {"one": table}}))
    page = (
        "<!-- figures: study/one -->\n| old |\n<!-- /figures -->\n"
        "<!-- figures: study/one rows=gain columns=b -->\n<!-- /figures -->\n"
        "is <!-- figure: study/one/auc/a:value -->0.800<!-- /figure -->.\n"
    )
    assert len(found := list(differences(page, tmp_path))) == 4 + 3 + 1
    assert found[-1] == "study/one/auc/a:value: found '0.800', expected '0.900'"
    new = filled(page, tmp_path)
    assert list(differences(new, tmp_path)) == []
    assert "| figure | ours | theirs |\n|---|---|---|\n| AUC | **0.900 (0.850 to 0.951)** | not run |\n" in new
    assert "| gain | -0.10 (-0.20 to -0.00) | **3 of 4, 0.750 (0.301 to 0.954)** |" in new
    assert "is <!-- figure: study/one/auc/a:value -->0.900<!-- /figure -->." in new


@pytest.mark.parametrize("name", ["none/one/a/b", "demo/none/a/b", "demo/cohort/none/seed1", "demo/cohort/auc/none"])
def test_a_marker_of_no_figure_is_refused(name: str) -> None:
    with pytest.raises(FigureError, match=name.partition("/")[0]):
        written_cell(name)


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_every_result_file_says_what_measured_it_and_every_table_stands_on_a_page(path: Path) -> None:
    study = json.loads(path.read_text(encoding="utf-8"))
    assert {"command", "commit", "taken_from"} <= set(study["about"])
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for name, table in study["tables"].items():
        assert f": {path.stem}/{name}" in text, name
        for key, row in table["rows"].items():
            assert set(row) == {"label", *table["columns"]}
            assert all(text_of(row[column]) in text for column in table["columns"]), key


def test_the_table_of_speed_says_what_its_result_file_says() -> None:
    page = (REPOSITORY / "benchmarks/README.md").read_text(encoding="utf-8")
    for one in json.loads((REPOSITORY / "benchmarks/results.json").read_text(encoding="utf-8"))["comparisons"]:
        theirs, ours = (median(pair[way] for pair in one["pairs_cpu_wall_s"]) for way in (0, 1))
        assert f"| {one['theirs']} | {theirs:.3g} | {ours:.3g} | {one['cpu_ratio']:.3g}" in page, one["what"]


def test_the_first_pages_are_short() -> None:
    for name, most in (("README.md", 120), ("CONTRIBUTING.md", 60)):
        assert len((REPOSITORY / name).read_text(encoding="utf-8").splitlines()) <= most
    assert (REPOSITORY / "docs/images/page.webp").stat().st_size < 200e3


def hand_written(page: Path) -> int:
    """Words that hold a letter or a digit, outside of generated tables, charts and pages."""
    text = page.read_text(encoding="utf-8")
    if text.splitlines()[2].startswith("Made by"):
        return 0
    text = re.sub(r"<!-- (graph|figures):.*?<!-- (graph:end|/figures) -->", "", text, flags=re.DOTALL)
    return sum(bool(re.search(r"\w", word)) for word in re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).split())


def test_the_documentation_is_read_in_an_evening() -> None:
    counts = {name_of(page): hand_written(page) for page in PAGES}
    assert sum(counts.values()) <= WORDS, sorted(counts.items(), key=lambda item: -item[1])[:8]


def test_every_page_is_of_one_kind_and_in_the_list_of_pages() -> None:
    index = (REPOSITORY / "docs/README.md").read_text(encoding="utf-8")
    for page in (REPOSITORY / "docs").rglob("*.md"):
        name = str(page.relative_to(REPOSITORY / "docs"))
        assert name in ("README.md", "glossary.md") or name.split("/")[0] in KINDS
        assert name == "README.md" or name.startswith("decisions/") or f"]({name})" in index


@pytest.mark.parametrize("page", sorted((REPOSITORY / "docs/decisions").glob("*.md")), ids=lambda path: path.stem)
def test_every_decision_has_a_status_and_a_date(page: Path) -> None:
    number = int(page.stem[:4])
    form = rf"# {number}\. .+\n\n- Status: (accepted|replaced by \d+)\n- Date: 2\d{{3}}-\d\d-\d\d\n\n\*\*Context\.\*\* "
    assert re.match(form, page.read_text(encoding="utf-8"))


def test_pre_commit_runs_what_the_script_runs() -> None:
    import importlib.machinery
    import importlib.util

    import yaml

    loader = importlib.machinery.SourceFileLoader("run_script", str(REPOSITORY / "run"))
    spec = importlib.util.spec_from_loader("run_script", loader)
    assert spec is not None
    script = importlib.util.module_from_spec(spec)
    loader.exec_module(script)
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert [" ".join(command) for command in script.checks()] == [hook["entry"] for hook in hooks]
    assert {hook["entry"].split()[0] for hook in hooks} == {"ruff", "mypy", "snakefmt", "snakemake"}
