"""The limits of everything that is read from others, in one table: SECURITY.md shows it, the readers obey it.

`python -m lungline.limits` prints the rows of SECURITY.md, `python -m tests.conformance.limits` measures them.
"""

from dataclasses import dataclass

MIB, GIB = 1 << 20, 1 << 30

#: Of the child process in which foreign files are read (`lungline.readers.sandbox`), beyond what its parent holds.
CHILD_SECONDS = 480.0
CHILD_BYTES = 7 << 28  # with the process itself under 2 GiB
ZIP_SECONDS = 120.0

MAX_IN_PLANE = 2048  # rows or columns
MAX_SLICES = 5000
MAX_VOXELS = 3 * 2**27  # 1536 slices of 512 x 512: a whole trunk in thin slices
MAX_VOXEL_BYTES = 9 * 2**27  # of the voxels, in the type of the file
MAX_FILES = 20_000  # of a folder or a zip
MAX_FILE_BYTES = 2 * GIB  # above that no file can be a part of a scan
MAX_SCAN_BYTES = 16 * GIB  # of all files of a scan: a folder may hold ten phases and as many reconstructions
MAX_UNPACKED_BYTES = 2 * GIB  # of one scan in a zip
MAX_HEADER_BYTES = 64 * MIB  # of a DICOM file, read or inflated: an enhanced CT of 5000 frames has a fifth of it
MAX_SLICE_BYTES = 64 * MIB  # of a DICOM file of one slice
MAX_FRAMES_BYTES = 512 * MIB  # of any DICOM file of a CT
MAX_META_HEADER_BYTES = 1 << 18
MAX_NIFTI_OFFSET = 16 * MIB  # of the voxels: extensions lie before them

MAX_TABLE_BYTES = 256 * MIB
MAX_TABLE_LINES = 1 << 21
MAX_TABLE_CELLS = 1 << 23  # a million marks have five million
MAX_MARKS_BYTES = 256 * MIB  # of JSON or XML with marks
MAX_JSON_VALUES = 1 << 24  # a million boxes with scores have ten million
MAX_XML_PARTS = 1 << 23  # elements and attributes
MAX_PICKLE_BYTES = 64 * MIB
MAX_PICKLE_STEPS = 1 << 18  # nine arrays and numbers take two hundred
MAX_ARRAY_BYTES = 4 * GIB  # of probabilities, unpacked
#: A card names each training case with its hashes: 16 MiB are some 30,000 cases.
MAX_CARD_BYTES = 16 * MIB
#: The paper's largest network, method 1 on a region filled up with air, has 1.3 GB.
MAX_WEIGHTS_BYTES = 8 * GIB
MAX_WEIGHTS_HEADER_BYTES = MIB  # the names and shapes of some 60 tensors take 6 kB
MAX_YAML_BYTES = 1 << 18
MAX_FIELD_BYTES = 16 * GIB  # of HDF5; the largest scan at 0.5 mm, as float32, takes a third


@dataclass(frozen=True)
class Limit:
    """What a reader takes at most, in words, and what reading that costs beyond what the process holds."""

    takes: str
    #: Bytes of memory, and seconds on one slow core.
    memory_bytes: int = CHILD_BYTES
    seconds: float = CHILD_SECONDS
    #: Whether it is read in the child process, which the kernel holds to both.
    in_child: bool = True


def in_words(number: int) -> str:
    """A number of bytes or things, as short as can be."""
    for size, word in ((GIB, " GiB"), (MIB, " MiB"), (1 << 10, " KiB")):
        if number >= size and number % (size >> 3) == 0:
            return f"{number / size:g}{word}"
    return f"{number:,}"


#: By reader. The numbers in the words are those above, which the readers obey.
READERS = {
    "DICOM": Limit(
        f"{MAX_FILES:,} files of {in_words(MAX_SCAN_BYTES)} in all; a slice {in_words(MAX_SLICE_BYTES)}, an enhanced "
        f"CT {in_words(MAX_FRAMES_BYTES)}, a header {in_words(MAX_HEADER_BYTES)}, deflated or gzipped ones unpacked; "
        f"files above {in_words(MAX_FILE_BYTES)} are passed over"
    ),
    "MetaImage": Limit(
        f"{MAX_IN_PLANE} x {MAX_IN_PLANE} x {MAX_SLICES}, {MAX_VOXELS >> 20} Mi voxels, {in_words(MAX_VOXEL_BYTES)}; "
        f"header {in_words(MAX_META_HEADER_BYTES)}"
    ),
    "NIfTI, also gzipped; NRRD": Limit(f"as MetaImage; {in_words(MAX_NIFTI_OFFSET)} before the voxels"),
    "zip": Limit(f"{MAX_FILES:,} entries, {in_words(MAX_UNPACKED_BYTES)} unpacked of a scan", seconds=ZIP_SECONDS),
    "first bytes, `raw_sha256`": Limit(f"{in_words(MAX_SCAN_BYTES)} of a scan", 64 * MIB, 240, in_child=False),
    "tables": Limit(
        f"{in_words(MAX_TABLE_BYTES)}, {MAX_TABLE_LINES >> 20} Mi lines, {MAX_TABLE_CELLS >> 20} Mi cells",
        2 * GIB,
        120,
        in_child=False,
    ),
    "JSON of marks": Limit(
        f"{in_words(MAX_MARKS_BYTES)}, {MAX_JSON_VALUES >> 20} Mi values", 2 * GIB, 60, in_child=False
    ),
    "XML of marks, LIDC": Limit(
        f"{in_words(MAX_MARKS_BYTES)}, {MAX_XML_PARTS >> 20} Mi elements and attributes, no DOCTYPE",
        2 * GIB,
        60,
        in_child=False,
    ),
    "pickles of nnDetection": Limit(
        f"{in_words(MAX_PICKLE_BYTES)}, {MAX_PICKLE_STEPS >> 10} Ki steps", GIB // 2, 60, in_child=False
    ),
    "arrays of nnU-Net": Limit(f"{in_words(MAX_ARRAY_BYTES)} unpacked", 2 * MAX_ARRAY_BYTES, 120, in_child=False),
    "manifest and cards of models": Limit(in_words(MAX_CARD_BYTES), GIB, 30, in_child=False),
    "weights": Limit(
        f"{in_words(MAX_WEIGHTS_BYTES)}, header {in_words(MAX_WEIGHTS_HEADER_BYTES)}, shapes as the card's",
        2 * MAX_WEIGHTS_BYTES,
        120,
        in_child=False,
    ),
    "`patient.yaml`, configuration": Limit(in_words(MAX_YAML_BYTES), 512 * MIB, 30, in_child=False),
    "our HDF5": Limit(f"a field {in_words(MAX_FIELD_BYTES)}", MAX_FIELD_BYTES, 240, in_child=False),
}


def table() -> str:
    """The rows of `READERS` as SECURITY.md shows them."""
    lines = ["| reader | takes at most | memory | seconds | where |", "|---|---|---|---|---|"]
    for name, limit in READERS.items():
        where = "child" if limit.in_child else "parent"
        lines.append(f"| {name} | {limit.takes} | {in_words(limit.memory_bytes)} | {limit.seconds:g} | {where} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
