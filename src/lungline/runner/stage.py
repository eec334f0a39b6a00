"""Start a stage: a lineage for each run, and all that a stage on one scan shares with the others.

A stage is the function `run` of a module of `lungline.stages`. `stage` begins a lineage for each call: every file that
is read in it is an input of every file that is written in it. `scan_stage` makes a stage of a pure function of one
scan: inputs are checked, a scan's flags and what is known of its raw files travel on, the output is written whole or
not at all.
"""

import functools
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from lungline.errors import Quarantine
from lungline.fingerprint import code_fingerprint
from lungline.storage import hdf5
from lungline.storage.checksums import check, lineage_of
from lungline.storage.hdf5 import Field, Flag, Header

#: A file of the same scan by an earlier stage: checked first, its flags travel on.
ScanFile = Annotated[Path, "scan file"]
#: Any other file of ours: checked first, carries no flags.
InputFile = Annotated[Path, "input file"]

Fields = Mapping[str, Field]

#: What ingest writes about the scan that was read; it travels on to the prediction.
_ABOUT_RAW = ("raw_sha256", "raw_files", "hu_sha256", "acquisition")

Run = TypeVar("Run", bound=Callable[..., Any])


def stage(run: Run) -> Run:
    """A function of a stage's module that has a lineage of its own each time it is called.

    Called inside another run of the same module, for one scan of many, it begins with what that one has read.
    """
    return lineage_of(_name_of(run))(run)


@dataclass(frozen=True)
class Made:
    """Output of a stage on one scan, where it is more than fields."""

    fields: Fields
    #: New ones; those of the inputs travel on by themselves.
    flags: Sequence[Flag] = ()
    #: Added to code, inputs and what is known of the raw files.
    provenance: Mapping[str, Any] = field(default_factory=dict)
    #: What to record instead of the options of the call.
    parameters: Mapping[str, Any] | None = None
    #: SHA-256 of each file of the raw scan, sorted.
    raw: tuple[str, ...] = ()
    compression: hdf5.Compression = "blosc"


def scan_stage(
    quantity: str, *, unrecorded: Sequence[str] = ()
) -> Callable[[Callable[..., Fields | Made]], Callable[..., Header]]:
    """Make a stage of a function of one scan: the parameter `output` follows its positional ones.

    The function is not called where an input is quarantined, and may raise `Quarantine`: then a file without fields is
    written that says why. `Header`, as written, is what the stage returns. It raises `DamagedFileError` if a `ScanFile`
    or `InputFile` is no longer what was written, before any of it is used.

    `quantity` says what the output holds ("ct_hu"); `unrecorded` names options that change no content (device,
    compression): all others but paths are recorded as parameters.
    """

    def decorate(make: Callable[..., Fields | Made]) -> Callable[..., Header]:
        name, signature = _name_of(make), _with_output(make)

        @functools.wraps(make)
        def run(*args: Any, **kwargs: Any) -> Header:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            arguments = dict(bound.arguments)
            output = arguments.pop("output")
            scan_files, other_files = _declared(make, arguments)
            with lineage_of(name) as lineage:
                for path in (*scan_files.values(), *other_files.values()):
                    check(path)
                flags, about_raw = _flags_and_origin(scan_files.values())
                made = _made(make, arguments, flags)
                lineage.raw = made.raw
                provenance = {
                    "code": code_fingerprint(f"lungline.stages.{name}"),
                    "inputs": _named(lineage.inputs, {**scan_files, **other_files}),
                    **about_raw,
                    **made.provenance,
                }
                options = _options(signature, arguments, unrecorded) if made.parameters is None else made.parameters
                all_flags = tuple(dict.fromkeys((*flags, *made.flags)))
                header = Header(quantity, name, all_flags, options, provenance)
                hdf5.write_file(output, header, made.fields, compression=made.compression)
            return header

        run.__signature__ = signature  # type: ignore[attr-defined]
        run.__annotations__ = {**make.__annotations__, "output": Path, "return": Header}
        return run

    return decorate


def _name_of(run: Callable[..., Any]) -> str:
    return run.__module__.rpartition(".")[2]


def _with_output(make: Callable[..., Any]) -> inspect.Signature:
    """The signature of a stage: that of its function, with `output` before the options."""
    own = inspect.signature(make)
    output = inspect.Parameter("output", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Path)
    parameters = sorted((*own.parameters.values(), output), key=lambda one: one.kind)
    return own.replace(parameters=parameters, return_annotation=Header)


def _declared(make: Callable[..., Any], arguments: Mapping[str, Any]) -> tuple[dict[str, Path], dict[str, Path]]:
    """The scan files and the other input files among the arguments, by the name of their parameter."""
    kinds = typing.get_type_hints(make, include_extras=True)

    def of_kind(kind: Any) -> dict[str, Path]:  # alone, or `ScanFile | None`
        names = [name for name, one in kinds.items() if one == kind or kind in typing.get_args(one)]
        return {name: arguments[name] for name in names if arguments.get(name) is not None}

    return of_kind(ScanFile), of_kind(InputFile)


def _flags_and_origin(scan_files: typing.Iterable[Path]) -> tuple[dict[Flag, None], dict[str, Any]]:
    """The flags of all inputs, each once, and what their provenance says of the raw scan."""
    headers = [hdf5.read_header(path) for path in scan_files]
    about_raw = {name: h.provenance[name] for h in headers for name in _ABOUT_RAW if name in h.provenance}
    return dict.fromkeys(flag for header in headers for flag in header.flags), about_raw


def _made(make: Callable[..., Fields | Made], arguments: Mapping[str, Any], flags: typing.Iterable[Flag]) -> Made:
    if any(flag.flag.startswith("Q_") for flag in flags):
        return Made({})
    try:
        made = make(**arguments)
    except Quarantine as reason:
        return Made({}, [Flag(reason.flag, reason.detail)])
    return made if isinstance(made, Made) else Made(made)


def _options(signature: inspect.Signature, arguments: Mapping[str, Any], unrecorded: Sequence[str]) -> dict[str, Any]:
    """The settings that the content depends on: every option that is neither a path nor left out by name."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    names = [name for name, one in signature.parameters.items() if one.kind is keyword and name not in unrecorded]
    return {name: arguments[name] for name in names if not isinstance(arguments[name], Path)}


def _named(inputs: Mapping[Path, str], declared: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of the inputs: by the name of the parameter; of a file in a folder, by folder and file name."""
    names = {Path(path): name for name, path in declared.items()}
    return {names.get(path, f"{path.parent.name}/{path.name}"): digest for path, digest in inputs.items()}
