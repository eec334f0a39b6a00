"""The literal way of each step, by scipy, scikit-image and torch: slow and obvious, the reference of tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import h5py
import numpy as np
import pydicom
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label, regionprops
from skimage.morphology import ball
from torch import Tensor, nn

from lungline.classification.cancer_net import CancerNet
from lungline.imaging import body_air, lungs, morphology
from lungline.imaging.volume import Volume


def read_dicom(folder: Path) -> NDArray[np.int16]:
    """pydicom, a slice at a time, sorted by position; values below -1024 are padding."""
    slices = [pydicom.dcmread(path) for path in folder.iterdir()]
    slices.sort(key=lambda one: one.ImagePositionPatient[2])
    stored = np.stack([one.pixel_array for one in slices]).astype(np.int16)
    for plane, one in zip(stored, slices, strict=True):
        if one.RescaleSlope != 1:
            plane[...] = (one.RescaleSlope * plane.astype(np.float64)).astype(np.int16)
        plane += np.int16(one.RescaleIntercept)
    return np.maximum(stored, -1024)


def zoom(ct: Volume, spacing_mm: float = 1.0) -> NDArray[np.float32]:
    """scipy's zoom of order 3."""
    return ndimage.zoom(ct.array.astype(np.float32), ct.spacing_zyx_mm / spacing_mm, order=3)


def spline_at_our_places(ct: Volume, shape_zyx: tuple[int, ...], spacing_mm: float = 1.0) -> NDArray[np.float64]:
    """scipy's cubic spline, in double precision, at the voxel centres of our grid."""
    steps = spacing_mm / ct.spacing_zyx_mm
    voxels = ct.array.astype(np.float64)
    return ndimage.affine_transform(voxels, steps, (steps - 1) / 2, output_shape=shape_zyx, order=3, mode="mirror")


def dilate(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """scipy's dilation by skimage's ball, in voxels."""
    return ndimage.binary_dilation(mask, ball(radius))


def dilate_by_distance(mask: NDArray[np.bool_], radius_mm: float, spacing_zyx_mm: tuple[float, ...]) -> NDArray:
    """Every voxel within a distance, by scipy's distance transform; 10 mm by a ball would take minutes."""
    if not mask.any():
        return mask.copy()
    return ndimage.distance_transform_edt(~mask, sampling=spacing_zyx_mm) <= radius_mm + 1e-6


def label_slices(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """skimage's label, a slice at a time, numbered through."""
    out = np.zeros(mask.shape, dtype=np.int64)
    for plane, numbers in zip(mask, out, strict=True):
        found = label(plane, connectivity=1)
        numbers[...] = np.where(found > 0, found + out.max(), 0)
    return out


def label_pieces(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """skimage's label in space."""
    found = label(mask, connectivity=1)
    return found.astype(np.uint32), np.bincount(found.ravel())


@contextmanager
def slow_shapes() -> Iterator[None]:
    """Inside, the lungs are found by the same steps made of scipy and skimage."""
    slow = {"dilate": dilate_by_distance, "label_slices": label_slices, "label_pieces": label_pieces}
    rest = {name: work for name, work in slow.items() if hasattr(lungs, name)}
    with patch.multiple(morphology, **slow), patch.multiple(body_air, **slow), patch.multiple(lungs, **rest):
        yield


def write_gzip(path: Path, array: NDArray) -> None:
    """h5py with gzip, in cubes of 32."""
    with h5py.File(path, "w") as file:
        chunks = tuple(min(32, n) for n in array.shape)
        file.create_dataset("ct", data=array, chunks=chunks, compression="gzip", compression_opts=4, shuffle=True)


def strongest(probability: NDArray[np.float32], threshold: float, count: int) -> list[tuple[float, tuple[float, ...]]]:
    """Sum of probability and weighted centroid (z, y, x) of the strongest clusters, by skimage."""
    regions = regionprops(label(probability >= np.float32(threshold), connectivity=3), intensity_image=probability)
    found = [(float(region.intensity_mean * region.area), region.centroid_weighted) for region in regions]
    return sorted(found, key=lambda region: -region[0])[:count]


def detect_slices(network: nn.Module, slices: NDArray[np.float32]) -> NDArray[np.float32]:
    """torch as it comes: float32, one slice (rows, columns) at a time, channels first."""
    with torch.inference_mode():
        return np.stack([torch.sigmoid(network(torch.from_numpy(one)[None, None]))[0, 0].numpy() for one in slices])


class Table2(nn.Module):
    """The layers of Table 2 in a row, channels first, with the weights of one of our networks."""

    def __init__(self, network: CancerNet) -> None:
        super().__init__()
        convolutions = [getattr(network, f"conv{n}") for n in range(1, 7)]
        layers: list[nn.Module] = []
        for number, given in enumerate(convolutions):
            own = nn.Conv3d(given.in_channels, given.out_channels, 3, padding=1)
            own.load_state_dict(given.state_dict())
            layers += [own, nn.ReLU()] + ([nn.MaxPool3d(2)] if number % 2 else [])
        for given, last in ((network.dense7, False), (network.dense8, True)):
            own = nn.Linear(given.in_features, given.out_features)
            own.load_state_dict(given.state_dict())
            layers += [own] if last else [nn.Flatten(), own, nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, cubes: Tensor) -> Tensor:
        """Logits (N,) of cubes (N, C, D, H, W)."""
        return self.layers(2 * cubes - 1).squeeze(1)
