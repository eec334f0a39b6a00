"""List the scans in the folders of a configuration's `data:`, as the workflow needs it before it starts."""

from pathlib import Path

import yaml

from lungline.config.loading import read_config_files
from lungline.config.models import Config
from lungline.nodules.annotations import note_annotations
from lungline.privacy.pseudonyms import pseudonym_key, read_map, remember
from lungline.readers.listing import Listing, list_dsb17, list_folder, list_luna16, read_labels
from lungline.storage.scan_rows import write_manifest
from lungline.storage.tables import log_notes, write_notes
from lungline.workflow.opening import refuse_missing_folders


def run(
    *,
    configfile: tuple[Path, ...] = (),
    config: tuple[str, ...] = (),
    default: Path = Path("config/config.yaml"),
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
    listings = list_data(settings, out / "private")
    found = [item for listing in listings for item in listing.scans]
    now = {item.row.scan for item in found}
    remember(out / "private", found, forget=read_map(out / "private").keys() - now)
    write_manifest(out / "manifest.csv", [item.row for item in found])
    notes = [note for listing in listings for note in listing.notes]
    annotations = settings.annotations or (settings.data.luna16 and Path(settings.data.luna16, "annotations.csv"))
    if annotations:
        notes += note_annotations(Path(annotations), now)
    write_notes(out / "input_warnings.csv", notes)
    log_notes(notes, out / "input_warnings.csv")


def list_data(settings: Config, private: Path) -> list[Listing]:
    """The scans in each folder of `data:`; PRIVATE holds the key of pseudonyms."""
    data, found = settings.data, []
    if data and data.luna16:
        found.append(list_luna16(Path(data.luna16).absolute()))
    if data and data.dsb17:
        found.append(list_dsb17(Path(data.dsb17).absolute()))
    if data and data.folder:
        labels = read_labels(Path(data.labels)) if data.labels else None
        found.append(list_folder(Path(data.folder).absolute(), pseudonym_key(private), labels))
    return found
