"""Register one scan of a patient to another: the rigid transform that makes their lungs fit.

Breathing, posture and an operation change a chest in ways that no rigid transform describes, so what lies near the
diaphragm may be off by a centimetre or more. That is enough to say which nodule is which, and not for more.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.imaging.volume import Volume

_HU = (-1000.0, 200.0)  # lung and vessels; bone and metal may not lead
_GRID_MM = 2.0
_RIM_MM = 6.0  # around the lungs that takes part: the chest wall holds the lungs in place
_SHRINK, _SMOOTH_MM, _SHARE = (4, 2, 1), (8.0, 4.0, 2.0), (1.0, 0.5, 0.15)  # a level each, coarse to fine
_STEP, _SMALLEST_STEP, _ITERATIONS = 2.0, 1e-3, 150
_SEEDS = 2**32 - 1  # what SimpleITK takes, less 0, by which it means the clock


@dataclass(frozen=True)
class RigidTransform:
    """A rigid transform of the world."""

    matrix: NDArray[np.float64]  # (4, 4): world (x, y, z, 1) mm of the first scan to that of the second
    overlap: float  # Dice coefficient, 0..1, of the two scans' lungs after it

    def apply(self, points_xyz_mm: ArrayLike) -> NDArray[np.float64]:
        """Where points (..., 3) of the first scan lie in the second."""
        return geometry.voxel_to_world(self.matrix, points_xyz_mm)

    def apply_inverse(self, points_xyz_mm: ArrayLike) -> NDArray[np.float64]:
        """Where points (..., 3) of the second scan lie in the first."""
        return np.asarray((np.asarray(points_xyz_mm) - self.matrix[:3, 3]) @ self.matrix[:3, :3])


def register_lungs(
    first: Volume, first_lungs: Volume, second: Volume, second_lungs: Volume, *, seed: int = 0
) -> RigidTransform:
    """The rigid transform from the first scan to the second under which their lungs look most alike.

    `first` and `second` are HU, the lungs bool on the same grids, not empty. HU are correlated within the lungs of the
    first and a rim around them, from coarse to fine, by SimpleITK, at points that are drawn from the seed (0 or more)
    and on one thread: the same scans and seed give the same transform, bit by bit.
    It starts from the middles of the lungs, unturned, so a scan that is turned by more than about 30 degrees against
    the other may not be found.
    """
    fixed, fixed_lungs = prepared(first, first_lungs)
    moving, moving_lungs = prepared(second, second_lungs)
    middle, other = _middle(first_lungs), _middle(second_lungs)
    start = sitk.Euler3DTransform()
    start.SetCenter(middle.tolist())
    start.SetTranslation((other - middle).tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(sitk.BinaryDilate(fixed_lungs, [round(_RIM_MM / _GRID_MM)] * 3))
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentagePerLevel(_SHARE, 1 + seed % _SEEDS)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(_STEP, _SMALLEST_STEP, _ITERATIONS)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(_SHRINK)
    method.SetSmoothingSigmasPerLevel(_SMOOTH_MM)
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(start, inPlace=True)
    method.SetNumberOfThreads(1)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:  # the pictures have no part in common
        raise LunglineError("the two scans cannot be registered. Are both of one patient's chest?") from None
    laid = sitk.Resample(moving_lungs, fixed_lungs, start, sitk.sitkNearestNeighbor, 0)
    a, b = (sitk.GetArrayViewFromImage(mask) > 0 for mask in (fixed_lungs, laid))
    both, sizes = int(np.count_nonzero(a & b)), int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    matrix = geometry.make_affine(
        (1, 1, 1), start.TransformPoint((0.0, 0.0, 0.0)), np.reshape(start.GetMatrix(), (3, 3))
    )
    return RigidTransform(matrix, 2 * both / max(sizes, 1))


def prepared(ct: Volume, lungs: Volume) -> tuple[sitk.Image, sitk.Image]:
    """The scan (clipped HU) and its lungs on a coarser grid."""
    by = [max(1, round(_GRID_MM / float(step))) for step in ct.spacing_zyx_mm[::-1]]
    hu = sitk.BinShrink(_image(ct, np.clip(ct.array, *_HU).astype(np.float32)), by)
    return hu, sitk.BinShrink(_image(lungs, lungs.array.astype(np.float32)), by) > 0.5


def _image(volume: Volume, array: NDArray) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(volume.spacing_zyx_mm[::-1].tolist())
    image.SetOrigin(volume.affine[:3, 3].tolist())
    image.SetDirection(geometry.direction(volume.affine)[:, ::-1].ravel().tolist())
    return image


def _middle(lungs: Volume) -> NDArray[np.float64]:
    """World point in the middle of the lungs."""
    return geometry.voxel_to_world(lungs.affine, np.argwhere(lungs.array).mean(axis=0))
