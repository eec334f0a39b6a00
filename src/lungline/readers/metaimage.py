"""A strict reader of MetaImage files (.mhd with .raw or .zraw, .mha), the format of LUNA16.

Files come from others, so nothing is guessed: the header is read strictly (`lungline.readers.metaimage_header`), the
pixels lie in the header's own folder, in one file or one per slice, their number is exact, a compressed stream must
reach its end and pass its checksum, and limits are checked before memory is asked for.
"""

import math
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from lungline.errors import Quarantine
from lungline.readers.metaimage_header import MetaHeader, read_meta_header
from lungline.readers.raw import RawImage, check_affine, check_size

_CHUNK_BYTES = 1 << 20


def read_metaimage(path: Path) -> RawImage:
    """Read a MetaImage, in the type of the file and native byte order.

    `Quarantine` with `Q_BAD_MHD` header or data not as they should be; `Q_NO_CT_SERIES` the image says that it is no
    CT; `Q_LIMIT`, `Q_BAD_SPACING`, `Q_BAD_DIRECTION`, `Q_NO_GEOMETRY`.
    """
    header, files = check_metaimage(path)
    dtype = header.dtype
    array: NDArray = np.empty(math.prod(header.shape) * dtype.itemsize, dtype=np.uint8)
    for file, part in zip(files, np.split(array, len(files)), strict=True):
        with open(file, "rb") as pixels:
            start = 0 if header.data_files else header.size
            pixels.seek(start)
            _read_pixels(pixels, file.stat().st_size - start, header, part)
    voxels = array.view(dtype).reshape(header.shape)
    return RawImage(voxels.astype(dtype.newbyteorder("="), copy=False), header.affine)


def check_metaimage(path: Path) -> tuple[MetaHeader, list[Path]]:
    """The header of a MetaImage and the files with its pixels, whose sizes fit it; no pixel is read.

    `Quarantine` as of `read_metaimage`.
    """
    path = Path(path).resolve()
    header = read_meta_header(path)
    slices, rows, columns = header.shape
    check_size(columns, rows, slices, header.dtype.itemsize)
    check_affine(header.affine)
    files = [data_file(path, name) for name in header.data_files] or [path]
    if len(set(files)) < len(files):
        raise Quarantine("Q_BAD_MHD", "ElementDataFile names a file twice")
    if len(files) != (slices if header.is_list else 1):
        raise Quarantine("Q_BAD_MHD", f"ElementDataFile names {len(files)} files for {slices} slices")
    start = 0 if header.data_files else header.size
    each = math.prod(header.shape) * header.dtype.itemsize // len(files)
    for file in files:
        _bytes_before_pixels(header, file.stat().st_size - start, each)
    return header, files


def files_of(path: Path) -> list[Path]:
    """The files that a MetaImage consists of, as far as its header can be read."""
    path = Path(path).resolve()
    with suppress(Quarantine):
        return [path, *dict.fromkeys(data_file(path, name) for name in read_meta_header(path).data_files)]
    return [path]


def data_file_names(path: Path) -> tuple[str, ...]:
    """What a header calls the files of its pixels; none where they follow in the same file, or the header is bad."""
    with suppress(Quarantine):
        return read_meta_header(path).data_files
    return ()


def data_file(header_path: Path, name: str) -> Path:
    """The pixel file beside a header, whatever the case of its letters; none outside the header's folder is opened."""
    folder, name = header_path.parent, name.removeprefix("./")
    if Path(name).name != name or name in ("", ".", "..") or "\\" in name or "\0" in name:
        raise Quarantine("Q_BAD_MHD", "ElementDataFile is not a plain file name")
    try:
        found = _beside(folder, name).resolve()
    except (OSError, RuntimeError):  # links in a circle, a name that is too long
        found = folder
    if found.parent != folder or not found.is_file():
        raise Quarantine("Q_BAD_MHD", "the pixel file named in the header is not a file in the header's folder")
    return found


def _beside(folder: Path, name: str) -> Path:
    """The file of this name or, where there is none, the only one whose name differs in capitals alone."""
    alike = [] if (folder / name).exists() else [p for p in folder.iterdir() if p.name.casefold() == name.casefold()]
    return alike[0] if len(alike) == 1 else folder / name


def _read_pixels(handle: BinaryIO, n_bytes: int, header: MetaHeader, target: NDArray[np.uint8]) -> None:
    """Exactly the pixels that `target` has room for, from the `n_bytes` that follow in `handle`."""
    handle.seek(_bytes_before_pixels(header, n_bytes, len(target)), 1)
    if header.flag("CompressedData"):
        _inflate_into(target.data, lambda: handle.read(_CHUNK_BYTES))
    elif handle.readinto(target.data) != len(target):  # type: ignore[attr-defined]  # cut while it is read
        raise Quarantine("Q_BAD_MHD", "the pixels end too early")


def _bytes_before_pixels(header: MetaHeader, n_bytes: int, wanted: int) -> int:
    """How many of the `n_bytes` of a file come before its pixels, which are `wanted` bytes when inflated."""
    compressed, skipped = header.flag("CompressedData"), header.skipped_bytes
    if skipped and (compressed or not header.data_files):
        raise Quarantine("Q_BAD_MHD", "HeaderSize is said of pixels that are compressed or follow the header")
    if skipped == -1:
        skipped = max(0, n_bytes - wanted)
    if not compressed and n_bytes != skipped + wanted:
        found = f"the pixel file holds {n_bytes} bytes; the header announces {skipped + wanted}"
        raise Quarantine("Q_BAD_MHD", found)
    size = header.keys.get("CompressedDataSize")
    if compressed and len(header.data_files) < 2 and size not in (None, str(n_bytes)):
        raise Quarantine("Q_BAD_MHD", f"the pixel file holds {n_bytes} bytes, not CompressedDataSize")
    return skipped


def _inflate_into(target: memoryview, read: Callable[[], bytes]) -> None:
    """Inflate a zlib stream that must fill `target` exactly, end there, and pass its checksum."""
    stream = zlib.decompressobj()
    filled = 0
    try:
        while not stream.eof:
            piece = stream.unconsumed_tail or read()
            out = stream.decompress(piece, min(_CHUNK_BYTES, len(target) - filled + 1))
            if not piece and not out:
                raise Quarantine("Q_BAD_MHD", "the compressed pixels end too early")
            if filled + len(out) > len(target):
                raise Quarantine("Q_BAD_MHD", "the compressed pixels are more than the header announces")
            target[filled : filled + len(out)] = out
            filled += len(out)
    except zlib.error:
        raise Quarantine("Q_BAD_MHD", "the compressed pixels are damaged (zlib)") from None
    if filled != len(target) or stream.unused_data or read():
        raise Quarantine("Q_BAD_MHD", "the compressed pixels do not end where the header says")
