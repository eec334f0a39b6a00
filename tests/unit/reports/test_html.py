"""Templates escape what they are given, and what they are not given is an error."""

import json
import re

import numpy as np
import pytest
from jinja2 import UndefinedError

from lungline.reports.html import percent, render, style_digest
from lungline.reports.performance_curves import plot_reliability
from lungline.reports.plotting import as_svg

HOSTILE = """</script><script>alert('x')</script><img src=x onerror="alert(1)">"""
FOLLOW_UP = {"title": HOSTILE, "facts": {HOSTILE: HOSTILE}, "notes": [HOSTILE], "limits": "", "rows": [], "pixels": 1}


def test_words_of_others_are_escaped_in_text_and_in_attributes():
    page = render("follow_up_page.html", **FOLLOW_UP)
    assert "alert" in page
    assert "<img" not in page
    assert "<script" not in page


def test_data_of_a_script_cannot_end_it():
    table = {"flags": [], "quality": None, "nodules": None, "status": "ok"}
    page = render(
        "nodule_page.html", title="", table=table, patient={}, patient_score=None, quality={}, answer={}, score_name="",
        opinion=False, findings=[], others=[], ranked_by="", pictures=[],
        coarse_mm=None, about={"name": HOSTILE}, layers={"ct": "AAAA"},
    )  # fmt: skip
    (about,) = re.findall(r'id="about">(.*?)</script>', page)
    assert json.loads(about) == {"name": HOSTILE}
    assert "alert(1)" not in page.replace(about, "")


def test_what_a_page_is_not_given_is_no_empty_place_on_it():
    with pytest.raises(UndefinedError, match="limits"):
        render("follow_up_page.html", **{key: value for key, value in FOLLOW_UP.items() if key != "limits"})


def test_a_page_asks_nobody_for_anything():
    page = render("follow_up_page.html", **FOLLOW_UP)
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_chart_has_the_same_text_each_time_and_its_words_can_be_read():
    labels, said = np.array([0, 1, 1, 0]), np.array([0.1, 0.7, 0.72, 0.4])
    one, two = (as_svg(plot_reliability(labels, said), "reliability") for _ in range(2))
    assert one == two
    assert one.startswith('<svg role="img" aria-label="reliability"')
    assert ">predicted probability</text>" in one
    assert not re.search(r"<metadata|<dc:date|<script|href=.https?:", one)


def test_the_digest_of_the_look_is_one_of_all_files(monkeypatch, tmp_path):
    first = style_digest()
    assert re.fullmatch("[0-9a-f]{16}", first)
    (tmp_path / "page.css").write_text("p {}")
    monkeypatch.setattr("lungline.reports.html._FOLDER", tmp_path)
    assert style_digest() != first


@pytest.mark.parametrize(
    ("probability", "words"),
    [(0.0, "0 %"), (0.004, "below 1 %"), (0.505, "50 %"), (0.996, "above 99 %"), (1.0, "100 %")],
)
def test_a_probability_is_never_certain_where_it_is_not(probability, words):
    assert percent(probability) == words
