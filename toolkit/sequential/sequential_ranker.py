"""Ranker by a sequential model, built from a recipe's model entry, trained, saved and loaded."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self, cast

import numpy as np
import torch

from toolkit import devices
from toolkit.contracts.learning import sample_rows
from toolkit.corpus.splits import HeldOut
from toolkit.encoders.contract.encoder import Encoder
from toolkit.errors import InputError
from toolkit.evaluation.choose_weight import choose_weight
from toolkit.memory import free_memory
from toolkit.modality import Modality
from toolkit.progress import over_epochs
from toolkit.ranker import Capabilities, FitInputs, ModalityWeight, TrainingData, checked
from toolkit.recipe import Fusion, ModelSpec
from toolkit.seeds import derived_seed
from toolkit.sequential import build_network
from toolkit.sequential.cold_rows import ColdRows
from toolkit.sequential.heads.neighbour_head import WEIGHTS, Neighbours
from toolkit.sequential.saved_ranker import read_ranker, write_ranker
from toolkit.sequential.scoring.playlist_scorer import PlaylistScorer, encoded_once
from toolkit.sequential.training import check_learning, cooccurrence_start, distributed, memory_estimate
from toolkit.sequential.training.trainer import Trainer
from toolkit.topk import blocked_top_k

SELECTING = ("recall", "ndcg")
"""Metrics that `select` may name."""


class SequentialRanker(PlaylistScorer):
    """Ranks tracks by a sequential model over ids, content or both, as an entry of a recipe's `models` describes it.

    - titles: encoder of playlist titles, if `spec.titles` is set.
    - curve: a row for each epoch with epoch, loss, seconds, validation metrics, and the values of
      `early_stopping.counted`.
    - learning: record of the training, with the vectors of played tracks.
    - known: bool [V + 1], tracks that the last fit learned about, by their id or by content.
    """

    name: ClassVar[str] = "sequential"
    listed = False
    capabilities = Capabilities(
        content="optional",
        titles="optional",
        playlist_tracks=2,
        cold_tracks=True,
        attributable=True,
        embeds=True,
        distributed=True,
        kind="neural",
    )

    def __init__(
        self, spec: ModelSpec, fusion: Fusion, *, name: str = "sequential", titles: Encoder | None = None
    ) -> None:
        if spec.titles and titles is None:
            raise InputError("`titles: true` requires a title encoder: add `titles` to the recipe")
        super().__init__(spec, fusion, titles if spec.titles else None)
        self.system = name
        self.curve: list[dict[str, float]] = []
        self.underfit = False
        self.known = np.zeros(0, bool)
        self.cold: ColdRows | None = None
        self.predicted = np.zeros(0, np.int64)

    def fit(self, data: TrainingData) -> Self:
        """Train on `data.train`, with early stopping by `spec.select` on `data.valid`.

        A killed fit resumes from `data.workdir`.
        """
        self._index = None
        device, counts = devices.device(data.device), checked(self, data).train.counts()
        folder = (data.workdir or Path(tempfile.gettempdir())) if self.fusion.table_in == "file" else None
        self._build(data.modalities, counts, device=device, seed=data.seed, folder=folder)
        if self.spec.id_start == "cooccurrence":
            seed = derived_seed(data.seed, "svd")
            self.model.space.start_ids(cooccurrence_start.vectors(data.train, self.spec.hidden_size, seed=seed))
        if self.spec.neighbours and distributed.current().leads:
            self.neighbours = Neighbours.of(data.train.matrix(), self.spec.neighbours)
        titles = self._titles(data.train.titles()) if self.title_encoder is not None else None
        valid = data.valid
        trainer = Trainer(
            self.model,
            data.train,
            self.spec,
            seed=data.seed,
            device=device,
            validate=None if valid is None else lambda: self._validate(valid),
            titles=titles,
            workdir=data.workdir,
            clock=data.clock,
            on_step=None if data.progress is None else over_epochs(data.progress),
        )
        start = check_learning.start(trainer.steps)
        progress = trainer.run()
        self.curve, self.underfit = progress.curve, progress.underfit(self.spec)
        if distributed.current().leads:  # it alone has the best weights
            learning = check_learning.learning(trainer.steps, start, seed=data.seed)
            played = np.flatnonzero(self.played)
            vectors = self.item_vectors(played[sample_rows(len(played))])
            free_ids = self.fusion.id_embedding
            self.learning = check_learning.of_items(learning, vectors, data.modalities, free_ids=free_ids)
        self._predict_cold()
        self.cold = None
        if self.neighbours is not None and valid is not None:
            self._weight_neighbours(self.neighbours, valid)
        return self

    def _build(
        self, modalities: dict[str, Modality], counts: np.ndarray, *, device: str, seed: int, folder: Path | None = None
    ) -> None:
        self.played = counts > 0
        self.model = build_network.build(
            self.spec, self.fusion, modalities, counts, title_dim=self._title_dim, seed=seed, folder=folder
        ).to(device)
        self.cold = ColdRows(modalities, self.played) if self.spec.cold_rows == "predicted" else None
        self.predicted = np.zeros(0, np.int64) if self.cold is None else self.cold.tracks
        self.model.space.open_gate(self.predicted)
        # RecBole's models also rank unplayed tracks, by vectors that are random at first and pushed away in training
        read = [] if self.spec.ranks_every_id or not self.ranks_unplayed else list(modalities.values())
        self.known = np.any([self.played, *(modality.present for modality in read)], axis=0)

    def _predict_cold(self) -> None:
        """Predict the free ids of cold tracks from the current weights."""
        self.forget()
        if self.cold is not None:
            self.cold.fill(self.model.space.ids.weight)

    @property
    def _title_dim(self) -> int:
        return self.title_encoder.dim if self.title_encoder is not None else 0

    def input_problem(self, inputs: FitInputs) -> str:
        if problem := build_network.problem(self.spec, self.fusion, inputs.modalities, inputs.counts > 0):
            return problem
        counts, late = inputs.counts, self.fusion.architecture == "late" and inputs.modalities
        streams = len(inputs.modalities) + self.fusion.id_embedding if late else 1
        positions = min(self.spec.batch_tokens, int(counts.sum())) // distributed.current().world
        free = free_memory(devices.device(inputs.device))
        return memory_estimate.problem(self.spec, len(counts) - 1, positions, free, streams=streams)

    @torch.inference_mode()
    def _weight_neighbours(self, neighbours: Neighbours, valid: HeldOut) -> None:
        """Set the neighbours' weight with the best ranking of `valid`. Ties are broken by the smaller weight."""
        queries, k = valid.queries(), int(self.spec.select.partition("@")[2])
        self.neighbours = replace(neighbours, weight=1.0)
        states, matches, near = self._encode(queries)

        def value(weight: float) -> float:
            scorer = self._scorer(states, matches, None if near is None else near * np.float32(weight))
            ids, _ = blocked_top_k(scorer, queries, self.n_items, k, candidates=valid.candidates)
            return _measured(ids, valid, k)[self.spec.select]

        self.neighbours = replace(neighbours, weight=choose_weight(WEIGHTS, value))

    def _validate(self, valid: HeldOut) -> dict[str, float]:
        from toolkit.evaluation.evaluator import evaluate
        from toolkit.evaluation.log_rank import HitCount

        k = int(self.spec.select.partition("@")[2])
        self._predict_cold()
        count = HitCount(self, k, self.known)
        with encoded_once(self):
            scored = evaluate(self, valid, ks=[k], metrics=SELECTING, train_counts=self.played, watch=count.add)
        measured = {f"{name}@{k}": float(np.nanmean(scored.values["all", name, k])) for name in SELECTING}
        return measured | count.values()

    @property
    def reads_titles(self) -> bool:
        return self.title_encoder is not None

    @torch.inference_mode()
    def item_vectors(self, items: np.ndarray) -> np.ndarray:
        """Return the item vectors that the head uses: float32 [n, H], NaN for tracks that are not ranked."""
        self.model.eval()
        rows = torch.from_numpy(items.astype(np.int64)).to(self.device)
        vectors = self.model.space.output_rows(rows).float().cpu().numpy()
        if not self.ranks_unplayed:
            vectors[~self.played[items]] = np.nan
        return vectors

    @torch.inference_mode()
    def modality_vectors(self, items: np.ndarray) -> dict[str, np.ndarray]:
        self.model.eval()
        table, rows = self.model.space.table, torch.from_numpy(items.astype(np.int64)).to(self.device)
        names = [] if table is None else table.names
        return {name: table.modality(name, rows).float().cpu().numpy() for name in names if table is not None}

    def modality_weights(self) -> list[ModalityWeight]:
        """Return the learned weights of the modalities (see `ItemSpace.weights`), or an empty list."""
        return [
            {"modality": name, "of": of, "label": label, "value": round(value, 6)}
            for of, label, name, value in self.model.space.weights()
        ]

    def apart(self, modality: str) -> bool:
        table = self.model.space.table
        return table is not None and modality in table.names

    def shuffle(self, modality: str, present: np.ndarray, *, seed: int) -> np.ndarray:
        """Permute the vectors of a modality among the tracks that have it.

        - present: bool [V + 1], tracks that have the modality.

        Returns int64 [V + 1], the track that each track's new vector comes from. Values imputed from the modality are
        not recomputed. Permutation importance: Breiman 2001, "Random forests", section 10.
        """
        order = np.arange(len(present))
        order[present] = np.random.default_rng(seed).permutation(np.flatnonzero(present))
        self.model.space.reorder(modality, torch.from_numpy(order).to(self.device))
        self.forget()
        return order

    def save(self, directory: Path) -> None:
        """Write weights and content as safetensors, and the recipe's entries as JSON."""
        write_ranker(self, directory)

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        from toolkit.sequential.hybrid import ADVICE, AdvisedRanker

        if cls is SequentialRanker and (directory / ADVICE).is_dir():
            # written before `advised` was a ranker with a name of its own
            return cast(Self, AdvisedRanker.load(directory, device=device))
        return read_ranker(cls, directory, device=device)


def _measured(ids: np.ndarray, valid: HeldOut, k: int) -> dict[str, float]:
    """Return the mean of the selection metrics at k over rankings int [B, k] of held-out playlists."""
    from toolkit.contracts.metric import Block, named
    from toolkit.evaluation.metrics import hits

    hidden = valid.hidden()
    block = Block.of_hits(hits(ids, *hidden), np.diff(hidden[1]))
    return {f"{name}@{k}": float(np.mean(named(name).values(block, k))) for name in SELECTING}
