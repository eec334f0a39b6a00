"""List the scans in the folders of a configuration's `data:`, as the workflow needs it before it starts."""

from pathlib import Path

import yaml

from lungline.config.loading import read_config_files
from lungline.config.models import Config
from lungline.nodules.annotations import note_annotations
from lungline.privacy.scan_list import list_plain_folder, say_what_was_seen, write_scan_list
from lungline.readers.listing import Listing, list_dsb17, list_luna16
from lungline.runner.locks import LISTING, hold
from lungline.workflow.opening import ROOT, refuse_missing_folders


def run(
    *,
    configfile: tuple[Path, ...] = (),
    config: tuple[str, ...] = (),
    default: Path = ROOT / "config" / "config.yaml",
) -> None:
    """Write OUTDIR/manifest.csv, OUTDIR/input_warnings.csv and OUTDIR/private/ of the scans that `data:` names.

    What says the same already is not touched; scans that are gone leave the list. Nothing is done for a configuration
    without `data:`, or with a list of its own (`manifest:`).

    Parameters
    ----------
    configfile : tuple of Path
        YAML files, as for Snakemake's `--configfile`.
    config : tuple of str
        `KEY=VALUE` laid over those, as Snakemake's `--config`.
    default : Path
        The file that the files are laid over, where there is one.
    """
    over = {key: yaml.safe_load(value) for key, _, value in (word.partition("=") for word in config)}
    settings = read_config_files([*([default] if default.is_file() else []), *configfile], over)
    if settings.data is None or settings.manifest is not None:
        return
    refuse_missing_folders(settings)
    out = Path(settings.outdir)
    with hold(out, LISTING):
        listings = list_data(settings, out)
        now = {item.row.scan for listing in listings for item in listing.scans}
        annotations = settings.annotations or (settings.data.luna16 and Path(settings.data.luna16, "annotations.csv"))
        notes = note_annotations(Path(annotations), now) if annotations else []
        write_scan_list(out, listings, notes=notes)
    for listing in listings:
        say_what_was_seen(listing)


def list_data(settings: Config, out: Path) -> list[Listing]:
    """The scans in each folder of `data:`; `out` holds the key of pseudonyms."""
    data, found = settings.data, []
    if data and data.luna16:
        found.append(list_luna16(Path(data.luna16).absolute()))
    if data and data.dsb17:
        found.append(list_dsb17(Path(data.dsb17).absolute()))
    if data and data.folder:
        found.append(list_plain_folder(Path(data.folder), out, Path(data.labels) if data.labels else None))
    return found
