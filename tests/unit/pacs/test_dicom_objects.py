"""DICOM out: valid, at the right place, and saying what the nodule table says."""

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes
from skimage.color import lab2rgb, rgb2lab

from dicom_series import FRAME, PATIENT, SERIES, STUDY, complaints, write_series
from lungline import NOTICE
from lungline.imaging import geometry
from lungline.imaging.volume import Volume
from lungline.nodules.table import NoduleRow
from lungline.pacs.dicom_objects import _colour, dicom_objects, planes_of
from lungline.readers.dicom import read_dicom
from lungline.readers.dicom_source import read_series
from lungline.readers.scan import volume_of
from scans import AXIAL, ENHANCED_CT, chest, write_enhanced

SPACING = (2.0, 0.9, 0.7)
SHAPE = (24, 80, 110)
#: Offset (x, y, z) mm from the middle of the scan, and radius: one on the left, a smaller one on the right.
BALLS = {1: ((21.0, 5.0, -6.0), 6.0), 2: ((-19.0, -8.0, 9.0), 4.0)}
OBLIQUE = (0.9397, 0.0, -0.3420, 0.1170, 0.9397, 0.3214)
FLIPPED = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # columns run to the right, slices to the feet


def label_map_in(ct: Volume) -> Volume:
    """Balls on a grid of 1 mm that is turned as the scan is, as the cache is."""
    size = np.array(ct.shape_zyx) * ct.spacing_zyx_mm
    grid = geometry.make_affine((1.0, 1.0, 1.0), ct.affine[:3, 3], geometry.direction(ct.affine))
    shape = tuple(int(np.ceil(n)) for n in size)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    world = geometry.voxel_to_world(grid, index)
    middle = geometry.voxel_to_world(ct.affine, np.array(ct.shape_zyx) / 2)
    ranks = np.zeros(shape, np.int64)
    for rank, (offset, radius) in BALLS.items():
        ranks[np.linalg.norm(world - (middle + offset), axis=-1) <= radius] = rank
    return Volume(ranks, grid)


def row_of(rank: int, place, index, laterality: str, size, *, finding: bool = True, image: int | None = None, **scores):
    """A row with odd numbers."""
    where = dict(zip(("x_mm", "y_mm", "z_mm", "z", "y", "x"), (*place, *index), strict=True))
    sizes = dict(zip(("long_axis_mm", "volume_mm3"), size, strict=True))
    if rank == 1:
        sizes |= {"short_axis_mm": 9.25, "mean_diameter_mm": 10.6, "mean_diameter_low_mm": 8.5,
                  "mean_diameter_high_mm": 12.75}  # fmt: skip
    densities = {"mean_hu": -123.4, "sd_hu": 56.7, "attenuation": "solid", "core_hu": 12.3, "solid_share": 0.95}
    known = {"score": 0.9871234, "nodule_probability": 0.27, "logit": None, "cancer_probability": None}
    slices = {"slice": 1, "instance_number": image, "slice_position_mm": 7.25}
    return NoduleRow(rank=rank, finding=finding, laterality=laterality, zone="middle", decided=rank == 1,
                     **where, **sizes, **densities, **slices, **(known | scores))  # fmt: skip


def rows_of(label_map: Volume) -> list[NoduleRow]:
    """A row of every ball: the first is judged, the second has no image number."""
    rows = []
    for rank, (offset, radius) in BALLS.items():
        index = np.argwhere(label_map.array == rank).mean(axis=0)
        x, y, z = geometry.voxel_to_world(label_map.affine, index)
        laterality = "left" if offset[0] > 0 else "right"
        size = (2 * radius + 1 / 3, 4.18879020478639 * radius**3)
        judged = {"logit": 1.25, "cancer_probability": 0.777299861, "image": 17} if rank == 1 else {}
        rows.append(row_of(rank, (x, y, z), index, laterality, size, score=0.9876543210123 / rank, **judged))
    return rows


def table_of(rows, probability=0.777299861) -> dict:
    return {
        "classifier": "m2",
        "ranked_by": "fpr",
        "nodules": None if rows is None else [{} for row in rows if row.finding],
        "also_looked_at": None if rows is None else [{} for row in rows if not row.finding],
        "patient": {"cancer_probability": probability, "malignancy_score": None},
    }


@pytest.fixture(scope="module", params=[AXIAL, FLIPPED, OBLIQUE], ids=["axial", "flipped", "oblique"])
def written(request, tmp_path_factory):
    """A series, its outline and rows, and what was written about it: (folder, outline, rows)."""
    folder = tmp_path_factory.mktemp("written")
    raw = write_series(folder / "raw", chest(SHAPE), spacing_kji=SPACING, orientation=request.param)
    image, _ = read_dicom(raw)
    label_map = label_map_in(volume_of(image).to_lps())
    rows = rows_of(label_map)
    made = dicom_objects(read_series(raw), table_of(rows), rows, label_map)
    made.seg.save_as(folder / "seg.dcm", enforce_file_format=True)
    made.sr.save_as(folder / "sr.dcm", enforce_file_format=True)
    return folder, label_map, rows


def test_dciodvfy_finds_no_error(written) -> None:
    folder, _, _ = written
    assert complaints(folder / "seg.dcm") == []
    assert complaints(folder / "sr.dcm") == []


def test_segments_lie_where_the_outlines_lie_and_refer_to_the_images_that_show_them(written) -> None:
    import highdicom as hd

    folder, label_map, rows = written
    seg = hd.seg.segread(folder / "seg.dcm")
    source = {(d := pydicom.dcmread(path)).SOPInstanceUID: d for path in (folder / "raw").iterdir()}
    orientation = np.array(seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient)
    between_rows, between_columns = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    points = {row.rank: [] for row in rows}
    for frame, pixels in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        (reference,) = frame.DerivationImageSequence[0].SourceImageSequence
        image = source[reference.ReferencedSOPInstanceUID]
        np.testing.assert_allclose(position, np.array(image.ImagePositionPatient, float), atol=1e-6)
        j, i = np.nonzero(pixels)
        along_i, along_j = orientation[:3] * between_columns, orientation[3:] * between_rows
        world = position + np.outer(i, along_i) + np.outer(j, along_j)
        points[frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber].append(world)
    for row in rows:
        world = np.concatenate(points[row.rank])
        np.testing.assert_allclose(world.mean(axis=0), (row.x_mm, row.y_mm, row.z_mm), atol=0.5)
        volume_mm3 = len(world) * np.prod(SPACING)
        assert volume_mm3 == pytest.approx((label_map.array == row.rank).sum(), rel=0.08)
    assert [item.SegmentLabel for item in seg.SegmentSequence] == ["finding 1, 12.3 mm", "finding 2, 8.3 mm"]
    assert {item.SegmentAlgorithmType for item in seg.SegmentSequence} == {"AUTOMATIC"}
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == SERIES


def test_left_stays_left(written) -> None:
    import highdicom as hd

    folder, label_map, _ = written
    middle = geometry.voxel_to_world(label_map.affine, np.array(label_map.shape_zyx) / 2)
    for group in hd.sr.srread(folder / "sr.dcm").content.get_volumetric_roi_measurement_groups():
        (site,) = group.finding_sites
        x = centre_of(group)[0]
        assert site.laterality == (codes.SCT.Left if x > middle[0] else codes.SCT.Right)
        assert (x > middle[0]) == (group.tracking_identifier == "finding 1")


def centre_of(group) -> np.ndarray:
    (item,) = [item for item in group[0].ContentSequence if item.name == codes.DCM.Center]
    assert item.frame_of_reference_uid == FRAME
    return item.value[0]


def measured(group, name) -> list[tuple[float, str]]:
    return [(item.value, item.unit.value) for item in group.get_measurements(name)]


def test_the_report_says_what_the_table_says(written) -> None:
    import highdicom as hd

    folder, _, rows = written
    report = hd.sr.srread(folder / "sr.dcm")
    seg = pydicom.dcmread(folder / "seg.dcm")
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert [group.tracking_identifier for group in groups] == ["finding 1", "finding 2"]
    for group, row in zip(groups, rows, strict=True):
        np.testing.assert_allclose(centre_of(group), (row.x_mm, row.y_mm, row.z_mm), atol=1e-3)
        assert measured(group, codes.SCT.LongAxis) == [(row.long_axis_mm, "mm")]
        assert measured(group, codes.SCT.Volume) == [(row.volume_mm3, "mm3")]
        assert measured(group, codes.SCT.ShortAxis) == (
            [] if row.short_axis_mm is None else [(row.short_axis_mm, "mm")]
        )
        assert measured(group, codes.DCM.AttenuationCoefficient) == [(row.mean_hu, "[hnsf'U]")]
        assert measured(group, codes.DCM.CertaintyOfFinding) == [(pytest.approx(100 * row.score), "%")]
        numbers = {item.name.value: item.value for item in group.get_measurements()}
        assert numbers["slice-position"] == row.slice_position_mm
        assert numbers.get("instance-number") == row.instance_number
        assert numbers.get("mean-diameter") == row.mean_diameter_mm
        assert numbers.get("diameter-low") == row.mean_diameter_low_mm
        assert numbers.get("diameter-high") == row.mean_diameter_high_mm
        cancer = [] if row.cancer_probability is None else [(pytest.approx(100 * row.cancer_probability), "%")]
        assert measured(group, codes.DCM.ProbabilityOfCancer) == cancer
        segment = group.referenced_segment
        (item,) = [item for item in segment if item.name == codes.DCM.ReferencedSegment]
        assert item.referenced_sop_instance_uid == seg.SOPInstanceUID
        assert item.referenced_segment_numbers == [row.rank]
        sources = {item.referenced_sop_instance_uid for item in segment if item.name != codes.DCM.ReferencedSegment}
        shown = {
            frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
            for frame in seg.PerFrameFunctionalGroupsSequence
            if frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber == row.rank
        }
        assert sources == shown
    (scan,) = report.content.get_image_measurement_groups()
    assert measured(scan, codes.DCM.ProbabilityOfCancer) == [(pytest.approx(77.7299861), "%")]
    counts = {item.name.value: item.value for item in scan.get_measurements()}
    assert (counts["findings"], counts["also-looked-at"]) == (2, 0)


def test_both_name_the_patient_and_the_study_and_say_what_they_are_not_for(written) -> None:
    folder, _, _ = written
    for name in ("seg.dcm", "sr.dcm"):
        dataset = pydicom.dcmread(folder / name)
        assert {key: str(dataset[key].value) for key in PATIENT} == PATIENT
        assert (dataset.StudyInstanceUID, dataset.Manufacturer) == (STUDY, "lungline")
        assert dataset.SeriesInstanceUID != SERIES
        assert NOTICE in dataset.SeriesDescription
        assert NOTICE in [item.get("ContributionDescription") for item in dataset.ContributingEquipmentSequence]
    assert seg_description(folder) == NOTICE
    sr = pydicom.dcmread(folder / "sr.dcm")
    assert sr.VerificationFlag == "UNVERIFIED"
    assert NOTICE in [item.get("TextValue") for item in sr.ContentSequence]
    (evidence,) = [s for s in sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
                   if s.SeriesInstanceUID == SERIES]  # fmt: skip
    raw = {pydicom.dcmread(path).SOPInstanceUID for path in (folder / "raw").iterdir()}
    assert {item.ReferencedSOPInstanceUID for item in evidence.ReferencedSOPSequence} == raw


def seg_description(folder) -> str:
    return pydicom.dcmread(folder / "seg.dcm").ContentDescription


def test_the_same_answer_has_the_same_uids_and_another_has_others(tmp_path) -> None:
    raw = write_series(tmp_path / "raw", chest())
    series = read_series(raw)
    first, again, other = (dicom_objects(series, table_of([], p), [], None) for p in (0.5, 0.5, 0.6))
    assert first.sr.SOPInstanceUID == again.sr.SOPInstanceUID != other.sr.SOPInstanceUID
    assert first.sr.SeriesInstanceUID != other.sr.SeriesInstanceUID


def without_clock(dataset: pydicom.Dataset) -> dict:
    """Every element but dates and times, as JSON has it."""

    def plain(items) -> list:
        return [without_clock(item) for item in items]

    return {
        element.tag: plain(element.value) if element.VR == "SQ" else element.value
        for element in dataset
        if element.VR not in ("DA", "TM", "DT")
    }


@pytest.mark.parametrize("name", ["seg", "sr"])
def test_the_same_answer_written_twice_is_the_same_bytes_but_for_dates_and_times(written, tmp_path, name) -> None:
    """highdicom draws a DimensionOrganizationUID each time; equal lengths show that nothing else has moved."""
    folder, label_map, rows = written
    again = getattr(dicom_objects(read_series(folder / "raw"), table_of(rows), rows, label_map), name)
    again.save_as(tmp_path / "again.dcm", enforce_file_format=True)
    first, second = (folder / f"{name}.dcm").read_bytes(), (tmp_path / "again.dcm").read_bytes()
    assert len(first) == len(second)
    assert sum(a != b for a, b in zip(first, second, strict=True)) < 200  # digits of the clock
    assert without_clock(pydicom.dcmread(folder / f"{name}.dcm")) == without_clock(
        pydicom.dcmread(tmp_path / "again.dcm")
    )


def test_a_segment_says_its_side_its_colour_and_how_large_the_finding_is(written) -> None:
    folder, _, rows = written
    seg, source = pydicom.dcmread(folder / "seg.dcm"), pydicom.dcmread(next((folder / "raw").iterdir()))
    sides = [item.AnatomicRegionSequence[0].AnatomicRegionModifierSequence[0] for item in seg.SegmentSequence]
    assert [(laterality.CodeValue, laterality.CodeMeaning) for laterality in sides] == [
        ("7771000", "Left"),
        ("24028007", "Right"),
    ]
    colours = [tuple(item.RecommendedDisplayCIELabValue) for item in seg.SegmentSequence]
    assert len(set(colours)) == len(rows)
    assert all(0 <= part <= 0xFFFF for colour in colours for part in colour)
    assert (seg.PositionReferenceIndicator, source.PositionReferenceIndicator) == ("XY", "XY")


def test_neighbouring_ranks_differ_in_colour() -> None:
    colours = np.array([_colour(rank).value for rank in range(1, 21)], dtype=float)
    away = np.linalg.norm(colours[:, None] - colours, axis=2)
    assert away[np.triu_indices(20, 1)].min() > 1500  # of 65535, about 6 in CIELab
    assert np.linalg.norm(np.diff(colours, axis=0), axis=1).min() > 15_000
    lightness, a, b = (colours / 65535 * (100, 255, 255) - (0, 128, 128)).T
    shown = lab2rgb(np.stack([lightness, a, b], axis=-1))
    np.testing.assert_allclose(rgb2lab(shown)[:, 0], 70, atol=0.5)  # what a screen cannot show would be clipped
    np.testing.assert_allclose(rgb2lab(shown)[:, 1:], np.stack([a, b], axis=-1), atol=0.5)


def test_only_findings_have_segments_and_groups_and_the_others_are_counted(written, tmp_path) -> None:
    import highdicom as hd

    folder, label_map, rows = written
    rows = [rows[0], replace(rows[1], finding=False)]
    made = dicom_objects(read_series(folder / "raw"), table_of(rows), rows, label_map)
    for name in ("seg", "sr"):
        getattr(made, name).save_as(tmp_path / f"{name}.dcm", enforce_file_format=True)
        assert complaints(tmp_path / f"{name}.dcm") == []
    seg, content = pydicom.dcmread(tmp_path / "seg.dcm"), hd.sr.srread(tmp_path / "sr.dcm").content
    assert [item.SegmentNumber for item in seg.SegmentSequence] == [1]
    voxels = int(seg.pixel_array.sum()) * np.prod(SPACING)
    assert voxels == pytest.approx((label_map.array == 1).sum(), rel=0.08)  # and none of the other's
    assert [group.tracking_identifier for group in content.get_volumetric_roi_measurement_groups()] == ["finding 1"]
    (scan,) = content.get_image_measurement_groups()
    counts = {item.name.value: item.value for item in scan.get_measurements()}
    assert (counts["findings"], counts["also-looked-at"]) == (1, 1)
    nothing = [replace(row, finding=False) for row in rows]
    made = dicom_objects(read_series(folder / "raw"), table_of(nothing), nothing, label_map)
    assert made.seg is None
    made.sr.save_as(tmp_path / "sr.dcm", enforce_file_format=True)
    (scan,) = hd.sr.srread(tmp_path / "sr.dcm").content.get_image_measurement_groups()
    assert scan.finding_type.value == "none-found"


def test_a_score_that_is_no_probability_is_no_certainty(written, tmp_path) -> None:
    import highdicom as hd

    folder, label_map, rows = written
    rows = [replace(row, score=1234.5) for row in rows]
    table = table_of(rows) | {"ranked_by": "sum"}
    dicom_objects(read_series(folder / "raw"), table, rows, label_map).sr.save_as(tmp_path / "sr.dcm")
    assert complaints(tmp_path / "sr.dcm") == []
    for group in hd.sr.srread(tmp_path / "sr.dcm").content.get_volumetric_roi_measurement_groups():
        assert measured(group, codes.DCM.CertaintyOfFinding) == []
        assert {item.name.value: item.value for item in group.get_measurements()}["score"] == 1234.5


def test_an_opinion_of_nodules_is_no_probability_of_cancer(tmp_path) -> None:
    import highdicom as hd

    raw = write_series(tmp_path / "raw", chest(SHAPE), spacing_kji=SPACING)
    image, _ = read_dicom(raw)
    label_map = label_map_in(volume_of(image).to_lps())
    rows = [replace(row, cancer_probability=None, malignancy_score=row.score) for row in rows_of(label_map)]
    table = table_of(rows, probability=None)
    table["patient"] |= {"supervision": "nodules", "malignancy_score": 0.777299861}
    dicom_objects(read_series(raw), table, rows, label_map).sr.save_as(tmp_path / "sr.dcm", enforce_file_format=True)
    content = hd.sr.srread(tmp_path / "sr.dcm").content
    groups = [*content.get_volumetric_roi_measurement_groups(), *content.get_image_measurement_groups()]
    assert len(groups) == 3
    assert [measured(group, codes.DCM.ProbabilityOfCancer) for group in groups] == [[], [], []]


@pytest.mark.parametrize(("rows", "says", "count"), [([], "none-found", [0]), (None, "not-searched", [])])
def test_without_a_candidate_there_is_a_report_that_says_so_and_no_segmentation(tmp_path, rows, says, count) -> None:
    import highdicom as hd

    raw = write_series(tmp_path / "raw", chest())
    made = dicom_objects(read_series(raw), table_of(rows, None), [], None)
    assert made.seg is None
    made.sr.save_as(tmp_path / "sr.dcm", enforce_file_format=True)
    report = hd.sr.srread(tmp_path / "sr.dcm")
    (scan,) = report.content.get_image_measurement_groups()
    assert scan.finding_type.value == says
    assert [item.value for item in scan.get_measurements() if item.name.value == "findings"] == count
    assert measured(scan, codes.DCM.ProbabilityOfCancer) == []
    assert report.content.get_volumetric_roi_measurement_groups() == []
    assert (
        len(report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence) == 12
    )
    assert complaints(tmp_path / "sr.dcm") == []


def test_the_frames_of_an_enhanced_ct_are_referred_to_by_their_number(tmp_path) -> None:
    def as_sent_enhanced(dataset: pydicom.Dataset) -> None:
        dataset.SOPInstanceUID, dataset.SeriesInstanceUID = f"{SERIES}.1", SERIES
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = STUDY, FRAME
        for name, value in PATIENT.items():
            setattr(dataset, name, value)
        dataset.SpecificCharacterSet = "ISO_IR 100"

    raw = write_enhanced(tmp_path / "raw/one.dcm", chest(SHAPE), spacing_kji=SPACING, change=as_sent_enhanced)
    label_map = label_map_in(volume_of(read_dicom(raw)[0]).to_lps())
    rows = rows_of(label_map)
    made = dicom_objects(read_series(raw.parent), table_of(rows), rows, label_map)
    made.seg.save_as(tmp_path / "seg.dcm", enforce_file_format=True)
    made.sr.save_as(tmp_path / "sr.dcm", enforce_file_format=True)
    assert complaints(tmp_path / "seg.dcm") == complaints(tmp_path / "sr.dcm") == []
    source, seg = pydicom.dcmread(raw), pydicom.dcmread(tmp_path / "seg.dcm")
    assert source.SOPClassUID == ENHANCED_CT
    for frame in seg.PerFrameFunctionalGroupsSequence:
        (reference,) = frame.DerivationImageSequence[0].SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
        shown = source.PerFrameFunctionalGroupsSequence[int(reference.ReferencedFrameNumber) - 1]
        assert (
            shown.PlanePositionSequence[0].ImagePositionPatient == frame.PlanePositionSequence[0].ImagePositionPatient
        )
    counts = [int((label_map.array == rank).sum()) for rank in BALLS]
    assert seg.pixel_array.sum() * np.prod(SPACING) == pytest.approx(sum(counts), rel=0.08)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "off"),
    [("cip-ct64", 0.1), ("cptac-c3n-00247", 0.1), ("ricord1a-001012", 0.1), ("lung-dx-a0002", 0.3)],  # the last: 8 mm
)
def test_of_real_series_both_are_valid_and_a_ball_keeps_its_volume(sample_data, tmp_path, name, off) -> None:
    series = read_series(sample_data / "chest-ct" / name)
    plane = planes_of(series)[len(series.slices) // 2]
    rows, columns = plane.shape_ji
    centre = plane.world(np.array([rows / 2]), np.array([columns / 4]))[0]
    grid = geometry.make_affine((1, 1, 1), centre - 20)
    z, y, x = np.ogrid[:41, :41, :41]
    ball = Volume(((z - 20) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 <= 64).astype(np.int64), grid)
    row = row_of(1, centre, (20, 20, 20), "left", (16.0, 2109.0))
    made = dicom_objects(series, table_of([row]), [row], ball)
    made.seg.save_as(tmp_path / "seg.dcm", enforce_file_format=True)
    made.sr.save_as(tmp_path / "sr.dcm", enforce_file_format=True)
    assert complaints(tmp_path / "seg.dcm") == complaints(tmp_path / "sr.dcm") == []
    measures = made.seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    voxel_mm3 = np.prod([*measures.PixelSpacing, measures.SpacingBetweenSlices])
    assert made.seg.pixel_array.sum() * voxel_mm3 == pytest.approx(ball.array.sum(), rel=off)
