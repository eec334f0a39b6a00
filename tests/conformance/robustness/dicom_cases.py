"""DICOM folders, each with one thing that real exports, scanners or attackers do."""

from __future__ import annotations

from collections.abc import Iterator

from tests.conformance.robustness import dicom_file_cases as file
from tests.conformance.robustness import dicom_geometry_cases as geometry
from tests.conformance.robustness import dicom_pixel_cases as pixel
from tests.conformance.robustness import dicom_series_cases as series
from tests.conformance.robustness.case import Case


def dicom_cases() -> Iterator[Case]:
    for part in (
        series.plain, series.missing, series.duplicates, series.mixed, geometry.order, geometry.spacing, geometry.tilt,
        geometry.orientation, geometry.damaged_geometry, pixel.rescale, pixel.padding, pixel.bits, pixel.syntaxes,
        file.damaged_files, series.beside_the_scan, file.bombs, file.text, file.enhanced, pixel.content,
    ):  # fmt: skip
        yield from part()
