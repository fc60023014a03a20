"""What the races of sequential models share: playlists of MPD's lengths in memory, RecBole's side under its own
trainer, ours."""

from __future__ import annotations

import argparse
import gc
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from itertools import islice
from typing import Any

import common
import numpy as np
import pyarrow as pa
import torch

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import PlaylistSet
from toolkit.memory import kept_memory
from toolkit.recipe import ModelSpec
from toolkit.sequential.item_space import Parts
from toolkit.sequential.recbole import bridge
from toolkit.sequential.recbole.multimodal_bert4rec import MultimodalBERT4Rec
from toolkit.sequential.recbole.multimodal_sasrec import MultimodalSASRec
from toolkit.sequential.recbole.prefix_rows import loaders
from toolkit.sequential.training.batches import Batch
from toolkit.sequential.training.trainer import Trainer

MODELS = {"SASRec": MultimodalSASRec, "BERT4Rec": MultimodalBERT4Rec}


def playlists(n_items: int, count: int, *, seed: int = 0, longest: int = 250) -> PlaylistSet:
    """Playlists of the Million Playlist Dataset's lengths (5 to 250 tracks, 66 on average) and a Zipf-like
    popularity."""
    draw = np.random.default_rng(seed)
    lengths = np.clip(draw.lognormal(3.9, 0.78, count), 5, longest).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    chances = 1 / np.arange(1, n_items + 1) ** 0.8
    names = pa.array(np.arange(n_items).astype(str))
    nothing = pa.nulls(count, pa.string())
    about = pa.table({"id": np.arange(count).astype(str), "title": nothing, "group": nothing, "split": nothing})
    items = (draw.permutation(n_items)[draw.choice(n_items, offsets[-1], p=chances / chances.sum())] + 1).astype(
        np.int32
    )
    made = Corpus(items, offsets, pa.table({"id": names, "title": names}), about)
    return PlaylistSet(made, np.arange(count), offsets[:-1], offsets[1:])


class Steps(ABC):
    """Training steps of one side; `run(n)` takes the next n batches and `targets` holds how many tracks each run
    predicted."""

    def __init__(self) -> None:
        self.targets: list[int] = []

    @abstractmethod
    def run(self, count: int) -> None:
        """Take `count` steps and note their targets."""


class RecboleSteps(Steps):
    """RecBole's trainer on RecBole's prefix rows.

    shipped: autograd's anomaly detection stays on, as importing RecBole leaves it. kept: freed memory stays for the
    next step, as in our own stock baselines and unlike anything in RecBole.
    """

    def __init__(
        self, base: str, train: PlaylistSet, *, device: str, shipped: bool = False, kept: bool = False, **settings: Any
    ) -> None:
        super().__init__()
        self.config = bridge.config(base, settings=settings, device=device)
        self.shipped, self.kept = shipped, kept
        with bridge.seeded(0):
            self.loader, _ = loaders(self.config, train, None)
            self.model = getattr(bridge, base)(self.config, bridge.CatalogueSize(train.corpus.n_items)).to(device)
        self.trainer = bridge.Trainer(self.config, self.model)
        self.rows = self._rows()
        self.seen = 0

    def _rows(self) -> Iterator[Any]:
        while True:
            for batch in self.loader:
                # BERT4Rec's masked slots that hold a target; its loss leaves out a mask at position 0
                self.seen += int((batch["MASK_INDEX"] > 0).sum()) if "MASK_INDEX" in batch else len(batch)
                yield batch

    def run(self, count: int) -> None:
        self.seen = 0
        with torch.autograd.set_detect_anomaly(self.shipped), kept_memory() if self.kept else nullcontext():
            self.trainer._train_epoch(islice(self.rows, count), 0)
        self.targets.append(self.seen)


class OurSteps(Steps):
    """Our trainer on windows; the same architecture, parameters and candidates (every id) as RecBole's."""

    def __init__(self, base: str, train: PlaylistSet, spec: Mapping[str, Any], *, device: str, dropout: float) -> None:
        super().__init__()
        self.spec = ModelSpec.of({"type": base.lower(), "modalities": [], "initialisation": "recbole", **spec})
        config, size = bridge.model_config(base, n_items=train.corpus.n_items, dropout=dropout, device=device)
        with bridge.seeded(0):
            self.model: Any = MODELS[base](config, size, Parts()).to(device)
        self.steps = Trainer(self.model, train, self.spec, seed=0, device=device).steps
        self.batches = self._batches()

    def _batches(self) -> Iterator[Batch]:
        draw = np.random.default_rng(0)
        while True:
            yield from self.steps.batches(draw)

    def run(self, count: int) -> None:
        self.model.train()
        total = torch.zeros((), device=self.steps.device)
        seen = 0
        for batch in islice(self.batches, count):
            loss, targets = self.steps.take(batch)
            total, seen = total + loss, seen + targets
        assert bool(total.isfinite())
        self.targets.append(seen)


def race(
    sides: Mapping[str, tuple[Steps, int]], *, repetitions: int, device: str, clock: str
) -> dict[str, list[float]]:
    """Seconds per 1,000 targets of each side, side by side, after one run each to warm up."""
    calls: dict[str, Callable[[], Any]] = {
        name: (lambda side=side, count=count: side.run(count)) for name, (side, count) in sides.items()
    }
    for side, _ in sides.values():
        side.targets.clear()
    seconds = common.alternate(calls, repetitions=repetitions, device=device, clock=clock)
    gc.collect()
    return {
        name: [1000 * took / targets for took, targets in zip(taken, sides[name][0].targets[1:], strict=True)]
        for name, taken in seconds.items()
    }


def options(description: str | None) -> argparse.ArgumentParser:
    """Options of both training races."""
    made = common.parser(description)
    made.add_argument("--tracks", type=int, default=78_000)
    made.add_argument("--playlists", type=int, default=2_000)
    made.add_argument("--repetitions", type=int, help="default: 1 with --quick, 5 without")
    return made


def run(
    race_name: str,
    given: argparse.Namespace,
    sides: Mapping[str, tuple[Steps, int]],
    bars: Mapping[str, int],
    check: Mapping[str, float],
    what: str,
    **more: Any,
) -> None:
    """Race all sides and report our rows, those of `bars`, against the side `recbole`.

    check: losses by `recbole`, `float32` and `bfloat16`, of `what` both sides share.
    """
    seconds = race(
        sides, repetitions=given.repetitions or (1 if given.quick else 5), device=given.device, clock=given.clock
    )
    rates = {name: round(1000 / common.spread(taken)["median"]) for name, taken in seconds.items()}
    print("targets a second:", ", ".join(f"{name} {rate}" for name, rate in rates.items()), flush=True)
    for name, bar in bars.items():
        if name not in sides:
            print(f"{name}: this device multiplies no bfloat16 in hardware, so there is no such row")
            continue
        agreed = check["bfloat16" if name == "bf16" else "float32"]
        common.report(
            f"{race_name}-{name}",
            given,
            ours=seconds[name],
            peer=seconds["recbole"],
            check=f"{what}: loss {agreed:.6f} here, {check['recbole']:.6f} in RecBole",
            unit="seconds per 1,000 targets",
            bar=bar,
            against="RecBole's defaults, anomaly detection off",
            targets_per_second=rates,
            ratio_as_shipped=round(rates[name] / rates["shipped"], 1) if "shipped" in rates else None,
            ratio_best_settings=round(rates[name] / rates["best"], 1),
            ratio_kept_memory=round(rates[name] / rates["kept"], 1),
            **more,
        )
