"""RecBole's unmodified SASRec and BERT4Rec, trained by RecBole's own trainer, as a reference for other models.

Zhao et al., "RecBole", CIKM 2021 (version 1.2.1, MIT). RecBole's defaults are kept: 300 epochs at most, batches of 2048
prefix rows, and early stopping on MRR@10 of the next track. Unplayed tracks remain in the softmax as negatives. They
are ranked by their random initial vector, which training pushes away, as in RecBole. Rankers with the same base model
and `workdir` are trained once.

`recbole-bert4rec-fixed` is the same trained model, queried correctly. RecBole drops the earliest track of every
playlist, so all playlists with one seed have the same ranking. The fixed ranker drops it only if the playlist exceeds
the window.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from toolkit import devices
from toolkit.baselines.baseline import Baseline, BaselineParams, State
from toolkit.contracts.learning import sample_rows
from toolkit.contracts.saved_arrays import finite
from toolkit.errors import InputError
from toolkit.files import parsed_json, write_json
from toolkit.memory import free_memory
from toolkit.packages import RECBOLE
from toolkit.parameters import Parameters
from toolkit.ranker import Capabilities, FitInputs, Scorer, TrainingData

if TYPE_CHECKING:
    import torch
    from recbole.model.abstract_recommender import SequentialRecommender

    from toolkit.corpus.queries import Queries
    from toolkit.corpus.splits import PlaylistSet
    from toolkit.sequential.recbole.bridge import Config

# RecBole is imported where it is used, so that a recipe with a stock baseline can be checked without it
QUERY_BLOCK = 512
SCORES_HELD = 4
"""Arrays of a step's scores that RecBole's loss holds at once, at least: scores, their logarithms, gradients of both.

4.5 were measured.
"""


SMALL = 1024
"""Size of a setting up to which a network is built without a saved array of that size."""


class StockTraining(BaselineParams):
    """Training settings of a stock model."""

    epochs: int = Field(300, ge=1)
    stopping_step: int = Field(10, ge=0, description="validations without improvement before training stops")
    train_batch_size: int = Field(2048, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    max_length: int = Field(50, ge=2)
    max_seconds: float | None = Field(
        None, gt=0, description="time limit for starting a step; the result is then marked underfit"
    )
    memory_gb: float = Field(
        8.0, gt=0, description="memory limit of RecBole's prefix rows, 628 bytes per entry at length 50"
    )

    def settings(self) -> dict[str, object]:
        """Return the settings with RecBole's names."""
        return {
            "epochs": self.epochs,
            "stopping_step": self.stopping_step,
            "train_batch_size": self.train_batch_size,
            "learning_rate": self.learning_rate,
            "MAX_ITEM_LIST_LENGTH": self.max_length,
        }


class StockParams(StockTraining):
    """Settings of a stock transformer. None keeps the model's default in RecBole."""

    hidden_size: int = Field(64, ge=2)
    layers: int = Field(2, ge=1)
    heads: int = Field(2, ge=1)
    inner_size: int = Field(256, ge=1)
    dropout: float | None = Field(None, ge=0, lt=1)
    attention_dropout: float | None = Field(None, ge=0, lt=1)

    def settings(self) -> dict[str, object]:
        named = {
            "hidden_size": self.hidden_size,
            "n_layers": self.layers,
            "n_heads": self.heads,
            "inner_size": self.inner_size,
            "hidden_dropout_prob": self.dropout,
            "attn_dropout_prob": self.attention_dropout,
        }
        return super().settings() | {key: value for key, value in named.items() if value is not None}


class StockRanker(Baseline):
    """Base class of RecBole's models under RecBole's own trainer, with the model's state_dict as fitted state.

    `curve` has loss, validation (MRR@10 of the next track), its hits and seconds for each epoch.
    """

    capabilities = Capabilities(playlist_tracks=2, kind="neural")
    requires = (RECBOLE,)
    Params: ClassVar[type[Parameters]] = StockParams
    base: ClassVar[Literal["SASRec", "BERT4Rec", "GRU4Rec"]]

    def __init__(self, **params: object) -> None:
        super().__init__(**params)
        if self.params.hidden_size % getattr(self.params, "heads", 1):
            raise InputError(
                f"{self.name}: hidden_size={self.params.hidden_size} must be a multiple of heads={self.params.heads}:"
                " change hidden_size"
            )
        self.underfit = False
        self.curve: list[dict[str, float]] = []
        self._device = "cpu"
        self._built: SequentialRecommender | None = None

    def fit(self, data: TrainingData) -> Self:
        """Train, or resume from a checkpoint in `data.workdir` with the same parameters, seed and data.

        Raises `InputError` if no playlist has two tracks, if the prefix rows require more memory than `memory_gb`, or
        if a step requires more than the free memory.
        """
        self._device, self._built = devices.device(data.device), None
        return super().fit(data)

    def learn(self, data: TrainingData) -> State:
        import torch

        from toolkit.baselines.stock.stock_training import StockTrainer
        from toolkit.sequential.recbole import bridge
        from toolkit.sequential.recbole.prefix_rows import loaders

        with bridge.seeded(data.seed), tempfile.TemporaryDirectory() as folder:
            config = self._config(data.n_items, seed=data.seed % 2**31, checkpoint_dir=folder)
            train, valid = loaders(config, data.train, data.valid, memory_gb=self.params.memory_gb)
            model = self._build(config, data.n_items)
            path = None if data.workdir is None else data.workdir / f"{self.base.lower()}.safetensors"
            trainer = StockTrainer(
                config,
                model,
                known=torch.from_numpy(data.train.counts() > 0),
                identity=self._identity(data),
                path=path,
                max_seconds=self.params.max_seconds,
                clock=data.clock,
                on_step=data.progress,
            )
            trainer.run(train, valid)
        self.underfit, self.curve = trainer.underfit, trainer.curve
        played = np.flatnonzero(data.train.counts())
        vectors = model.item_embedding.weight.detach()[torch.from_numpy(played[sample_rows(len(played))])]
        self.learning = trainer.learning.of_vectors(vectors.cpu().numpy())
        return {name: tensor.cpu().numpy() for name, tensor in model.state_dict().items()}

    def _config(self, n_items: int, **more: object) -> Config:
        from toolkit.sequential.recbole import bridge

        # with RecBole's 4096 rows the scores of a large catalogue do not fit; the metric is the same
        rows = max(1, min(4096, 2**25 // (n_items + 1)))
        settings = {**self.params.settings(), "eval_batch_size": rows, **more}
        return bridge.config(getattr(bridge, self.base), settings=settings, device=self._device)

    def _build(self, config: Config, n_items: int) -> SequentialRecommender:
        from toolkit.sequential.recbole import bridge

        return getattr(bridge, self.base)(config, bridge.CatalogueSize(n_items)).to(config["device"])

    def _identity(self, data: TrainingData) -> str:
        """Return a hash of everything that the weights after an epoch depend on."""
        settings = self.params.model_dump(exclude={"epochs", "max_seconds", "memory_gb"})
        digest = hashlib.blake2b(
            json.dumps([self.base, data.seed, data.n_items, settings], sort_keys=True).encode(), digest_size=16
        )
        held = () if data.valid is None else (data.valid.rows, data.valid.starts, data.valid.cuts)
        for array in (*data.train.flat(), *held):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @property
    def model(self) -> SequentialRecommender:
        """RecBole's model with the fitted weights, in evaluation mode."""
        if self._built is None:
            import torch

            from toolkit.sequential.recbole import bridge

            with bridge.seeded(0):
                self._built = self._build(self._config(self.n_items), self.n_items)
            self._built.load_state_dict({name: torch.from_numpy(array) for name, array in self.state.items()})
            self._built.eval()
        return self._built

    def scorer(self, queries: Queries) -> Scorer:
        """Return a scorer by the model's state after the last `max_length` seeds; -inf for unreadable queries."""
        import torch

        weight, bias = self.model.item_embedding.weight.detach(), getattr(self.model, "output_bias", None)
        hidden, readable = self._encode(queries)

        def score(items: np.ndarray) -> np.ndarray:
            chosen = torch.from_numpy(np.ascontiguousarray(items, dtype=np.int64)).to(weight.device)
            scores = hidden @ weight[chosen].T
            if bias is not None:
                scores += bias.detach()[chosen]
            scores[~readable] = -torch.inf
            return scores.cpu().numpy()

        return score

    def _encode(self, queries: Queries) -> tuple[torch.Tensor, torch.Tensor]:
        """Return hidden states float32 [B, H], and which queries the model can read, bool [B]."""
        import torch

        ids, lengths = queries.last(self.params.max_length)
        device = self.model.item_embedding.weight.device
        readable = self._readable(lengths)
        hidden = torch.zeros(len(ids), self.model.item_embedding.weight.shape[1], device=device)
        with torch.no_grad():
            for start in range(0, len(ids), QUERY_BLOCK):
                rows = start + np.flatnonzero(readable[start : start + QUERY_BLOCK])
                if len(rows):
                    block = torch.from_numpy(ids[rows]).to(device), torch.from_numpy(lengths[rows]).to(device)
                    hidden[torch.from_numpy(rows).to(device)] = self._states(*block)
        return hidden, torch.from_numpy(readable).to(device)

    def _readable(self, lengths: np.ndarray) -> np.ndarray:
        return np.asarray(lengths > 0)

    @property
    def _targets(self) -> int:
        """Number of targets of a row, each scored against the whole catalogue."""
        return 1

    def memory_problem(self, train: PlaylistSet, device: str) -> str:
        """Return a message if a step exceeds the free memory, by a lower bound. See `Ranker.memory_problem`."""
        n_items = train.corpus.n_items
        rows = min(self.params.train_batch_size, int(np.maximum(train.lengths - 1, 0).sum()))
        need, free = SCORES_HELD * 4 * rows * self._targets * n_items, free_memory(devices.device(device))
        if need <= free:
            return ""
        fits = max(1, self.params.train_batch_size * free // (2 * need))
        return (
            f"the scores of train_batch_size={self.params.train_batch_size} rows over {n_items:,} tracks take at least"
            f" {need / 1e9:.1f} GB in RecBole's loss, but {free / 1e9:.1f} are free: reduce train_batch_size to {fits}"
        )

    def input_problem(self, inputs: FitInputs) -> str:
        """Return a message if the prefix rows exceed `memory_gb`. See `Ranker.input_problem`."""
        from toolkit.sequential.recbole.prefix_rows import memory_problem

        return memory_problem(inputs.train, self.params.max_length, self.params.memory_gb)

    @abstractmethod
    def _states(self, items: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return hidden states like the model's own `full_sort_predict`: [B, T], [B] -> [B, H]."""

    def save(self, directory: Path) -> None:
        super().save(directory)
        write_json(directory / "training.json", {"underfit": self.underfit, "curve": self.curve})

    def restore(self, directory: Path, *, device: str) -> None:
        about = parsed_json(directory / "training.json")
        self.underfit, self.curve = bool(about["underfit"]), list(about["curve"])
        self._device = devices.device(device)
        self._check_sizes()

    def _check_sizes(self) -> None:
        """Raise `ValueError` if a network would be larger than its saved weights, or if a weight is not finite."""
        rows, width = self.state["item_embedding.weight"].shape
        sizes = (self.params.hidden_size, getattr(self.params, "embedding_size", None))
        if width not in sizes or not self.n_items < rows <= self.n_items + 2:
            raise ValueError(f"{rows:,} vectors of {width} numbers do not fit {self.n_items:,} tracks")
        largest = max(len(self.state), *(size for array in self.state.values() for size in array.shape))
        for name in ("max_length", "hidden_size", "embedding_size", "inner_size", "layers"):
            if getattr(self.params, name, 0) > max(largest, SMALL):
                raise ValueError(f"{name}={getattr(self.params, name)} is not a size of the saved weights")
        for name, array in self.state.items():
            if not finite(array):
                raise ValueError(f"{name} must have finite values")
        assert self.model, "the weights fit the network"


class StockSASRec(StockRanker):
    """Ranks tracks by RecBole's unmodified SASRec.

    Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018.
    """

    name = "recbole-sasrec"
    base = "SASRec"

    def _states(self, items: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.model.forward(items, lengths)
        return states


class StockBERT4Rec(StockRanker):
    """Ranks tracks by RecBole's unmodified BERT4Rec, which drops the earliest seed.

    Sun et al., "BERT4Rec", CIKM 2019.
    """

    name = "recbole-bert4rec"
    base = "BERT4Rec"

    def __init__(self, **params: object) -> None:
        super().__init__(**params)
        if self.params.max_length < 5:
            raise InputError(
                f"{self.name}: max_length={self.params.max_length} must be at least 5, because RecBole masks"
                " int(0.2 * max_length) tracks: raise max_length"
            )

    def input_problem(self, inputs: FitInputs) -> str:
        from toolkit.sequential.recbole.prefix_rows import masking_problem

        return masking_problem(inputs.train, self.params.max_length) or super().input_problem(inputs)

    @property
    def _targets(self) -> int:
        return int(0.2 * self.params.max_length)

    def _states(self, items: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        masked = self.model.reconstruct_test_data(items, lengths)
        states: torch.Tensor = self.model.gather_indexes(self.model.forward(masked), lengths - 1)
        return states


class FixedBERT4Rec(StockBERT4Rec):
    """Ranks tracks by RecBole's BERT4Rec, queried with every seed that fits.

    The mask comes after the last seed. If `recbole-bert4rec` is fitted with the same parameters in the same run, its
    model is reused without further training.
    """

    name = "recbole-bert4rec-fixed"
    capabilities = replace(StockRanker.capabilities, shares_training_of=StockBERT4Rec.name)

    def learn(self, data: TrainingData) -> State:
        trained = next((ranker for ranker in data.systems.values() if isinstance(ranker, StockBERT4Rec)), None)
        if trained is None:
            return super().learn(data)
        self.underfit, self.curve, self.learning = trained.underfit, trained.curve, trained.learning
        return trained.state

    def _readable(self, lengths: np.ndarray) -> np.ndarray:
        return np.ones(len(lengths), bool)

    def _states(self, items: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        import torch

        kept = lengths.clamp(max=self.params.max_length - 1)
        columns = torch.arange(min(items.shape[1] + 1, self.params.max_length), device=items.device)[None]
        source = (columns + (lengths - kept)[:, None]).clamp(max=items.shape[1] - 1)
        shifted = items.gather(1, source) * (columns < kept[:, None])
        masked = shifted.masked_fill(columns == kept[:, None], self.model.mask_token)
        states: torch.Tensor = self.model.gather_indexes(self.model.forward(masked), kept)
        return states
