"""A folder of nodules as LIDC-IDRI's lie in the sample data, with small volumes."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from unit.synthetic.small_chest import round_nodule

_HEADER = "patient_id,nodule_id,diameter_mm,Diagnosis_value\n"


def write_nodules(folder: Path, patients: int, first: str = "P-", volumes: bool = False) -> None:
    """One nodule a patient, 5 to 12 mm, every other one malignant; with `volumes` their images and masks, too."""
    rows = [(f"{first}{i}", 1, 5 + i % 8, i % 2) for i in range(patients)]
    (folder / "nodules.csv").write_text(_HEADER + "".join(",".join(map(str, row)) + "\n" for row in rows))
    if not volumes:
        return
    for patient, number, diameter, _ in rows:
        nodule = round_nodule(diameter, number)
        for part, array in (("image", nodule.hu), ("nodule_mask", nodule.mask.astype(np.float32))):
            (folder / part).mkdir(exist_ok=True)
            image = nibabel.Nifti1Image(array.T.astype(np.float32), np.diag([-1.0, -1.0, 1.0, 1.0]))
            nibabel.save(image, folder / part / f"{patient}_R_{number}.nii.gz")


def settings_for(folder: Path) -> dict[str, Any]:
    """The part `implanted:` of a configuration: chest `a` to train and choose on, `b` to test on."""
    return {
        "nodules": str(folder),
        "chests": {
            "a": {"path": "a.mhd", "source": "mhd", "splits": ["train", "valid"]},
            "b": {"path": "b.mhd", "source": "mhd", "splits": ["test"], "lesions_xyz_radius_mm": [[1, 2, 3, 4]]},
        },
        "scans": {
            "train": {"scans": 10, "nodules": 6, "distractors": 2},
            "valid": {"scans": 2, "nodules": 2, "distractors": 2},
            "test": {"scans": 3, "nodules": 2, "distractors": 0},
        },
    }
