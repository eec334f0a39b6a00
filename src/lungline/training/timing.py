"""Time of an optimiser step on this machine, measured on empty input."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from lungline.classification.cancer_net import CancerNet
from lungline.config.entries import DetectorSpec, FprSpec
from lungline.config.networks import CancerNetSpec, PatientSchedule
from lungline.detection.unet import UNet
from lungline.device import half_precision
from lungline.names import Precision
from lungline.training.losses import cancer_loss, nodule_loss
from lungline.training.patients import micro_batches, patient_loss


def seconds_per_detector_step(spec: DetectorSpec, device: torch.device, steps: int, precision: Precision) -> float:
    """Mean seconds of a step of one axis's U-Net, reading of crops not counted."""
    batch, edge = spec.training.batch, spec.sampling.crop
    images = torch.zeros(batch, spec.network.slices, edge, edge, device=device)
    labels = torch.zeros(batch, 1, edge, edge, device=device)
    network = UNet(spec.network)
    return _seconds_a_step(network, lambda: nodule_loss(network(images), labels), device, steps, precision)


def seconds_per_fpr_step(spec: FprSpec, device: torch.device, steps: int, precision: Precision) -> float:
    """Mean seconds of a step of the FPR network, reading of cubes not counted."""
    batch, network = spec.training.batch, CancerNet(spec.network)
    cubes = torch.zeros(batch, spec.network.in_channels, *spec.network.shape_zyx, device=device)
    labels = torch.zeros(batch, device=device)
    return _seconds_a_step(network, lambda: cancer_loss(network(cubes).float(), labels), device, steps, precision)


def seconds_per_patient_step(
    spec: CancerNetSpec, schedule: PatientSchedule, cubes: int, device: torch.device, steps: int, precision: Precision
) -> float:
    """Mean seconds of a step of a cancer network when every patient of the batch has so many cubes (or volumes).

    One part of the batch (`micro_batch`) is timed, and counted as often as it comes.
    """
    seen = np.zeros((cubes, spec.in_channels, *spec.shape_zyx), np.float16)
    share, patients = micro_batches([(seen, 0)] * schedule.batch, schedule.micro_batch)[0]
    network = CancerNet(spec)
    return _seconds_a_step(network, lambda: patient_loss(network, patients, device), device, steps, precision) / share


def _seconds_a_step(
    model: nn.Module, loss_of: Callable[[], Tensor], device: torch.device, steps: int, precision: Precision
) -> float:
    """The first step, which also sets things up, is not counted."""
    optimiser = torch.optim.Adam(model.to(device).train().parameters())
    autocast, _ = half_precision(device, precision)
    taken = []
    for _ in range(1 + steps):
        started = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        with autocast:
            loss = loss_of()
        loss.backward()
        optimiser.step()
        float(loss.detach())  # waits for the GPU
        taken.append(time.perf_counter() - started)
    return sum(taken[1:]) / steps
