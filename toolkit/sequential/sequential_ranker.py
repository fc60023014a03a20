"""A sequential model as a ranker: built from a recipe's model entry, trained, saved and loaded."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch

from toolkit import devices
from toolkit.corpus.splits import HeldOut
from toolkit.encoders.contract.encoder import Encoder
from toolkit.errors import InputError
from toolkit.memory import free_memory
from toolkit.modality import Modality
from toolkit.parts import named
from toolkit.progress import over_epochs
from toolkit.ranker import Capabilities, TrainingData
from toolkit.recipe import Fusion, ModelSpec
from toolkit.recipe.fusion_section import modern
from toolkit.seeds import derived_seed
from toolkit.sequential import build_network
from toolkit.sequential.cold_rows import ColdRows
from toolkit.sequential.heads.neighbour_head import WEIGHTS, Neighbours
from toolkit.sequential.scoring.playlist_scorer import AskedModel
from toolkit.sequential.training import checkpoints, cooccurrence_start, distributed, memory_estimate
from toolkit.sequential.training.trainer import Trainer
from toolkit.topk import blocked_top_k

SELECTING = ("recall", "ndcg")
"""Metrics that `select` may name."""


class SequentialRanker(AskedModel):
    """Ranks tracks by a sequential model over ids, content or both, as an entry of a recipe's `models` describes it.

    titles: encoder of playlist titles, if `spec.titles` is set.
    curve: epoch, loss, seconds and validation metrics.
    """

    name: ClassVar[str] = "sequential"
    listed = False
    capabilities = Capabilities(
        content="optional",
        titles="optional",
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
            raise InputError("titles: true needs a `titles` encoder in the recipe")
        super().__init__(spec, fusion, titles if spec.titles else None)
        self.system = name
        self.curve: list[dict[str, float]] = []
        self.underfit = False
        self.cold: ColdRows | None = None
        self.predicted = np.zeros(0, np.int64)

    def fit(self, data: TrainingData) -> Self:
        """Train on `data.train`, stopping early by `spec.select` on `data.valid`; a killed fit resumes from `data.workdir`."""
        self._index = None
        device = devices.device(data.device)
        counts = data.train.counts()
        self._check_memory(data, counts, device)
        folder = (data.workdir or Path(tempfile.gettempdir())) if self.fusion.table_in == "file" else None
        self._build(data.modalities, counts, device=device, seed=data.seed, folder=folder)
        if self.spec.id_start == "cooccurrence":
            self._start_ids(
                cooccurrence_start.vectors(data.train, self.spec.hidden_size, seed=derived_seed(data.seed, "svd"))
            )
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
        progress = trainer.run()
        self.curve, self.underfit = progress.curve, trainer.underfit(progress)
        self._predict_cold()
        self.cold = None
        if self.neighbours is not None and valid is not None:
            self._weigh(self.neighbours, valid)
        return self

    def _build(
        self, modalities: dict[str, Modality], counts: np.ndarray, *, device: str, seed: int, folder: Path | None = None
    ) -> None:
        self.played = counts > 0
        made = build_network.build(
            self.spec, self.fusion, modalities, counts, title_dim=self._title_dim, seed=seed, folder=folder
        )
        self.model = made.to(device)
        self.cold = ColdRows(modalities, self.played) if self.spec.cold_rows == "predicted" else None
        self._open_gate(np.zeros(0, np.int64) if self.cold is None else self.cold.tracks)

    def _open_gate(self, tracks: np.ndarray) -> None:
        """Have free ids of those cold tracks, ids int64 [c], count as a trained one's do."""
        self.predicted = tracks
        self.model.id_gate[torch.from_numpy(tracks)] = 1.0

    def _predict_cold(self) -> None:
        """Put predicted free ids where cold tracks have none; what was made of the weights before is forgotten."""
        self.forget()
        if self.cold is not None:
            self.cold.fill(self.model.item_embedding.weight)

    @property
    def _title_dim(self) -> int:
        return self.title_encoder.dim if self.title_encoder is not None else 0

    def _check_memory(self, data: TrainingData, counts: np.ndarray, device: str) -> None:
        late = self.fusion.architecture == "late" and data.modalities
        streams = len(data.modalities) + self.fusion.id_embedding if late else 1
        positions = min(self.spec.batch_tokens, int(counts.sum())) // distributed.current().world
        memory_estimate.check(self.spec, len(counts) - 1, positions, free_memory(device), streams=streams)

    @torch.inference_mode()
    def _weigh(self, neighbours: Neighbours, valid: HeldOut) -> None:
        """Keep the weight whose ranking of `valid` is best, the smallest of equals."""
        queries, k, reached = valid.queries(), int(self.spec.select.partition("@")[2]), []
        self.neighbours = neighbours.weighing(1.0)
        states, matches, said = self._encode(queries)
        for weight in WEIGHTS:
            scorer = self._scorer(states, matches, None if said is None else said * np.float32(weight))
            ids, _ = blocked_top_k(scorer, queries, self.n_items, k, candidates=valid.candidates)
            reached.append(_measured(ids, valid, k)[self.spec.select])
        self.neighbours = neighbours.weighing(WEIGHTS[int(np.argmax(reached))])

    @torch.no_grad()
    def _start_ids(self, vectors: np.ndarray) -> None:
        """Put co-occurrence vectors where random ids were, at the same scale; too few playlists to have any leave those."""
        if not vectors.any():
            return
        rows = self.model.item_embedding.weight[: len(vectors)]
        scale = self.model.initializer_range / max(float(vectors[vectors.any(axis=1)].std()), 1e-12)
        rows.copy_(torch.from_numpy(vectors * scale))

    def _validate(self, valid: HeldOut) -> dict[str, float]:
        from toolkit.evaluation.evaluator import evaluate

        k = int(self.spec.select.partition("@")[2])
        self._predict_cold()
        values = evaluate(self, valid, ks=[k], metrics=SELECTING, train_counts=self.played).values
        return {f"{name}@{k}": float(np.nanmean(values["all", name, k])) for name in SELECTING}

    @property
    def reads_titles(self) -> bool:
        return self.title_encoder is not None

    @torch.inference_mode()
    def item_vectors(self, items: np.ndarray) -> np.ndarray:
        """What the head compares with a playlist: float32 [n, H]; rows of NaN for tracks that are not ranked."""
        self.model.eval()
        rows = torch.from_numpy(items.astype(np.int64)).to(self.device)
        vectors: np.ndarray = self.model.output_rows(rows, self.model.vectors(rows)).float().cpu().numpy()
        if not self.ranks_unplayed:
            vectors[~self.played[items]] = np.nan
        return vectors

    @torch.inference_mode()
    def modality_vectors(self, items: np.ndarray) -> dict[str, np.ndarray]:
        self.model.eval()
        table, rows = self.model.item_table, torch.from_numpy(items.astype(np.int64)).to(self.device)
        return (
            {name: table.modality(name, rows).float().cpu().numpy() for name in table.names}
            if table is not None
            else {}
        )

    def modality_weights(self) -> list[dict[str, Any]]:
        """What the model has learned that each modality weighs: rows of `modality`, `of`, `label`, `value`.

        of, and what the report calls it, label: of the join's shares, its mean share of a track's vector (`ItemTable.shares`); `stream`,
        the factor of its stack under late fusion, ids included; `match`, its weight in the match head. Empty where none is learned.
        """
        model, found = self.model, []
        if model.item_table is not None and (shares := model.item_table.fusion.join.shares) is not None:
            found += [(shares.of, shares.label, *pair) for pair in model.item_table.shares().items()]
        if model.late is not None:
            streams = [*(["(ids)"] if model.id_embedding else []), *model.item_table.names]
            found += [
                ("stream", "factor of its stack", *pair)
                for pair in zip(streams, model.late.weight.tolist(), strict=True)
            ]
        if model.match is not None:
            found += [("match", "weight in the match head", *pair) for pair in model.match.weights().items()]
        return [
            {"modality": name, "of": of, "label": label, "value": round(value, 6)} for of, label, name, value in found
        ]

    def apart(self, modality: str) -> bool:
        """Whether the model reads this modality apart from others, so that it can be shuffled."""
        return self.model.item_table is not None and modality in self.model.item_table.names

    def shuffle(self, modality: str, present: np.ndarray, *, seed: int) -> np.ndarray:
        """Deal one modality's vectors out anew among the tracks that have it, bool [V + 1]; whose each track got, int64 [V + 1].

        Permutation importance: Breiman 2001, "Random forests", section 10. What was filled in from it stays.
        """
        order = np.arange(len(present))
        order[present] = np.random.default_rng(seed).permutation(np.flatnonzero(present))
        dealt = torch.from_numpy(order).to(self.device)
        self.model.item_table.reorder(modality, dealt)
        if self.model.match is not None and modality in self.model.match.names:
            self.model.match.reorder(modality, dealt)
        self.forget()
        return order

    def save(self, directory: Path) -> None:
        """Weights and content as safetensors, the recipe's entries as JSON."""
        tensors = dict(self.model.state_dict()) | {"played": torch.from_numpy(self.played)}
        if len(self.predicted):
            tensors["predicted"] = torch.from_numpy(self.predicted)
        if self.neighbours is not None:
            tensors |= {
                f"neighbours.{part}": torch.from_numpy(getattr(self.neighbours, part)) for part in ("ids", "similarity")
            }
        modalities: dict[str, Any] = {}
        if self.model.item_table is not None:
            modalities = {
                name: int(self.model.item_table.content(name).shape[1]) for name in self.model.item_table.names
            }
        info = {
            "system": self.system,
            "spec": named("segue.models", self.spec).model_dump(mode="json"),
            "fusion": self.fusion.model_dump(mode="json"),
            "modalities": modalities,
            "neighbours": None if self.neighbours is None else self.neighbours.weight,
            "match": None if self.model.match is None else self.model.match.layout(),
            "title_dim": self._title_dim,
            "curve": self.curve,
            "underfit": self.underfit,
        }
        directory.mkdir(parents=True, exist_ok=True)
        if self.title_encoder is not None:
            self.title_encoder.save(directory / "titles")
            info["title_encoder"] = self.title_encoder.name
        checkpoints.write(directory / "model.safetensors", tensors, info)
        (directory / "model.json").write_text(json.dumps(info, indent=1) + "\n")

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        from toolkit.sequential.hybrid import ADVICE, AdvisedRanker

        if cls is SequentialRanker and (directory / ADVICE).is_dir():
            # written before `advised` was a ranker with a name of its own
            return cast(Self, AdvisedRanker.load(directory, device=device))
        tensors, info = checkpoints.read(directory / "model.safetensors")
        titles = _load_titles(info.get("title_encoder"), directory / "titles", device)
        spec, fusion = ModelSpec.saved(info["spec"]), Fusion.model_validate(modern(info["fusion"])[0])
        ranker = cls(spec, fusion, name=info["system"], titles=titles)
        # copies: a view of one tensor would keep the whole file mapped beside the model
        ranker.curve, ranker.underfit, ranker.played = (
            info["curve"],
            info["underfit"],
            tensors.pop("played").numpy().copy(),
        )
        predicted = tensors.pop("predicted").numpy().copy() if "predicted" in tensors else np.zeros(0, np.int64)
        if info["neighbours"] is not None:
            ids, similarity = (tensors.pop(f"neighbours.{part}").numpy().copy() for part in ("ids", "similarity"))
            ranker.neighbours = Neighbours(ids, similarity, info["neighbours"])
        ranker.model = build_network.blank(
            spec, fusion, info["modalities"], info["match"], played=ranker.played, title_dim=info["title_dim"]
        )
        ranker.model.load_state_dict(tensors)
        ranker._open_gate(predicted)
        ranker.model.to(devices.device(device)).eval()
        return ranker


def _measured(ids: np.ndarray, valid: HeldOut, k: int) -> dict[str, float]:
    """Mean of what models are selected by at k over rankings int [B, k] of held-out playlists."""
    from toolkit.contracts.metric import Block, named
    from toolkit.evaluation.metrics import hits

    hidden = valid.hidden()
    block = Block.of_hits(hits(ids, *hidden), np.diff(hidden[1]))
    return {f"{name}@{k}": float(np.mean(named(name).values(block, k))) for name in SELECTING}


def _load_titles(name: str | None, directory: Path, device: str) -> Encoder | None:
    if name is None:
        return None
    from toolkit import plugins

    encoder: Encoder = plugins.load("segue.encoders", name).load(directory, device=device)
    return encoder
