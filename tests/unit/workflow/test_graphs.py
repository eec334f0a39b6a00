"""The charts of the documentation are those of the table of steps.

`python -m tests.unit.workflow.test_graphs` makes them anew.
"""

import re
from pathlib import Path

import pytest

from lungline.workflow.steps import graph

REPOSITORY = Path(__file__).parents[3]
SMALL = {"docs/explanation/how-it-works.md": True, "docs/reference/pipeline.md": False}
BETWEEN = re.compile(r"(?<=<!-- graph:begin -->\n```mermaid\n).*?(?=\n```\n<!-- graph:end -->)", re.DOTALL)


@pytest.mark.parametrize("page", SMALL)
def test_the_chart_of_a_page_is_that_of_the_table_of_steps(page: str) -> None:
    (chart,) = BETWEEN.findall((REPOSITORY / page).read_text(encoding="utf-8"))
    assert chart == graph(small=SMALL[page]), "made anew by python -m tests.unit.workflow.test_graphs"


def write_charts() -> None:
    """Put the charts of the table of steps between the markers of both pages."""
    for page, small in SMALL.items():
        path, chart = REPOSITORY / page, graph(small=small)
        path.write_text(BETWEEN.sub(lambda _, chart=chart: chart, path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write_charts()
