"""The checked configuration that a run keeps among what names paths: `private/config.json`."""

import json
from pathlib import Path

from lungline.config.loading import config_text
from lungline.config.models import Config
from lungline.config.settings import read_settings
from lungline.errors import LunglineError
from lungline.storage.checksums import check, unrecorded, write_checksummed_text


def write_saved_config(path: Path, config: Config) -> None:
    """Write the whole configuration into a folder for its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    write_checksummed_text(path, config_text(config))
    path.chmod(0o600)


@unrecorded()
def read_saved_config(path: Path) -> Config:
    """A configuration that `write_saved_config` wrote. It is no input: most of its keys concern other files.

    Raises
    ------
    LunglineError
        If it is none, or no longer what was written.
    """
    check(path)
    try:
        return read_settings(Config, json.loads(path.read_text(encoding="utf-8")), str(path))
    except ValueError as error:
        raise LunglineError(f"{path}: expected a configuration as JSON. {error}.") from None
