"""Checkpoints of a training: one safetensors file, written atomically, resumed only by the same training."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from lungline.errors import CorruptFileError
from lungline.storage.checksums import remove, unrecorded
from lungline.storage.weights import read_tensors, write_tensors
from lungline.training.task import Evaluation


@dataclass
class TrainingState:
    """Next step, learning curve, and the weights that are selected so far (in main memory)."""

    step: int = 0
    curve: list[Evaluation] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training: FOLDER/STAGE-KEY-step*.safetensors.

    The folder lies outside the declared outputs, so that a workflow does not remove it with them. The key is the hash
    of everything that makes this training what it is.
    """

    folder: Path
    stage: str
    key: str

    def saved(self) -> list[Path]:
        """Those that are there, the newest first."""
        found = [path for path in self.folder.glob(f"{self._stem}*.safetensors") if path.is_file()]
        return sorted(found, key=lambda path: int(path.stem.removeprefix(self._stem)), reverse=True)

    @unrecorded()
    def save(self, state: TrainingState, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Write weights, best weights and Adam's moments; the rest is JSON in the header.

        The one before is removed when this one is whole: a kill at any moment leaves one to go on from.
        """
        before = self.saved()
        tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in state.best.items()}
        for number, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{name}": torch.as_tensor(value) for name, value in moments.items()}
        curve = [list(evaluation.items()) for evaluation in state.curve]  # a mapping's names would be sorted
        path = self.folder / f"{self._stem}{state.step}.safetensors"
        write_tensors(path, tensors, {"key": self.key, "step": state.step, "curve": curve})
        for old in before:
            if old != path:
                remove(old)

    @unrecorded()
    def resume(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> TrainingState:
        """The newest whole checkpoint of this training, its weights and moments put in place; else the beginning."""
        for path in self.saved():
            try:
                tensors, header = read_tensors(path)
            except CorruptFileError:
                continue  # a damaged checkpoint costs time, never a result
            if header.get("key") != self.key:
                continue
            parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "adam": {}}
            for name, value in tensors.items():
                part, _, rest = name.partition(".")
                parts[part][rest] = value
            model.load_state_dict(parts["model"])
            moments = optimiser.state_dict()
            for name, value in parts["adam"].items():
                number, _, moment = name.partition(".")
                moments["state"].setdefault(int(number), {})[moment] = value
            optimiser.load_state_dict(moments)
            return TrainingState(int(header["step"]), [dict(row) for row in header["curve"]], parts["best"])
        return TrainingState()

    def remove(self) -> None:
        """Remove them, once the trained weights are written."""
        for path in self.saved():
            remove(path)

    @property
    def _stem(self) -> str:
        return f"{self.stage}-{self.key[:16]}-step"
