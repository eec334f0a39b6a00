"""What every stage that works on one scan shares: status, provenance, atomic writing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lungline.errors import Quarantine
from lungline.fingerprint import code_fingerprint
from lungline.storage import hdf5
from lungline.storage.checksums import Origin, check
from lungline.storage.hdf5 import Code, Field, Header

#: What ingest writes about the scan that was read; it travels on to the prediction.
ORIGIN = ("raw_sha256", "raw_files", "hu_sha256", "acquisition")


@dataclass(frozen=True)
class Made:
    """What a stage made of a scan: fields to store, new codes, anything to add to the provenance, raw digests."""

    fields: Mapping[str, Field]
    codes: Sequence[Code] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    raw: tuple[str, ...] = ()


def run_scan_stage(
    stage: str,
    quantity: str,
    output: Path,
    make: Callable[[], Made],
    *,
    scan_files: Mapping[str, Path] = {},
    other_files: Mapping[str, Path] = {},
    parameters: Mapping[str, Any] = {},
    compression: hdf5.Compression = "blosc",
) -> Header:
    """Run one stage on one scan and write its file.

    Parameters
    ----------
    stage, quantity : str
        The command's name; what the output holds.
    make : callable
        Does the work; may raise `Quarantine`. Not called when an input is quarantined already.
    scan_files : mapping of name to path
        Inputs made by earlier stages from the same scan: their codes travel on.
    other_files : mapping of name to path
        Inputs that are not of this scan (weights) or carry no codes (candidates): hashed only.

    Returns
    -------
    Header
        As written. A scan that cannot be used is written too, without fields, and says why.

    Raises
    ------
    DamagedFileError
        If an input is no longer what was written; before any of it is used.
    """
    inputs = {**scan_files, **other_files}
    digests = {name: check(path) for name, path in inputs.items()}
    codes: dict[Code, None] = {}
    about_raw: dict[str, Any] = {}
    for path in scan_files.values():
        header = hdf5.read_header(path)
        codes.update(dict.fromkeys(header.codes))
        about_raw |= {name: header.provenance[name] for name in ORIGIN if name in header.provenance}
    made = Made({})
    if not any(code.code.startswith("Q_") for code in codes):
        try:
            made = make()
        except Quarantine as reason:
            made = Made({}, [Code(reason.code, reason.detail)])
    codes.update(dict.fromkeys(made.codes))
    header = Header(
        quantity=quantity,
        stage=stage,
        codes=tuple(codes),
        parameters=parameters,
        provenance={
            "code": code_fingerprint(f"lungline.stages.{stage}"),
            "inputs": digests,
            **about_raw,
            **made.provenance,
        },
    )
    hdf5.write_file(
        output, header, made.fields, compression=compression, origin=Origin(stage, tuple(inputs.values()), made.raw)
    )
    return header
