"""The software bill of materials of a wheel (CycloneDX 1.6, PEP 770), made when it is built.

`python envs/software_bill.py` prints it. It lists what the wheel asks for (name, range, licence), the networks'
weights and every style sheet, script and template that it packs, with their SHA-256. What pip then installs for the
ranges, with what that needs in turn, stands with hashes in `envs/locked.txt`.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tempfile
import tomllib
import uuid
from pathlib import Path
from typing import Any

#: SPDX expressions of what the core needs, as each package says of itself; a test compares. The compiled filters in
#: hdf5plugin and HDF5 in h5py have licences of their own beside, which those packages hold.
LICENCES = {
    "torch": "Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND BSD-2-Clause AND BSD-3-Clause AND BSL-1.0 AND MIT",
    "numpy": "BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0",
    "scipy": "BSD-3-Clause",
    "simpleitk": "Apache-2.0",
    "h5py": "BSD-3-Clause",
    "hdf5plugin": "MIT",
    "pydicom": "MIT",
    "pylibjpeg": "MIT",
    "pylibjpeg-openjpeg": "MIT",
    "pyjpegls": "MIT",
    "nibabel": "MIT",
    "connected-components-3d": "LGPL-3.0-or-later",
    "safetensors": "Apache-2.0",
    "jinja2": "BSD-3-Clause",
    "pydantic": "MIT",
    "threadpoolctl": "BSD-3-Clause",
}  # fmt: skip
#: Data and code for browsers in the package: folder -> (type in CycloneDX, endings).
PACKED = {
    "pretrained": ("machine-learning-model", (".safetensors",)),
    "reports/page": ("file", (".css", ".js", ".html")),
}
REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*([^;]*)")


def name_and_range(requirement: str) -> tuple[str, str]:
    """("h5py", ">=3.13,<4") of a requirement; the name as package indexes write it."""
    found = REQUIREMENT.match(requirement)
    if not found:
        raise ValueError(f"{requirement!r} in pyproject.toml is no requirement")
    return re.sub(r"[-_.]+", "-", found[1]).lower(), found[2].strip()


def bill(root: Path) -> dict[str, Any]:
    """The document; the same bytes for the same files."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    itself = f"pkg:pypi/{project['name']}@{project['version']}"
    needed = [library(*name_and_range(requirement)) for requirement in project["dependencies"]]
    packed = packed_files(root / "src" / "lungline")
    parts = [*needed, *packed]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(parts, sort_keys=True))}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": itself,
                "name": project["name"],
                "version": project["version"],
                "purl": itself,
                "licenses": [{"expression": project["license"]}],
                "description": "Research use only. Not a medical device.",
            }
        },
        "components": parts,
        "dependencies": [{"ref": itself, "dependsOn": sorted(part["bom-ref"] for part in needed)}],
    }


def library(name: str, versions: str) -> dict[str, Any]:
    """A component for a requirement: a range of versions, which CycloneDX gives no field of its own."""
    return {
        "type": "library",
        "bom-ref": f"pkg:pypi/{name}",
        "name": name,
        "purl": f"pkg:pypi/{name}",
        "licenses": [{"expression": LICENCES[name]}],
        "properties": [{"name": "lungline:versions", "value": versions}],
    }


def packed_files(package: Path) -> list[dict[str, Any]]:
    """A component for each file that `PACKED` names."""
    found = []
    for folder, (kind, endings) in PACKED.items():
        for path in sorted((package / folder).rglob("*")):
            if path.suffix in endings:
                name = f"lungline/{path.relative_to(package).as_posix()}"
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found.append(
                    {
                        "type": kind,
                        "bom-ref": name,
                        "name": name,
                        "hashes": [{"alg": "SHA-256", "content": digest}],
                        "licenses": [{"expression": "Apache-2.0"}],
                    }
                )
    return found


def text_of(root: Path) -> str:
    return json.dumps(bill(root), indent=1) + "\n"


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # printed by hand, where hatchling is not installed
    pass
else:

    class SoftwareBill(BuildHookInterface):
        """Puts the bill into `lungline-VERSION.dist-info/sboms/`."""

        PLUGIN_NAME = "custom"

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            self._scratch = tempfile.TemporaryDirectory(prefix="lungline-bill-")
            path = Path(self._scratch.name) / "lungline.cdx.json"
            path.write_text(text_of(Path(self.root)), encoding="utf-8")
            build_data["sbom_files"].append(str(path))

        def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
            self._scratch.cleanup()


if __name__ == "__main__":
    sys.stdout.write(text_of(Path(__file__).resolve().parents[1]))
