"""Every flag that a scan, a table or a trained model can carry: its meaning and its remedy, in one place.

`W_` the scan is used, with a warning. `Q_` the scan is quarantined: it is not used, and its row in the end
result says why. `N_` the scan is not scored, by design. `M_` belongs to a trained model. `T_` belongs to the tables and
to the cohort as a whole: it stands in `input_warnings.csv` or `check_leakage.csv`, and the run goes on. Flags are
stable: they are never renamed or reused.
"""

import re
from typing import NamedTuple


class Meaning(NamedTuple):
    meaning: str
    remedy: str


_TABLE = """
# ingest: the folder and its files
Q_UNREADABLE: a raw file is missing, or cannot be read at all (permission, disk)
    Restore the raw files: the next run reads them. After a fault of the disk, --forcerun the ingest file.
Q_LIMIT: a size is beyond the limits: 2048 rows and columns, 5000 slices, 3 * 2^27 voxels (1536 slices of 512 x 512), \
9 * 2^27 bytes, 20,000 files a folder or zip, 2 GiB per scan in a zip, 2 GiB of memory
    Not a chest CT, or a damaged or hostile file. Split or re-export the scan.
Q_DECODER_DIED: reading the scan ended in a crash, which it was kept apart for
    A damaged or hostile file, or one that shows a fault of a decoder: export the series again, uncompressed.
Q_DECODER_TIMEOUT: reading the scan took more than 8 minutes
    A hostile file, or a slow disk: then copy the scan to a fast one. Or --forcerun the ingest file.
Q_NO_CT_SERIES: the folder holds no CT slices, or the image says that it is no CT in HU
    Check that it is the right folder and modality.
Q_ENHANCED_CT: the only CT is multi-frame and does not say of every frame where it lies
    Export the series as classic DICOM, one file per slice.
Q_BAD_ZIP: the zip is damaged or encrypted, or holds links, a zip within a zip, or names that lead out of it
    Unpack it yourself, look at what comes out, and name the folder.
W_FILES_SKIPPED: the folder holds files that are not DICOM
    Nothing to do; remove them for silence.
W_SERIES_CHOSEN: the folder holds further series or images; the series that shows the lungs best was used
    To use another series, give its files a folder of their own.
W_OTHER_STUDY: the folder holds CT slices of other patients or studies; nothing is said of them here
    List the folder with `lungline manifest` or `lungline predict`: each patient and study gets a row of its own.
# ingest: geometry
Q_NO_GEOMETRY: position, orientation, spacing or size is missing, or changes within the series
    Export the series again, with its geometry; nothing is guessed.
Q_BAD_SPACING: a spacing is not positive, not finite, or outside 0.05 to 20 mm
    Check the header; export the scan again.
Q_BAD_DIRECTION: the axes of the image are not at right angles
    Resample the image to a plain grid.
Q_TOO_FEW_SLICES: fewer than 3 slices at different places
    Complete the series.
Q_MISSING_SLICES: more than 2 adjacent slices are missing, or more than 2 % of all (5 % of several \
acquisitions; of 15 or more always one, and one of each acquisition)
    Complete the series.
W_GAP_FILLED: a few missing slices were interpolated
    Complete the series if a nodule lies there.
Q_NONUNIFORM_SPACING: slice distances differ by more than a factor of 2
    Give one series of even spacing a folder of its own.
W_NONUNIFORM: slice distances differ; the slices were resampled from their real positions
    Nothing to do.
W_TILT: the gantry was tilted (or slices are shifted); the shear was corrected
    Nothing to do.
Q_BAD_TILT: the slices are sheared by more than 35 degrees
    Check the positions in the header.
Q_DUPLICATE_SLICES: different slices lie at the same position, and acquisition numbers do not part them
    Give each acquisition a folder of its own.
W_DUPLICATE_SLICES: copies of slices, or a few different ones at one position, were dropped
    Nothing to do for copies; else look at the scan there.
W_MULTI_ACQUISITION: the series holds several acquisitions; those that follow one another were joined, or the most \
complete one was used
    To use another acquisition, give it a folder of its own.
W_PART_ONLY: a part of what was scanned could not be joined to the rest and is not read
    Nodules in that part are not seen. Give it a folder of its own, or export the series again.
W_SLICES_DROPPED: a small minority of slices without geometry, or with another one, was dropped
    Check the series.
# ingest: pixels
Q_DAMAGED_SLICES: more than a tenth of the files are damaged or truncated
    Copy or export the series again.
W_DAMAGED_SLICES: a few files are damaged or truncated and count as missing
    Copy or export the series again.
Q_UNSUPPORTED_SYNTAX: the pixels are in a transfer syntax that cannot be decoded
    Export the series uncompressed.
W_LOSSY: the pixels were, or may have been, compressed with loss
    Prefer the original images.
Q_NO_RESCALE: RescaleSlope or RescaleIntercept is missing, and the values are not plainly HU
    Export the series again.
W_ASSUMED_HU: no rescale or no unit is given, but the values are plainly HU
    Check the scan's calibration.
Q_NOT_HU: the values are not HU: another unit, a map of a material, a subtraction or a segmentation
    Export the images in HU; maps and subtractions are no CT of the chest.
Q_BAD_RESCALE: the rescale is not finite, or its slope not positive
    Export the series again.
Q_BAD_VOXELS: voxels are not finite, or all equal
    Check the file; export the scan again.
Q_NOT_CHEST_CT: too small, or a body without lung: less than 10 ml of it, or less than 6 % of the body's section
    Check body part and calibration (HU: air -1000, water 0).
Q_BAD_MHD: the MetaImage header or its pixel file is not as it must be
    Write the image again; header and pixels lie in one folder.
Q_BAD_NIFTI: the NIfTI file cannot be read, or is not one volume
    Write the image again.
# lungs
Q_LUNGS_EMPTY: no lung was found
    Check that the scan is a chest CT in HU and shows lungs; look at it with `lungline show`.
Q_LUNG_VOLUME: the lung mask is smaller than 20 ml or larger than 12 litres
    Look at the scan and its lung mask.
W_NODULE_OUTSIDE: an annotated nodule lies outside the region that the networks see, so no mask shows its centre
    Check the row of annotations.csv, and whether the lung mask misses a part of the lung.
W_LUNG_VOLUME: the lungs are smaller or larger than plausible
    Look at the lung mask; set the plausible range for small chests.
W_LUNGS_GIVEN: the lungs are those of a mask that was given, not found by lungline
    Nothing to do. Models were trained on scans whose lungs lungline had found.
W_LUNG_SLAB: the first or last slice cuts through the lungs
    Nodules outside the slab cannot be found; use the whole scan.
W_ONE_LUNG: one lung is missing or under a tenth of both
    Look at the lung mask: a collapsed or removed lung, or a miss.
W_LUNG_CUT: the edge of the picture cuts the lungs
    Nodules outside the picture cannot be found; use a wider reconstruction.
W_LUNG_LEAK: a gap in the chest wall joins lung to the air of the room; the two were parted by their HU
    Look at the lung mask beside the gap.
W_LUNG_GAS: a quarter of the lung mask or more is darker than lung
    Look at the lung mask: gas of stomach or bowel, air around a collapsed lung, or severe emphysema.
W_LUNG_DENSE: much of the lung is not air
    Consolidation may stay outside the lung mask: look at it.
W_LUNG_MISSING: by the shape of the lungs 15 ml or more are missing from them (of a child in proportion): a tumour, \
consolidation or fluid that looks like chest wall; the place is searched with them
    Look there: more may be missing than was found, and a tumour that reaches beyond what is searched is measured too \
small.
# whole volumes
W_VOLUME_CROPPED: the lung region is larger than what the classifier takes; its rim was cut off
    Nodules in the rim are not seen. Train with a larger input.pad_to.
# trained models
M_NOT_FINITE: a loss was no finite number; the training stopped
    Lower training.learning_rate.
M_ALL_NEGATIVE: the classifier gives everybody the same score, or what the majority class alone would give
    Do not use its answers. More steps, another learning rate, or another kind of classifier.
M_OVERFIT: at the end of the training its loss was far below that of the validation patients
    The weights of the best validation were kept. More patients, augmentation, weight decay, or a smaller network.
# the model has seen it
W_TRAINING_CASE: the pixels of the scan are those of a case that the detector or the classifier was trained on
    Do not count the answer as one for a new patient: the model may know the scan by heart.
W_UNLIKE_TRAINING: slice distance, pixel size or noise lies outside the scans that detector or classifier learned \
from, by more than a factor of 1.25
    Nobody has measured how good such an answer is. Prefer a reconstruction like those of the training.
# tables and cohort
T_ROW_TWICE: a row says what an earlier row says; it was left out
    Remove the copy for silence.
T_ID_CHANGES: ids that a spreadsheet takes for numbers or dates and writes back changed: 007, 12E5, 1-2-2020
    Import the column as text, or do not save the tables from a spreadsheet.
T_ROW_REFUSED: a diameter is not above 0, or larger than any nodule; the row was left out
    Mend the row: the nodule is not known to the training and to the measurement.
T_UNKNOWN_SCAN: a row belongs to no scan; it was not used
    Nothing to do if the scan is left out on purpose; else compare the spelling of the id.
T_NO_LABEL: a scan has no row in the table of labels; it is answered and not scored
    Add its row if there is a label.
T_SAME_SPLIT: scans of one split are of one patient, or copies; all of them are used, so this patient counts more \
than once
    Keep one of them if they are copies. Intervals of a test are too narrow by them.
T_PLACEHOLDER: more than half of the scans carry the same identifier, so it says nothing and was not compared
    Check that the scans are really of different patients.
# not scored
N_DETECTION_ONLY: the scan serves detection only: its data set has no patient labels
    Nothing to do.
"""

#: By flag, in the order of `_TABLE`: a line with the meaning, and one with the remedy.
FLAGS = {
    flag: Meaning(meaning, remedy)
    for flag, meaning, remedy in re.findall(r"^([A-Z]_\w+): (.+)\n    (.+)$", _TABLE, re.MULTILINE)
}


def flags_page() -> str:
    """The page `docs/reference/flags.md`: every flag, what it means and what to do."""
    kinds = {
        "Q_": "Quarantined: the scan is not used",
        "W_": "Used, with a warning",
        "N_": "Not scored, by design",
        "M_": "Said of a trained model: its learning log, `warnings` of its card, its page of metrics",
        "T_": "Tables and cohort: the run goes on",
    }
    lines = ["# Flags", "", "Made by `lungline flags`. Flags are stable: never renamed, never reused."]
    for prefix, title in kinds.items():
        lines += ["", f"## `{prefix}` {title}", "", "| flag | meaning | what to do |", "|---|---|---|"]
        lines += [f"| `{c}` | {m.meaning} | {m.remedy} |" for c, m in FLAGS.items() if c.startswith(prefix)]
    return "\n".join(lines) + "\n"


def format_flag(flag: str, found: str = "") -> str:
    """A flag in words: what it means, what was found, what to do."""
    known = FLAGS.get(flag)
    found = f" Found: {found}." if found else ""
    return f"{flag}: {known.meaning}.{found} {known.remedy}" if known else f"{flag}.{found}"
