"""Whether a volume can be a CT of a chest at all: cheap checks before anything is built on it.

What counts is the patient and not the picture: how much lung the body holds, and what part of the body's section it
takes. So a whole trunk, a wide field, a child and a single lung are chests; a head on a foam cushion is none.
"""

from dataclasses import dataclass

import numpy as np

from lungline.errors import Quarantine
from lungline.imaging.body_air import Blocks, air_in_body, average_blocks
from lungline.imaging.morphology import Mask, erode, label_pieces
from lungline.imaging.volume import Volume

_MIN_EXTENT_ZYX_MM = (10.0, 60.0, 60.0)  # a slab of a chest is enough
_BLOCK_MM = 3.0
_AIR_HU = -320.0
_TISSUE_HU = (-200.0, 300.0)
_LUNG_HU = (-950.0, -500.0)
#: Severe emphysema is darker than lung, but brighter than the air of the room by this much.
_ABOVE_ROOM_HU = 12.0
_ROOM_HU = -950.0  # the room is darker
_MIN_LUNG_ML = 10.0
#: Lung takes this part of the body's section, through this thickness: chests 0.2 to 0.5, cavities of a head below 0.02.
_MIN_LUNG_SHARE, _LUNG_THICK_MM = 0.06, 10.0
#: What is darker than lung may be gas of the bowel, and must be more.
_MIN_DARK_SHARE, _DARK_THICK_MM = 0.15, 30.0
#: Soft tissue is this part of the body, or of a picture within it: foam in the shell of a table is no chest.
_MIN_TISSUE_SHARE, _MIN_TISSUE_WITHIN = 0.2, 0.05
_RIM_MM = 4.0  # thinner lung is the blurred edge of gas
_FAR_MM = 1e6
_MOST_ROOM_AT_EDGE = 0.05  # of the edge of a picture that lies within the patient


@dataclass(frozen=True)
class _Lung:
    volume_ml: float
    share: float  # of the body's section, through `_LUNG_THICK_MM`
    dark_share: float  # as `share`, through `_DARK_THICK_MM`, and with what is darker than lung
    tissue_share: float  # of the body
    least_tissue_share: float


def check_chest(ct: Volume) -> None:
    """Quarantine what is not a CT of a chest, given as int16 HU in LPS order.

    `Q_BAD_VOXELS`: all voxels equal; `Q_NOT_CHEST_CT`: too small, air only, or a body without lung.
    """
    extent = ct.spacing_zyx_mm * ct.shape_zyx
    if np.any(extent < _MIN_EXTENT_ZYX_MM):
        found = f"{np.round(extent, 1).tolist()} mm (z, y, x); at least {list(_MIN_EXTENT_ZYX_MM)}"
        raise Quarantine("Q_NOT_CHEST_CT", f"the volume is too small: {found}")
    if ct.array.min() == ct.array.max():
        raise Quarantine("Q_BAD_VOXELS", f"all voxels are {ct.array.flat[0]} HU")
    lung = _measure_lung(_blocks_of(ct))
    enough = lung.share >= _MIN_LUNG_SHARE or lung.dark_share >= _MIN_DARK_SHARE
    if not enough or lung.volume_ml < _MIN_LUNG_ML or lung.tissue_share < lung.least_tissue_share:
        found = f"{lung.volume_ml:.0f} ml like lung, {lung.share:.1%} of the body's section"
        expected = f"at least {_MIN_LUNG_ML:.0f} ml and {_MIN_LUNG_SHARE:.0%}"
        raise Quarantine("Q_NOT_CHEST_CT", f"{found}, {lung.tissue_share:.0%} soft tissue; {expected}")


def _blocks_of(ct: Volume) -> Blocks:
    """Means over blocks, a layer of them at a time: of a long scan, all of it as float would not fit."""
    spacing = ct.spacing_zyx_mm
    thick = max(1, min(ct.shape_zyx[0], round(_BLOCK_MM / spacing[0])))
    layers = [
        average_blocks(ct.array[first : first + thick].astype(np.float32), spacing, _BLOCK_MM)
        for first in range(0, ct.shape_zyx[0] - thick + 1, thick)
    ]
    mean = np.concatenate([layer.mean_hu for layer in layers])
    return Blocks(mean, layers[0].edge, layers[0].spacing_zyx_mm)


def _measure_lung(blocks: Blocks) -> _Lung:
    hu = blocks.mean_hu
    edge = np.concatenate([hu[:, [0, -1]].ravel(), hu[:, :, [0, -1]].ravel()])
    room = edge[edge < _ROOM_HU]
    if room.size < _MOST_ROOM_AT_EDGE * edge.size:  # the picture lies within the patient
        air, inside = hu < _AIR_HU, np.ones(hu.shape, dtype=bool)
        darkest, least_tissue = _LUNG_HU[0], _MIN_TISSUE_WITHIN
    else:
        air, inside = _body(blocks)
        darkest = min(_LUNG_HU[0], float(np.median(room)) + _ABOVE_ROOM_HU)
        least_tissue = _MIN_TISSUE_SHARE
    apart = (_FAR_MM, *blocks.spacing_zyx_mm[1:])  # slices that do not touch
    core = erode(air, _RIM_MM, apart)
    lung, dark = (air & (hu > least) & (hu < _LUNG_HU[1]) for least in (_LUNG_HU[0], darkest))
    tissue = inside & (hu > _TISSUE_HU[0]) & (hu < _TISSUE_HU[1])
    return _Lung(
        float(np.count_nonzero(dark) * np.prod(blocks.spacing_zyx_mm)) / 1000,
        _share_of_section(lung & core, inside, blocks, _LUNG_THICK_MM),
        _share_of_section(dark & core, inside, blocks, _DARK_THICK_MM),
        int(np.count_nonzero(tissue)) / max(1, int(np.count_nonzero(inside))),
        least_tissue,
    )


def _body(blocks: Blocks) -> tuple[Mask, Mask]:
    """The air in the body, and the body with it."""
    tissue, sizes = label_pieces(blocks.mean_hu > _TISSUE_HU[0])
    sizes[0] = 0
    air, _, _ = air_in_body(blocks, _AIR_HU)
    return air, air | ((tissue == np.argmax(sizes)) & (tissue > 0))


def _share_of_section(lung: Mask, inside: Mask, blocks: Blocks, thick_mm: float) -> float:
    """The part of the body's axial section that lung takes, the best slices through a thickness, or half of a slab."""
    areas = np.count_nonzero(inside, axis=(1, 2))
    shares = np.sort(np.count_nonzero(lung, axis=(1, 2)) / np.maximum(areas, 1))[::-1]
    most: float = thick_mm / blocks.spacing_zyx_mm[0]
    count = int(min(most, shares.size / 2))
    return float(shares[max(0, count - 1)])
