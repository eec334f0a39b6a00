"""What the search costs: `python -m benchmarks.speed.search SCAN [--peer CHECKOUT] [--pairs 3]`.

Calls `lungline predict` without page and DICOM on one scan, in turn with the package in another checkout, such as a
git worktree of an earlier commit, both with the models in their own package, ours with the given `search`. Says the
ratios of CPU and wall time, pair by pair, and how far apart the strongest candidates are. Then counts what the three
U-Nets compute on that scan, and times them beside a plain product of float32 matrices in the same process: FLOP, FLOP a
CPU second, the share reached.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import lungline
from benchmarks.speed.measure import Took, interleave, run_command, timed
from benchmarks.speed.networks import packaged_networks
from lungline.allocator import keep_freed_memory
from lungline.detection.axis_ensemble import predict_nodules, regions_searched
from lungline.detection.slices import stack_along
from lungline.detection.unet import UNet
from lungline.device import map_in_parallel
from lungline.imaging.intensity import scale_hu
from lungline.names import Precision
from lungline.storage import hdf5

CPU = torch.device("cpu")
_EDGE = 2048  # of the matrices


def bundle_of(package: Path, folder: Path, precision: Precision, search: Mapping[str, Any]) -> Path:
    """The models in a package, copied, with that precision and that `search`."""
    shutil.copytree(package / "pretrained", folder)
    (path,) = folder.glob("*.json")  # bundle.json; pipeline.json in the first versions
    about = json.loads(path.read_text(encoding="utf-8"))
    about["settings"]["detect"]["precision"] = precision
    for key, value in search.items():
        about["settings"]["rank_candidates" if key == "first_cut" else "detect"][key] = value
    path.with_suffix(".json.sha256").unlink(missing_ok=True)
    path.write_text(json.dumps(about), encoding="utf-8")
    return path


def predict(source: Path, scan: Path, out: Path, bundle: Path, threads: int) -> Took:
    """`lungline predict` of the package in SOURCE, into an empty folder."""
    shutil.rmtree(out, ignore_errors=True)
    alone = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    words = [
        sys.executable,
        "-m",
        "lungline.cli",
        "predict",
        str(scan),
        "--out",
        str(out),
        f"--{bundle.stem}",
        str(bundle),
    ]
    words += ["--pages", "false", "--dicom", "false", "--keep", "true"]
    took = run_command(words, out.with_suffix(".log"), env={**os.environ, **alone, "PYTHONPATH": str(source)})
    print(f"{out.name}: {took.cpu_s:.1f} CPU s, {took.wall_s:.1f} s", flush=True)
    return took


def beside(
    peer: Path, scan: Path, here: Path, pairs: int, precision: Precision, threads: int, search: Mapping[str, Any]
) -> str:
    """One line: both in turn, ours with that `search`."""
    sources = {"theirs": peer.resolve() / "src", "ours": Path(lungline.__file__).parents[1]}
    bundles = {
        who: bundle_of(source / "lungline", here / f"{who}-models", precision, search if who == "ours" else {})
        for who, source in sources.items()
    }
    calls = [lambda who=who: predict(sources[who], scan, here / who, bundles[who], threads) for who in sources]
    found, _, _ = interleave(*calls, pairs, *[lambda call: (call(), None)] * 2)
    cpu, wall = ([getattr(own, key) / getattr(his, key) for his, own in found] for key in ("cpu_s", "wall_s"))
    tables = [next((here / who / "candidates").glob("*.csv")) for who in sources]
    apart = float(np.linalg.norm(np.subtract(*map(strongest, tables))))
    peak = [max(pair[i].peak_mib for pair in found) for i in range(2)]
    return (
        f"predict, {precision}, {threads} threads, {pairs} pairs: "
        f"CPU s {_s(found, 0, 'cpu_s')} -> {_s(found, 1, 'cpu_s')}, "
        f"ratio {_range(cpu)}; wall s {_s(found, 0, 'wall_s')} -> {_s(found, 1, 'wall_s')}, ratio {_range(wall)}; "
        f"peak MiB {peak[0]:.0f} -> {peak[1]:.0f}; strongest candidates {apart:.1f} mm apart"
    )


def strongest(table: Path) -> list[float]:
    """Position (x, y, z), mm, of the first candidate; tables of earlier commits have fewer columns."""
    with open(table, newline="", encoding="utf-8") as lines:
        first = next(csv.DictReader(lines))
    return [float(first[name]) for name in ("x_mm", "y_mm", "z_mm")]


def _s(found: list[tuple[Took, Took]], which: int, key: str) -> str:
    return f"{statistics.median(getattr(pair[which], key) for pair in found):.1f}"


def _range(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


def flop(windowed: np.ndarray, network: UNet, *, slice_step: int, slice_box: bool) -> float:
    """What one U-Net computes on a volume along its three axes, counted on tensors without memory."""
    counted, known = 0.0, dict[tuple[int, ...], float]()
    with torch.device("meta"):
        shapes = UNet(network.spec)
    for axis in ("z", "y", "x"):
        stack = stack_along(windowed, axis)
        for part, box in regions_searched(stack, network.spec, CPU, slice_step=slice_step, slice_box=slice_box):
            shape = (len(part), network.spec.slices, *stack[0][box].shape)
            if shape not in known and min(shape):
                with FlopCounterMode(display=False) as counter, torch.no_grad():
                    shapes(torch.empty(shape, device="meta"))
                known[shape] = counter.get_total_flops()
            counted += known.get(shape, 0.0)
    return counted


def rate(cache: Path, threads: int, *, slice_step: int, slice_box: bool) -> str:
    """One line: FLOP of the search, FLOP a CPU second, and beside it those of a product of matrices."""
    keep_freed_memory()
    torch.set_num_threads(threads)
    networks, _ = packaged_networks(CPU)
    settings: dict[str, Any] = {"slice_step": slice_step, "slice_box": slice_box}
    windowed = scale_hu(hdf5.read_volume(cache, "ct").array)
    one, two = torch.rand(2, _EDGE, _EDGE)
    products = 8 * threads
    took, _ = timed(lambda: predict_nodules(windowed, networks, CPU, **settings))
    plain, _ = timed(lambda: map_in_parallel(lambda _: one @ two, range(products), CPU))
    counted = {
        "this search": flop(windowed, networks["z"], **settings),
        "every slice": flop(windowed, networks["z"], slice_step=1, slice_box=False),
    }
    reached, most = counted["this search"] / took.cpu_s, products * 2 * _EDGE**3 / plain.cpu_s
    tera = ", ".join(f"{key} {value / 1e12:.2f} TFLOP" for key, value in counted.items())
    return (
        f"U-Nets on {' x '.join(map(str, windowed.shape))}: {tera}; {took.cpu_s:.1f} CPU s, "
        f"{reached / 1e9:.1f} GFLOP/s a thread, product {most / 1e9:.1f}: {100 * reached / most:.0f} %"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.search", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("scan", type=Path)
    parser.add_argument("--peer", type=Path, help="another checkout of lungline")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--precision", choices=("float32", "bfloat16", "auto"), default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--slice-step", type=int, default=1)
    parser.add_argument("--slice-box", action="store_true")
    parser.add_argument("--first-cut", type=int)
    options = parser.parse_args()
    slices = {"slice_step": options.slice_step, "slice_box": options.slice_box}
    search = {**slices, "first_cut": options.first_cut}
    with tempfile.TemporaryDirectory(prefix="lungline-search-") as scratch:
        here = Path(scratch)
        if options.peer:
            given = options.pairs, options.precision, options.threads, search
            print(beside(options.peer, options.scan, here, *given), flush=True)
        else:
            source = Path(lungline.__file__).parents[1]
            models = bundle_of(source / "lungline", here / "ours-models", options.precision, search)
            predict(source, options.scan, here / "ours", models, options.threads)
        print(rate(next((here / "ours" / "stages" / "cache_volume").glob("*.h5")), options.threads, **slices))
    return 0


if __name__ == "__main__":
    sys.exit(main())
