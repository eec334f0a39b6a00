"""Print the whole checked configuration that files ask for, its JSON schema or the reference of all keys."""

from pathlib import Path


def run(*, configfile: tuple[Path, ...] = (), schema: bool = False, reference: bool = False) -> None:
    """Print YAML with every key of CONFIGFILE, laid over one another and over the defaults, and what each means.

    With SCHEMA print the JSON schema of a configuration file (config/schema.json), with REFERENCE the page of all keys
    (config/README.md).
    """
    from lungline.config.loading import read_config_files
    from lungline.config.reference import commented_text, reference_text, schema_text

    if schema or reference:
        print(schema_text() if schema else reference_text(), end="")
    else:
        print(commented_text(read_config_files(configfile)), end="")
