"""`spectrogram-dbn`: deep belief network over the principal components of a 5 s spectrogram.

Source: Wang and Wang, "Improving content-based and hybrid music recommendation using deep learning", 2014, with frames
of 30 ms in 120 bands over 5 s (166 x 120), 100 principal components, and a deep belief network trained layer by layer.
The training follows Hinton, "A practical guide to training restricted Boltzmann machines", 2010. The first machine has
Gaussian visible units (components scaled to standard deviation 1), and the others have binary units. Training uses one
step of contrastive divergence, momentum and weight decay. The 5 s are drawn at random from each file, once: they depend
on the content of the file and the seed. The paper then fine-tunes the network inside its recommender. This encoder
trains only the layers, which require no targets. Their sizes (300, 300, 300) are parameters. No pretrained weights.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import numpy as np
from pydantic import Field

from segue_papers.encoders.mfcc_words import principal_axes
from toolkit.contracts.learning import Learning, distance, sample_rows
from toolkit.encoders.audio.audio_encoder import AudioEncoder, AudioParams
from toolkit.encoders.contract.content_hash import digests
from toolkit.encoders.contract.encoder import Audio, EncoderParams, FittedState, Progress, Tensors
from toolkit.encoders.contract.field_values import Files
from toolkit.encoders.contract.input_faults import not_fitted
from toolkit.seeds import derived_seed

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from toolkit.encoders.learning.train_network import Epoch

MOST_CLIPS = 4000
"""Most clips from which the principal components are learned: 0.6 GB at the sizes of the paper."""
MOMENTUM, DECAY = 0.9, 2e-4
"""Hinton 2010, sections 9 and 10."""
COMPRESSION = 1e4


class SpectrogramDbnParams(AudioParams):
    """Parameters of the spectrogram and the network.

    - clip: length in seconds of the part of the excerpt that the network reads, drawn at random.
    - window: length of a frame in seconds. Frames do not overlap.
    - bands: number of equal frequency bands. Magnitudes are summed in each band.
    - components: number of principal components, at most the number of clips.
    - hidden: sizes of the layers.
    - epochs, batch: passes over all clips for each layer, and clips in a step.
    - lr: learning rate of the binary machines. The Gaussian machine uses a tenth of this rate.
    """

    clip: float = Field(5.0, gt=0, le=600)
    window: float = Field(0.03, gt=0)
    bands: int = Field(120, ge=1)
    components: int = Field(100, ge=1)
    hidden: list[Annotated[int, Field(ge=1)]] = Field([300, 300, 300], min_length=1)
    epochs: int = Field(300, ge=1)
    batch: int = Field(64, ge=1)
    lr: float = Field(0.1, gt=0)

    def frame(self) -> int:
        """Return the number of samples in a frame."""
        return max(2, round(self.window * self.rate))

    def frames(self) -> int:
        return max(1, int(self.clip * self.rate) // self.frame())


class SpectrogramDbnEncoder(AudioEncoder):
    """Audio encoder with a deep belief network over the principal components of a spectrogram.

    Takes n files and returns float32 [n, last hidden size], the activation probabilities of the last layer, from 0 to
    1.
    """

    name: ClassVar[str] = "spectrogram-dbn"
    version: ClassVar[str] = "2"
    requires_fit: ClassVar[bool] = True
    source: ClassVar[str] = "Wang and Wang 2014; Hinton 2010"
    Params: ClassVar[type[EncoderParams]] = SpectrogramDbnParams
    params: SpectrogramDbnParams
    learning: Learning | None = Learning()
    tensors: Tensors | None = None
    """center, axes and deviation of the components; weight and bias of each layer."""

    def __init__(self, params: EncoderParams | None = None, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(params, seed=seed, device=device)
        self.curve: list[Epoch] = []
        """One row per epoch of the last fit: epoch, seconds, the reconstruction error of each layer as a share of the
        variance (`layer 1`, …), and their mean as `loss`."""

    @property
    def min_samples(self) -> int:
        return self.params.frame() * self.params.frames()

    @property
    def dim(self) -> int:
        return self.params.hidden[-1]

    def fit(
        self,
        inputs: Audio,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fit components and layers to n >= 1 files. Raises `InputError` if no file can be read."""
        some = np.linspace(0, len(inputs) - 1, min(len(inputs), MOST_CLIPS)).astype(int)
        what = f"decode for {self.name}"
        sample = [row for _, row in self._spectrograms(Files(inputs, some), progress, what)]
        if not sample:
            raise self._all_unreadable(inputs)
        center, axes = principal_axes(np.stack(sample).astype(np.float64), 1.0)
        axes = axes[: self.params.components]
        if len(some) < len(inputs):
            again = self._spectrograms(inputs, progress, what)
            components = np.stack([(row - center) @ axes.T for _, row in again])
        else:
            components = np.stack([(row - center) @ axes.T for row in sample])
        deviation = components.std(axis=0)
        # dividing a component without variance would scale up rounding errors
        scaled = {"center": center, "axes": axes, "deviation": np.where(deviation > 1e-9, deviation, 1.0)}
        self.tensors = scaled | self._layers((components / scaled["deviation"]).astype(np.float32), progress)
        return self

    def transform(self, inputs: Audio, *, progress: Progress | None = None) -> np.ndarray:
        """Return float32 [n, d] for n files, with NaN for unreadable files."""
        if self.tensors is None:
            raise not_fitted(self.name)
        tensors, out = self.tensors, self._nan_rows(inputs)
        for index, row in self._spectrograms(inputs, progress, self.name):
            row = (row - tensors["center"]) @ tensors["axes"].T / tensors["deviation"]
            row = row.astype(np.float32)
            for layer in range(len(self.params.hidden)):
                row = _sigmoid(row @ tensors[f"weight.{layer}"] + tensors[f"bias.{layer}"])
            out[index] = row
        return out

    def _spectrograms(self, inputs: Audio, progress: Progress | None, what: str) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the index and the spectrogram of each readable file."""
        content, length = digests("audio", inputs), self.params.frame() * self.params.frames()
        for index, samples in self._clips(inputs, progress, what):
            rng = np.random.default_rng(derived_seed(self.seed, self.name, "clip", content[index].tobytes().hex()))
            start = int(rng.integers(max(0, len(samples) - length) + 1))
            yield index, spectrogram(samples[start : start + length], self.params)

    def _layers(self, visible: np.ndarray, progress: Progress | None) -> Tensors:
        """Train the machines in order, each on the output of the previous machine."""
        import torch

        table, tensors, learned = torch.from_numpy(visible), Tensors(), list[Learning]()
        self.curve = [{"epoch": epoch + 1, "seconds": 0.0, "loss": 0.0} for epoch in range(self.params.epochs)]
        sizes = [visible.shape[1], *self.params.hidden]
        for layer, (_, hidden) in enumerate(pairwise(sizes)):
            generator = torch.Generator().manual_seed(derived_seed(self.seed, self.name, "layer", layer))
            weight, bias, errors, learning = _machine(table, hidden, self.params, generator, gaussian=layer == 0)
            learned.append(learning)
            for row, (seconds, error) in zip(self.curve, errors, strict=True):
                row[f"layer {layer + 1}"] = error
                row["seconds"] += seconds
                row["loss"] += error / len(self.params.hidden)
            tensors |= {f"weight.{layer}": weight.numpy(), f"bias.{layer}": bias.numpy()}
            table = torch.sigmoid(table @ weight + bias)
            if progress is not None:
                progress(layer + 1, len(self.params.hidden), f"fit {self.name}")
        # a layer that learned nothing hides what the layers before it learned
        worst = max(learned, key=lambda each: (bool(each.collapsed), (each.loss or 0.0) / (each.constant or 1.0)))
        self.learning = worst.of_task(visible)
        return tensors

    def fitted_state(self) -> FittedState | None:
        return None if self.tensors is None else FittedState(self.tensors, {"curve": self.curve})

    def restore(self, state: FittedState) -> None:
        self.tensors, self.curve = state.tensors, state.values["curve"]


def spectrogram(samples: np.ndarray, params: SpectrogramDbnParams) -> np.ndarray:
    """Return log(1 + c · x) of summed magnitudes, float32 [frames · bands]. Short clips are padded with silence."""
    size, frames = params.frame(), params.frames()
    clip = np.pad(samples[: frames * size], (0, max(0, frames * size - len(samples)))).reshape(frames, size)
    spectrum = np.abs(np.fft.rfft(clip * np.hanning(size), n=max(size, 2 * params.bands), axis=1)) / size
    # as many equal parts of the spectrum as bands
    edges = np.linspace(0, spectrum.shape[1], params.bands + 1).astype(int)[:-1]
    return np.log1p(COMPRESSION * np.add.reduceat(spectrum, edges, axis=1)).astype(np.float32).ravel()


def _machine(
    table: Tensor, hidden: int, params: SpectrogramDbnParams, generator: Generator, *, gaussian: bool
) -> tuple[Tensor, Tensor, list[tuple[float, float]], Learning]:
    """Train a machine on [n, visible] by contrastive divergence with one step.

    Returns weights [visible, hidden], the hidden bias, the seconds and the reconstruction error of each epoch, and the
    record of the training. Contrastive divergence has no loss. The record has the reconstruction error of the visible
    units as a share of their variance. In place of a constant prediction it has the error of the random initial
    weights, which reconstruct hardly more than the mean.
    """
    import torch

    rate = params.lr / 10 if gaussian else params.lr
    weight = 0.01 * torch.randn(table.shape[1], hidden, generator=generator)
    state = {"weight": weight.clone(), "visible": torch.zeros(table.shape[1]), "hidden": torch.zeros(hidden)}
    speed = {name: torch.zeros_like(value) for name, value in state.items()}
    sample, errors = table[torch.from_numpy(sample_rows(*table.shape))], list[tuple[float, float]]()
    for _ in range(params.epochs):
        began = time.perf_counter()
        order = torch.randperm(len(table), generator=generator)
        for part in order.split(params.batch):
            seen = table[part]
            first = torch.sigmoid(seen @ state["weight"] + state["hidden"])
            drawn = (torch.rand(first.shape, generator=generator) < first).float()
            back = drawn @ state["weight"].T + state["visible"]
            again = back if gaussian else torch.sigmoid(back)
            second = torch.sigmoid(again @ state["weight"] + state["hidden"])
            slope = {
                "weight": (seen.T @ first - again.T @ second) / len(part) - DECAY * state["weight"],
                "visible": (seen - again).mean(dim=0),
                "hidden": (first - second).mean(dim=0),
            }
            for name, value in slope.items():
                speed[name].mul_(MOMENTUM).add_(value, alpha=rate)
                state[name] += speed[name]
        error = _error(sample, state["weight"], state["hidden"], gaussian=gaussian)
        errors.append((time.perf_counter() - began, error))
    trained = state["weight"], state["hidden"]
    before = _error(sample, weight, 0 * state["hidden"], gaussian=gaussian)
    return *trained, errors, Learning(errors[-1][1], before, distance(weight.numpy(), state["weight"].numpy()))


def _error(table: Tensor, weight: Tensor, bias: Tensor, *, gaussian: bool) -> float:
    """Return the share of the variance of rows [n, visible] that the machine does not reconstruct."""
    import torch

    back = torch.sigmoid(table @ weight + bias) @ weight.T
    if not gaussian:
        mean = table.mean(dim=0).clamp(1e-6, 1 - 1e-6)
        back = torch.sigmoid(back - back.mean(dim=0) + torch.logit(mean))
    rest, whole = (table - back).double(), table.double()
    variance = float((whole - whole.mean(dim=0)).square().mean())
    return float((rest - rest.mean(dim=0)).square().mean()) / variance if variance else 1.0


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-values.clip(-80, 80))), np.float32)
