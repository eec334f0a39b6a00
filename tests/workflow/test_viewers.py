"""The code that viewers run reads our SEG and SR, and gives back what the nodule table holds.

`python -m tests.workflow.test_viewers` writes docs/reference/viewers.md anew; it needs all the tools. `.ci/run` says
how they are installed. Nothing is drawn here: there is no browser.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from skimage.color import lab2rgb

from dicom_series import write_series
from lungline.imaging.source_planes import ranks_on_planes
from lungline.nodules.table import NoduleRow
from lungline.pacs.dicom_objects import dicom_objects, planes_of
from lungline.readers.dicom import read_dicom
from lungline.readers.dicom_source import read_series
from lungline.readers.scan import volume_of
from scans import chest
from tests.repository import REPOSITORY
from tests.unit.pacs.test_dicom_objects import OBLIQUE, SPACING, label_map_in, rows_of, table_of

PAGE = REPOSITORY / "docs" / "reference" / "viewers.md"
#: Where dcmqi lies: beside this Python, or wherever else the shell looks.
SEARCHED = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
NODE_PACKAGES = REPOSITORY / ".viewers" / "node_modules"
SHAPE, ODD = (24, 80, 110), (24, 81, 109)  # a frame of the second ends within a byte
DCMQI, DCMJS, ADAPTERS, OHIF = "dcmqi", "dcmjs", "@cornerstonejs/adapters", "@ohif/extension-cornerstone-dicom-sr"
TOOLS = (DCMQI, DCMJS, ADAPTERS, OHIF)
LUNG = {"left": ["SCT:39607008", "SCT:7771000"], "right": ["SCT:39607008", "SCT:24028007"]}
NODULE = "SCT:27925004"
ODD_FRAMES = "voxels, in frames of 81 x 109 pixels (no whole number of bytes)"
SEG = ("voxels lie where the table's nodules lie", "segments have the ranks, in their order", "labels", "colours",
       "tracking identifiers and UIDs", "nodule; lung and its laterality", ODD_FRAMES)  # fmt: skip
SR = ("findings in the order of ranks, with tracking identifiers and UIDs", "measurements: concept, value, unit",
      "first five: scores, axes, volume", "nodule; lung and its laterality", "the segment of a finding",
      "centre of a finding", "counts and probability of the scan", "source images and SEG as evidence",
      "a finding is marked in the CT",
      "a finding is marked in the CT, where a scout comes first")  # fmt: skip
NOT_READ = {
    (ADAPTERS, "SR"): "makes tools that can be edited, of which a centre with measurements is none",
    (OHIF, "SEG"): "reads reports; OHIF hands the SEG to the adapters",
}
PARSER = "reads the file, draws nothing"
NO = {
    (ADAPTERS, ODD_FRAMES): "refuses it for the byte of padding; CT of 512 x 512 has none",
    (DCMQI, "centre of a finding"): "`tid1500reader` has no field for it",
    (DCMQI, "a finding is marked in the CT"): PARSER,
    (DCMQI, "a finding is marked in the CT, where a scout comes first"): PARSER,
    (DCMJS, "a finding is marked in the CT"): PARSER,
    (DCMJS, "a finding is marked in the CT, where a scout comes first"): PARSER,
    (OHIF, "measurements: concept, value, unit"): "two digits, no coding scheme",
    (OHIF, "nodule; lung and its laterality"): "the site alone, no laterality",
    (OHIF, "the segment of a finding"): "is not read",
    (OHIF, "counts and probability of the scan"): "a 0 is left blank, a number with its algorithm is left out",
    (OHIF, "source images and SEG as evidence"): "asks for an Image Library, which is optional and not written",
    (
        OHIF,
        "a finding is marked in the CT, where a scout comes first",
    ): "stops at the group of the scan, which has no coordinates (TypeError), before it comes to the CT",
}


def write_objects(folder: Path, shape: tuple[int, int, int]) -> tuple[list[NoduleRow], dict[int, np.ndarray]]:
    """A series, oblique to the patient, in `raw`, its SEG and SR; its rows, and the places (N, 3) mm of each rank."""
    raw = write_series(folder / "raw", chest(shape), spacing_kji=SPACING, orientation=OBLIQUE)
    label_map = label_map_in(volume_of(read_dicom(raw)[0]).to_lps())
    rows, series = rows_of(label_map), read_series(raw)
    made = dicom_objects(series, table_of(rows), rows, label_map)
    assert made.seg is not None
    made.seg.save_as(folder / "seg.dcm", enforce_file_format=True)
    made.sr.save_as(folder / "sr.dcm", enforce_file_format=True)
    planes = planes_of(series)
    marked = ranks_on_planes(label_map, planes, [row.rank for row in rows])
    places = {}
    for row in rows:
        on_planes = [plane.world(*np.nonzero(mask == row.rank)) for plane, mask in zip(planes, marked, strict=True)]
        places[row.rank] = np.concatenate(on_planes)
    return rows, places


# ---- what the tools read -----------------------------------------------------------------------------------


def by_dcmqi(folder: Path) -> dict[str, Any]:
    """Segments and groups in the form of `tests/viewers.mjs`."""
    tools = [shutil.which(name, path=SEARCHED) for name in ("segimage2itkimage", "tid1500reader")]
    if None in tools:
        pytest.skip("needs dcmqi (pip install dcmqi)")
    seg_tool, sr_tool = map(str, tools)
    masks = folder / "dcmqi"
    masks.mkdir()
    words = ["--inputDICOM", folder / "seg.dcm", "--outputDirectory", masks, "--outputType", "nrrd"]
    subprocess.run([seg_tool, *words], check=True, capture_output=True)
    read = subprocess.run(
        [sr_tool, "--inputDICOM", folder / "sr.dcm", "--outputMetadata", masks / "sr.json"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    segments = []
    for n, (item,) in enumerate(json.loads((masks / "meta.json").read_text())["segmentAttributes"], 1):
        image = sitk.ReadImage(masks / f"{n}.nrrd")
        marked = np.argwhere(sitk.GetArrayViewFromImage(image) == item["labelID"])[:, ::-1]
        segments.append({
            "number": item["labelID"], "label": item["SegmentLabel"], "rgb": item["recommendedDisplayRGBValue"],
            "tracking": [item["TrackingIdentifier"], item["TrackingUniqueIdentifier"]],
            "type": code_of(item["SegmentedPropertyTypeCodeSequence"]),
            "site": [code_of(item[f"AnatomicRegion{name}Sequence"]) for name in ("", "Modifier")],
            "places": [image.TransformIndexToPhysicalPoint(index.tolist()) for index in marked],
        })  # fmt: skip
    report = json.loads((masks / "sr.json").read_text())
    groups = []
    for group in report["Measurements"]:
        measured = [
            [code_of(item["quantity"]), float(item["value"]), item["units"]["CodeValue"]]
            for item in group["measurementItems"]
        ]
        groups.append({
            "tracking": [group["TrackingIdentifier"], group["TrackingUniqueIdentifier"]], "measured": measured,
            "type": code_of(group["Finding"]), "segment": group.get("ReferencedSegment"), "centre": [],
            "site": [code_of(group["FindingSite"]), code_of(group["Laterality"]) if "Laterality" in group else None],
        })  # fmt: skip
    version = read.stdout.partition("tag: v")[2].split()[0]
    evidence = report["imageLibrary"] + report["compositeContext"]
    return {"version": version, "segments": segments, "report": {"groups": groups, "evidence": evidence}}


def by_node(folder: Path) -> dict[str, Any]:
    """What `tests/viewers.mjs` prints."""
    if shutil.which("node") is None or not (NODE_PACKAGES / "dcmjs").is_dir():
        pytest.skip("needs node and the packages that .ci/run installs into .viewers/")
    script = folder / "viewers.mjs"
    shutil.copy(REPOSITORY / "tests" / "viewers.mjs", script)
    (folder / "node_modules").symlink_to(NODE_PACKAGES)
    answer = subprocess.run(["node", script, folder], capture_output=True, text=True, check=False, timeout=120)
    assert answer.returncode == 0, answer.stderr[-2000:]
    return json.loads(answer.stdout)


def code_of(item: dict[str, str]) -> str:
    return f"{item['CodingSchemeDesignator']}:{item['CodeValue']}"


# ---- against the table -------------------------------------------------------------------------------------


def lie_right(segments: list[dict[str, Any]], rows: list[NoduleRow], places: dict[int, np.ndarray]) -> bool:
    """Whether the voxels of all segments are those of the label map, about the places of the table."""
    for one, row in zip(segments, rows, strict=True):
        read, expected = (np.array(sorted(map(tuple, np.round(all_, 3)))) for all_ in (one["places"], places[row.rank]))
        if read.shape != expected.shape or not np.allclose(read, expected, atol=0.01):
            return False
        if max(abs(read.mean(axis=0) - (row.x_mm, row.y_mm, row.z_mm))) > 0.5:
            return False
    return True


def checks_of_seg(segments: list[dict[str, Any]], folder: Path, rows: list[NoduleRow], places: Any) -> dict[str, bool]:
    """Which properties of the SEG a tool gives back."""
    written = pydicom.dcmread(folder / "seg.dcm").SegmentSequence

    def shown(one: dict[str, Any], item: pydicom.Dataset) -> bool:
        light, a, b = item.RecommendedDisplayCIELabValue
        lab = (light * 100 / 65535, a * 255 / 65535 - 128, b * 255 / 65535 - 128)
        return bool(np.allclose(one["rgb"], 255 * lab2rgb([[lab]])[0, 0], atol=2))

    pairs = list(zip(segments, rows, strict=True))
    tracking = [[f"finding {row.rank}", item.TrackingUID] for row, item in zip(rows, written, strict=True)]
    seen = (
        lie_right(segments, rows, places),
        [one["number"] for one in segments] == [row.rank for row in rows],
        all(one["label"] == f"finding {row.rank}, {row.long_axis_mm:.1f} mm" for one, row in pairs),
        all(map(shown, segments, written)),
        [one["tracking"] for one in segments] == tracking,
        all(one["type"] == NODULE and one["site"] == LUNG[row.laterality] for one, row in pairs),
    )
    return dict(zip(SEG, seen, strict=False))


def measurements_of(row: NoduleRow) -> list[list[Any]]:
    """What the report should say of a row, in its order: code, value, unit."""
    share = row.cancer_probability
    expected = [
        ["DCM:111012", 100 * row.score, "%"],
        ["DCM:111047", None if share is None else 100 * share, "%"],
        ["SCT:103339001", row.long_axis_mm, "mm"],
        ["SCT:103340004", row.short_axis_mm, "mm"],
        ["SCT:118565006", row.volume_mm3, "mm3"],
        ["99LUNGLINE:mean-diameter", row.mean_diameter_mm, "mm"],
        ["99LUNGLINE:diameter-low", row.mean_diameter_low_mm, "mm"],
        ["99LUNGLINE:diameter-high", row.mean_diameter_high_mm, "mm"],
        ["DCM:112031", row.mean_hu, "[hnsf'U]"],
        ["99LUNGLINE:slice-position", row.slice_position_mm, "mm"],
        ["99LUNGLINE:instance-number", row.instance_number, "1"],
    ]
    return [item for item in expected if item[1] is not None]


def same(read: list[list[Any]], expected: list[list[Any]]) -> bool:
    """Equal but for digits that DICOM's 16 characters have no room for."""
    return len(read) == len(expected) and all(
        [a[0], a[2]] == [b[0], b[2]] and a[1] == pytest.approx(b[1], rel=1e-12)
        for a, b in zip(read, expected, strict=True)
    )


def checks_of_sr(report: dict[str, Any], folder: Path, rows: list[NoduleRow]) -> dict[str, bool]:
    """Which properties of the SR a tool that parses it gives back."""
    scan, *groups = report["groups"]
    uids = [item.TrackingUID for item in pydicom.dcmread(folder / "seg.dcm").SegmentSequence]
    sources = [pydicom.dcmread(path).SOPInstanceUID for path in [*(folder / "raw").iterdir(), folder / "seg.dcm"]]
    pairs = list(zip(groups, rows, strict=True))
    of_scan = [["99LUNGLINE:findings", 2, "1"], ["99LUNGLINE:also-looked-at", 0, "1"], ["DCM:111047", 77.7299861, "%"]]
    seen = (
        [one["tracking"] for one in groups] == [[f"finding {n}", uid] for n, uid in enumerate(uids, 1)],
        all(same(one["measured"], measurements_of(row)) for one, row in pairs),
        all(same(one["measured"][:5], measurements_of(row)[:5]) for one, row in pairs),
        all(one["type"] == NODULE and one["site"] == LUNG[row.laterality] for one, row in pairs),
        [one["segment"] for one in groups] == [row.rank for row in rows],
        all(one["centre"] == pytest.approx([row.x_mm, row.y_mm, row.z_mm], abs=1e-3) for one, row in pairs),
        same(scan["measured"], of_scan),
        sorted(report["evidence"]) == sorted(sources),
        False,
        False,
    )
    return dict(zip(SR, seen, strict=True))


def checks_of_ohif(read: dict[str, Any], rows: list[NoduleRow], folder: Path) -> dict[str, bool]:
    """Which properties of the SR stand in OHIF's list, and are handed to what draws them."""
    scan, *listed = read["ctFirst"]["listed"]
    uids = [item.TrackingUID for item in pydicom.dcmread(folder / "seg.dcm").SegmentSequence]
    centres = {uid: [row.x_mm, row.y_mm, row.z_mm] for uid, row in zip(uids, rows, strict=True)}

    def marked(drawn: list[dict[str, Any]]) -> bool:
        at = {one["uid"]: one["at"] for one in drawn}
        return at.keys() == centres.keys() and all(at[uid] == pytest.approx(centres[uid], abs=1e-3) for uid in at)

    pairs = list(zip(listed, rows, strict=True))
    rounded = [[f"{value:.2f} {unit}" for _, value, unit in measurements_of(row)] for row in rows]
    values = [[value for _, value in one["labels"][:-1]] for one in listed]
    words = str(listed)
    seen = (
        [one["tracking"] for one in listed] == [[f"finding {n}", uid] for n, uid in enumerate(uids, 1)],
        values == rounded and "SCT:" in words,
        [all_[:5] for all_ in values] == [all_[:5] for all_ in rounded],
        all(row.laterality in str(one["labels"]).lower() for one, row in pairs),
        "segment" in words,
        all(one["places"] == [pytest.approx([row.x_mm, row.y_mm, row.z_mm], abs=1e-3)] for one, row in pairs),
        [value for _, value in scan["labels"]] == ["2.00 1", "0.00 1", "77.73 %"],
        read["ctFirst"]["images"] == SHAPE[0],
        marked(read["ctFirst"]["drawn"]),
        marked(read["scoutFirst"]["drawn"]),
    )
    assert values == rounded
    return dict(zip(SR, seen, strict=True))


@cache
def objects(shape: tuple[int, int, int]) -> tuple[Any, list[NoduleRow], dict[int, np.ndarray]]:
    """A temporary folder that lasts as long as this process, and what was written into it."""
    folder = tempfile.TemporaryDirectory()
    return folder, *write_objects(Path(folder.name), shape)


@cache
def read_by(tool: str, shape: tuple[int, int, int]) -> dict[str, Any]:
    return {DCMQI: by_dcmqi, "node": by_node}[tool](Path(objects(shape)[0].name))


def parts_read(tool: str, shape: tuple[int, int, int]) -> tuple[str, Any, Any]:
    """Version of a tool, the segments and the report that it reads; None for what it does not."""
    if tool == DCMQI:
        read = read_by(DCMQI, shape)
        return read["version"], read["segments"], read["report"]
    read = read_by("node", shape)
    part = read[{OHIF: "ohif"}.get(tool, tool.rpartition("/")[2])]
    return read["versions"][tool], part.get("segments"), part.get("report")


def results(tool: str) -> tuple[str, dict[tuple[str, str], bool]]:
    """The version of a tool, and what it gives back: by object and property."""
    place, rows, places = objects(SHAPE)
    folder = Path(place.name)
    version, segments, report = parts_read(tool, SHAPE)
    seg = {} if segments is None else checks_of_seg(segments, folder, rows, places)
    sr = {} if report is None else checks_of_sr(report, folder, rows)
    if seg:
        odd = parts_read(tool, ODD)[1]
        seg[ODD_FRAMES] = odd is not None and lie_right(odd, *objects(ODD)[1:])
    if tool == OHIF:
        sr = checks_of_ohif(read_by("node", SHAPE)["ohif"], rows, folder)
    if tool == ADAPTERS:
        assert read_by("node", SHAPE)["adapters"]["annotations"] == {}
    return version, {(kind, what): ok for kind, of in (("SEG", seg), ("SR", sr)) for what, ok in of.items()}


def cells_of(tool: str) -> list[str]:
    """A column of the table: its head, and yes or the reason for no."""
    version, seen = results(tool)
    cells = [f"{tool} {version}"]
    for kind, what in [("SEG", what) for what in SEG] + [("SR", what) for what in SR]:
        reason = NOT_READ.get((tool, kind)) or NO.get((tool, what))
        ok = seen.get((kind, what), False)
        assert ok == (reason is None), f"{tool}, {what}: {'a reason for no is out of date' if ok else 'not read'}"
        cells.append("yes" if ok else f"no: {reason}")
    return cells


def columns_of(page: str) -> list[list[str]]:
    """The columns of the tables on the page, one after another."""
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    return [list(column) for column in zip(*(line.strip("| ").split(" | ") for line in lines), strict=True)]


# ---- the tests ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_reads_what_the_page_says_that_it_reads(tool: str) -> None:
    head, *cells = cells_of(tool)
    (column,) = (column for column in columns_of(PAGE.read_text(encoding="utf-8")) if column[0].startswith(f"{tool} "))
    assert column[1:] == cells, f"{head}: python -m tests.workflow.test_viewers"


def test_what_a_tool_reads_otherwise_is_seen() -> None:
    place, rows, places = objects(SHAPE)
    folder = Path(place.name)
    segments, report = parts_read(DCMQI, SHAPE)[1:]
    first, second = segments
    moved = first | {"places": (np.array(first["places"]) + np.array((0, 0, 2))).tolist()}
    mirrored = first | {"site": LUNG["right"], "rgb": [255, 0, 0], "label": "nodule", "tracking": ["1", "2.25.1"]}
    seen = [checks_of_seg(all_, folder, rows, places) for all_ in ([moved, second], [mirrored, second])]
    assert list(seen[0].values()) == [False, True, True, True, True, True]
    assert list(seen[1].values()) == [True, True, False, False, False, False]
    scan, *groups = report["groups"]
    turned = checks_of_sr({"groups": [scan, *groups[::-1]], "evidence": report["evidence"][1:]}, folder, rows)
    assert not any(turned[what] for what in SR if what != "counts and probability of the scan")


def test_a_mark_that_ohif_sets_elsewhere_is_seen() -> None:
    place, rows, _ = objects(SHAPE)
    read = read_by("node", SHAPE)["ohif"]
    drawn = [one | {"at": [x + 1 for x in one["at"]]} for one in read["ctFirst"]["drawn"]]
    checks = checks_of_ohif(read | {"ctFirst": read["ctFirst"] | {"drawn": drawn}}, rows, Path(place.name))
    assert not checks["a finding is marked in the CT"]
    assert checks["centre of a finding"]


def page() -> str:
    """The page, of all tools."""
    columns = [
        ["object and property", *(f"{kind}: {what}" for kind, all_ in (("SEG", SEG), ("SR", SR)) for what in all_)]
    ]
    columns += [cells_of(tool) for tool in TOOLS]
    head, *rows = [f"| {' | '.join(row)} |" for row in zip(*columns, strict=True)]
    table = "\n".join([head, "|---" * len(columns) + "|", *rows])
    return f"{BEFORE}\n{table}\n{AFTER}"


BEFORE = """# What viewers read

Made by `python -m tests.workflow.test_viewers`, which compares what each tool reads of SEG and SR of an oblique
series with the nodule table. 3D Slicer reads them with dcmqi, OHIF with dcmjs, the adapters and the extension, whose
handler of reports runs here without OHIF's user interface. **No pixel was drawn: Slicer and OHIF themselves, in a
browser, were not tried, nor the jump to a slice.**
"""
AFTER = """
`dciodvfy` finds no error in either object ([DICOM out](../how-to/dicom-out.md#how-it-is-tested)).
"""

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
