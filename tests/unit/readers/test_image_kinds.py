"""What an image is, by the words of its header."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from lungline.readers.image_kinds import energy_kev, kind_of, says_hu


def header(*image_type: str, **elements: object) -> Dataset:
    made = Dataset()
    made.ImageType = list(image_type)
    for name, value in elements.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("words", "use", "rank"),
    [
        ((), "slice", 0),
        (("ORIGINAL",), "slice", 0),
        (("ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"), "slice", 0),
        (("ORIGINAL", "PRIMARY", "LOCALIZER"), "other", 9),
        (("DERIVED", "SECONDARY", "AXIAL"), "slice", 1),
        (("DERIVED", "PRIMARY", "AXIAL", "VMI"), "slice", 1),
        (("DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"), "slice", 2),
        (("DERIVED", "SECONDARY", "REFORMATTED", "MIN IP"), "projection", 9),
        (("DERIVED", "SECONDARY", "AXIAL", "CSA MIP"), "projection", 9),
        (("DERIVED", "PRIMARY", "VOLUME", "MAXIMUM"), "projection", 9),
        (("DERIVED", "PRIMARY", "AXIAL", "MAT_REMOVED"), "slice", 3),
        (("DERIVED", "PRIMARY", "AXIAL", "EFF_ATOMIC_NUM"), "not HU", 9),
        (("MIPMAP",), "slice", 0),
    ],
)
def test_image_types(words, use, rank):
    found = kind_of(header(*words))
    assert (found.use, found.rank) == (use, rank)


@pytest.mark.parametrize(
    ("unit", "use", "is_hu"),
    [("HU", "slice", True), (" hu ", "slice", True), ("", "slice", True), ("HU_MOD", "slice", True),
     ("US", "slice", False), ("furlong", "slice", False), ("MGML", "not HU", False), ("Z_EFF", "not HU", False)],
)  # fmt: skip
def test_rescale_types(unit, use, is_hu):
    made = header("ORIGINAL", "PRIMARY", "AXIAL", RescaleType=unit)
    assert (kind_of(made).use, says_hu(made)) == (use, is_hu)


def test_a_description_makes_a_projection_of_a_derived_image_and_a_last_choice_of_an_original_one():
    assert kind_of(header("DERIVED", SeriesDescription="Thorax MIP")).use == "projection"
    original = kind_of(header("ORIGINAL", "PRIMARY", "AXIAL", SeriesDescription="Thorax MIP"))
    assert (original.use, original.rank) == ("slice", 4)
    assert kind_of(header("ORIGINAL", SeriesDescription="shrimp, minimal dose")).rank == 0


@pytest.mark.parametrize(
    "word", ["MIP8", "10MM_MIP", "THICKMIP", "MIPMPR", "TMIP", "MAXPROJ", "MAX_INT", "MinIP3", "MINPROJ"]
)
@pytest.mark.parametrize("where", ["type", "description"])
def test_what_is_glued_to_the_name_of_a_projection_does_not_hide_it(word, where):
    words = (word.upper(),) if where == "type" else ()
    found = kind_of(
        header("DERIVED", "SECONDARY", "AXIAL", *words, SeriesDescription="" if words else f"Lung {word}/1")
    )
    assert found.use == "projection"


@pytest.mark.parametrize(
    ("word", "use"),
    [("PROJECTION IMAGE", "projection"), ("RAYSUM", "slice"), ("MEANIP", "slice"), ("STD_DEVIATION", "not HU"),
     ("ADDITION", "not HU"), ("RHO", "not HU"), ("ELECTRONDENSITY", "not HU"), ("XENON", "not HU"),
     ("RHODES", "slice"), ("MIPLAN", "slice"), ("MINT", "slice")],
)  # fmt: skip
def test_derived_images_by_the_last_word_of_their_type(word, use):
    assert kind_of(header("DERIVED", "SECONDARY", "AXIAL", word)).use == use
    assert kind_of(header("ORIGINAL", SeriesDescription="Mint hill, Miplan 3, minimal dose")).rank == 0


def test_words_that_are_said_are_our_own():
    for element in ("SeriesDescription", "RescaleType", "ImageType"):
        said = kind_of(header("DERIVED", **{element: "Roe MIP"})).words
        assert "oe" not in said


@pytest.mark.parametrize(("text", "energy"), [("MONO 70 keV", 70), ("40keV", 40), ("chest", None), ("7 keV", None)])
def test_energies(text, energy):
    assert energy_kev(header("DERIVED", SeriesDescription=text)) == energy
