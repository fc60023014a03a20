"""Types of the classes in `segue.rankers`, written by `python -m segue.type_stubs`. Do not edit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from segue.model_kinds import RankerModel as RankerModel
from segue.model import Model as Model
from segue.model_kinds import SequentialModel as SequentialModel
from segue.modalities import Modality
from toolkit.contracts.join import Join
from toolkit.contracts.loss import Loss
from toolkit.contracts.missing_policy import Missing

__all__ = [
    "AdvisedRanker",
    "ArtistPopularity",
    "AttributeKNN",
    "BERT4Rec",
    "Coin",
    "ContentCentroid",
    "ContentMix",
    "ContentPrior",
    "ContentUser",
    "EASE",
    "FactorUpperBound",
    "FixedBERT4Rec",
    "Forest",
    "GRU4Rec",
    "GenreCentroid",
    "GenrePopularity",
    "HSTU",
    "HierarchicalHybrid",
    "HierarchicalLinear",
    "IALS",
    "IdItem",
    "ItemKNN",
    "JointNetwork",
    "LateFusion",
    "LiGR",
    "MLP",
    "MLR",
    "Markov",
    "OneHalf",
    "PMF",
    "Popularity",
    "PredictedFactors",
    "PredictedForAll",
    "RandomEmbeddings",
    "RandomFactors",
    "RandomOrder",
    "Ridge",
    "SASRec",
    "STAN",
    "SameArtist",
    "SequentialRanker",
    "SessionKNN",
    "StockBERT4Rec",
    "StockGRU4Rec",
    "StockSASRec",
    "TitleKNN",
    "TitleMix",
    "TotalPopularity",
    "TransRec",
    "TransRecGlobal",
    "TwoStage",
    "TwoTower",
    "UpperBound",
    "VSKNN",
    "VSTAN",
]

class AdvisedRanker(RankerModel):
    """Ranks tracks by a sequential model plus a cold-start system, with a weight chosen on validation."""

    def __init__(
        self,
        *,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class ArtistPopularity(RankerModel):
    """Ranks tracks of the seeds' artists, the most played first."""

    def __init__(
        self,
        *,
        power: float = ...,
        idf: bool = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class AttributeKNN(RankerModel):
    """Ranks tracks that share attributes, such as tags, with the seeds."""

    def __init__(
        self,
        *,
        neighbours: int = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class BERT4Rec(SequentialModel):
    """Bidirectional transformer over ids and content, trained to predict masked tracks (RecBole's BERT4Rec)."""

    def __init__(
        self,
        *,
        train: Literal['frozen', 'finetune', 'warmup'] = ...,
        warmup_epochs: int = ...,
        head: Literal['tied', 'untied'] = ...,
        cold_rows: Literal['none', 'content', 'predicted'] = ...,
        cold_system: str | None = ...,
        loss: Loss | str | Mapping[str, object] = ...,
        popularity: bool = ...,
        id_start: Literal['cooccurrence', 'random'] = ...,
        match: bool = ...,
        neighbours: int = ...,
        match_weights: Literal['first', 'joint'] = ...,
        hidden_size: int = ...,
        max_length: int = ...,
        dropout: float = ...,
        shuffle: bool = ...,
        windows: Literal['overlap', 'disjoint'] = ...,
        epochs: int = ...,
        patience: int = ...,
        select: str = ...,
        batch_tokens: int = ...,
        lr: float = ...,
        adam: Literal['dense', 'rows'] = ...,
        weight_decay: float = ...,
        average: bool = ...,
        bf16: Literal['auto', 'on', 'off'] = ...,
        mask_ratio: float = ...,
        last_item_epochs: int = ...,
        layers: int = ...,
        heads: int = ...,
        inner_size: int | None = ...,
        attention_dropout: float = ...,
        initialisation: Literal['auto', 'identity', 'xavier', 'recbole'] = ...,
        strict_recbole: bool = ...,
        architecture: Literal['early', 'late'] = ...,
        late_norm: Literal['sum', 'each'] = ...,
        regularise: bool = ...,
        missing: Missing | str | Mapping[str, object] = ...,
        reduce: str | Mapping[str, str] = ...,
        reduce_joint: str = ...,
        normalise: Literal['none', 'before', 'after'] = ...,
        join: Join | str | Mapping[str, object] = ...,
        id_embedding: bool = ...,
        id_dropout: float = ...,
        modality_dropout: float = ...,
        table: Literal['float32', 'bfloat16', 'int8'] = ...,
        table_in: Literal['memory', 'file'] = ...,
        match_modalities: Sequence[str] | None = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
        title_encoder: str | None = ...,
    ) -> None: ...

class Coin(RankerModel):
    """Ranks tracks by 0 or 1 drawn at random, as a reference for RMSE. The order of equal tracks has no meaning."""

    def __init__(
        self,
        *,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class ContentCentroid(RankerModel):
    """Ranks tracks by how close their content is to the mean content of the seeds."""

    def __init__(
        self,
        *,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class ContentMix(RankerModel):
    """Ranks tracks by item-kNN, genre and artist together, with weights chosen on validation."""

    def __init__(
        self,
        *,
        neighbours: int | None = ...,
        shrink: float = ...,
        genre: float | None = ...,
        artist: float | None = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class ContentPrior(RankerModel):
    """Ranks tracks by factors whose prior is predicted from content; new tracks by the prediction alone."""

    def __init__(
        self,
        *,
        factors: Mapping[str, object] | None = ...,
        user_ridge: float = ...,
        item_ridge: float = ...,
        content_ridge: float = ...,
        iterations: int = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class ContentUser(RankerModel):
    """Ranks tracks by the cosine or inner product of a user's vector and a vector computed from the track's audio."""

    def __init__(
        self,
        *,
        width: int = ...,
        score: Literal['cosine', 'dot'] = ...,
        loss: Literal['margin', 'softmax'] = ...,
        margin: float = ...,
        negatives: int = ...,
        lr: float = ...,
        decay: float = ...,
        epochs: int = ...,
        batch: int = ...,
        filters: Sequence[int] = ...,
        kernel: int = ...,
        pool: int = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class EASE(RankerModel):
    """Ranks tracks by EASE, a linear item-item model with a closed-form solution."""

    def __init__(
        self,
        *,
        regularisation: float = ...,
        form: Literal['auto', 'primal', 'dual', 'low-rank'] = ...,
        max_size: int = ...,
        rank: int = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class FactorUpperBound(RankerModel):
    """Ranks tracks by factors of the whole corpus, including hidden tracks, as an oracle."""

    def __init__(
        self,
        *,
        factors: Mapping[str, object] | None = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class FixedBERT4Rec(RankerModel):
    """Ranks tracks by RecBole's BERT4Rec, queried with every seed that fits."""

    def __init__(
        self,
        *,
        epochs: int = ...,
        stopping_step: int = ...,
        train_batch_size: int = ...,
        learning_rate: float = ...,
        max_length: int = ...,
        max_seconds: float | None = ...,
        memory_gb: float = ...,
        hidden_size: int = ...,
        layers: int = ...,
        heads: int = ...,
        inner_size: int = ...,
        dropout: float | None = ...,
        attention_dropout: float | None = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class Forest(RankerModel):
    """Ranks new tracks by factors that a random forest predicts from one modality."""

    def __init__(
        self,
        *,
        factors: Mapping[str, object] | None = ...,
        trees: int = ...,
        max_depth: int | None = ...,
        columns: float = ...,
        leaf: int = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class GRU4Rec(SequentialModel):
    """Gated recurrent network over ids and content, trained to predict every next track (RecBole's GRU4Rec)."""

    def __init__(
        self,
        *,
        train: Literal['frozen', 'finetune', 'warmup'] = ...,
        warmup_epochs: int = ...,
        head: Literal['tied', 'untied'] = ...,
        cold_rows: Literal['none', 'content', 'predicted'] = ...,
        cold_system: str | None = ...,
        loss: Loss | str | Mapping[str, object] = ...,
        popularity: bool = ...,
        id_start: Literal['cooccurrence', 'random'] = ...,
        match: bool = ...,
        neighbours: int = ...,
        match_weights: Literal['first', 'joint'] = ...,
        hidden_size: int = ...,
        max_length: int = ...,
        dropout: float = ...,
        shuffle: bool = ...,
        windows: Literal['overlap', 'disjoint'] = ...,
        epochs: int = ...,
        patience: int = ...,
        select: str = ...,
        batch_tokens: int = ...,
        lr: float = ...,
        adam: Literal['dense', 'rows'] = ...,
        weight_decay: float = ...,
        average: bool = ...,
        bf16: Literal['auto', 'on', 'off'] = ...,
        layers: int = ...,
        inner_size: int | None = ...,
        architecture: Literal['early', 'late'] = ...,
        late_norm: Literal['sum', 'each'] = ...,
        regularise: bool = ...,
        missing: Missing | str | Mapping[str, object] = ...,
        reduce: str | Mapping[str, str] = ...,
        reduce_joint: str = ...,
        normalise: Literal['none', 'before', 'after'] = ...,
        join: Join | str | Mapping[str, object] = ...,
        id_embedding: bool = ...,
        id_dropout: float = ...,
        modality_dropout: float = ...,
        table: Literal['float32', 'bfloat16', 'int8'] = ...,
        table_in: Literal['memory', 'file'] = ...,
        match_modalities: Sequence[str] | None = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
        title_encoder: str | None = ...,
    ) -> None: ...

class GenreCentroid(RankerModel):
    """Ranks new tracks by the mean factors of their genres."""

    def __init__(
        self,
        *,
        factors: Mapping[str, object] | None = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class GenrePopularity(RankerModel):
    """Ranks tracks of the seeds' genres, the most played first."""

    def __init__(
        self,
        *,
        power: float = ...,
        idf: bool = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class HSTU(SequentialModel):
    """Hierarchical sequential transduction units (HSTU), gated attention without softmax."""

    def __init__(
        self,
        *,
        train: Literal['frozen', 'finetune', 'warmup'] = ...,
        warmup_epochs: int = ...,
        head: Literal['tied', 'untied'] = ...,
        cold_rows: Literal['none', 'content', 'predicted'] = ...,
        cold_system: str | None = ...,
        loss: Loss | str | Mapping[str, object] = ...,
        popularity: bool = ...,
        id_start: Literal['cooccurrence', 'random'] = ...,
        match: bool = ...,
        neighbours: int = ...,
        match_weights: Literal['first', 'joint'] = ...,
        hidden_size: int = ...,
        max_length: int = ...,
        dropout: float = ...,
        shuffle: bool = ...,
        windows: Literal['overlap', 'disjoint'] = ...,
        epochs: int = ...,
        patience: int = ...,
        select: str = ...,
        batch_tokens: int = ...,
        lr: float = ...,
        adam: Literal['dense', 'rows'] = ...,
        weight_decay: float = ...,
        average: bool = ...,
        bf16: Literal['auto', 'on', 'off'] = ...,
        layers: int = ...,
        heads: int = ...,
        architecture: Literal['early', 'late'] = ...,
        late_norm: Literal['sum', 'each'] = ...,
        regularise: bool = ...,
        missing: Missing | str | Mapping[str, object] = ...,
        reduce: str | Mapping[str, str] = ...,
        reduce_joint: str = ...,
        normalise: Literal['none', 'before', 'after'] = ...,
        join: Join | str | Mapping[str, object] = ...,
        id_embedding: bool = ...,
        id_dropout: float = ...,
        modality_dropout: float = ...,
        table: Literal['float32', 'bfloat16', 'int8'] = ...,
        table_in: Literal['memory', 'file'] = ...,
        match_modalities: Sequence[str] | None = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
        title_encoder: str | None = ...,
    ) -> None: ...

class HierarchicalHybrid(RankerModel):
    """Ranks tracks by a hierarchical linear model of content and factors; new tracks by their content alone."""

    def __init__(
        self,
        *,
        ridges: Sequence[float] = ...,
        negatives: float = ...,
        iterations: int = ...,
        k: int = ...,
        factor_ridges: Sequence[float] = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class HierarchicalLinear(RankerModel):
    """Ranks tracks that have content, played or not, by a hierarchical linear model of the content."""

    def __init__(
        self,
        *,
        ridges: Sequence[float] = ...,
        negatives: float = ...,
        iterations: int = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class IALS(RankerModel):
    """Ranks tracks by implicit matrix factorisation (iALS)."""

    def __init__(
        self,
        *,
        k: int = ...,
        weight: float = ...,
        regularisation: float = ...,
        iterations: int = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class IdItem(RankerModel):
    """Ranks played tracks by the cosine or inner product of learned vectors of users and tracks."""

    def __init__(
        self,
        *,
        width: int = ...,
        score: Literal['cosine', 'dot'] = ...,
        loss: Literal['margin', 'softmax'] = ...,
        margin: float = ...,
        negatives: int = ...,
        lr: float = ...,
        decay: float = ...,
        epochs: int = ...,
        batch: int = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class ItemKNN(RankerModel):
    """Ranks tracks that share many training playlists with the seeds."""

    def __init__(
        self,
        *,
        neighbours: int | None = ...,
        shrink: float = ...,
        max_entries: int = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class JointNetwork(RankerModel):
    """Ranks new tracks by factors that one network predicts from a spectrogram and other modalities."""

    def __init__(
        self,
        *,
        factors: Mapping[str, object] | None = ...,
        epochs: int = ...,
        batch: int = ...,
        lr: float = ...,
        dropout: float = ...,
        loss: Literal['cosine', 'squared'] = ...,
        spectrogram: str = ...,
        bins: int = ...,
        filters: Sequence[int] = ...,
        kernel: int = ...,
        pool: int = ...,
        hidden: Sequence[int] = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class LateFusion(RankerModel):
    """Ranks new tracks by factors that a linear layer predicts from the embeddings of all modalities."""

    def __init__(
        self,
        *,
        factors: Mapping[str, object] | None = ...,
        epochs: int = ...,
        batch: int = ...,
        lr: float = ...,
        dropout: float = ...,
        loss: Literal['cosine', 'squared'] = ...,
        hidden: int | None = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class LiGR(SequentialModel):
    """Transformer of eSASRec, pre-norm blocks with gated residuals (LiGR) and a SwiGLU feed-forward layer."""

    def __init__(
        self,
        *,
        train: Literal['frozen', 'finetune', 'warmup'] = ...,
        warmup_epochs: int = ...,
        head: Literal['tied', 'untied'] = ...,
        cold_rows: Literal['none', 'content', 'predicted'] = ...,
        cold_system: str | None = ...,
        loss: Loss | str | Mapping[str, object] = ...,
        popularity: bool = ...,
        id_start: Literal['cooccurrence', 'random'] = ...,
        match: bool = ...,
        neighbours: int = ...,
        match_weights: Literal['first', 'joint'] = ...,
        hidden_size: int = ...,
        max_length: int = ...,
        dropout: float = ...,
        shuffle: bool = ...,
        windows: Literal['overlap', 'disjoint'] = ...,
        epochs: int = ...,
        patience: int = ...,
        select: str = ...,
        batch_tokens: int = ...,
        lr: float = ...,
        adam: Literal['dense', 'rows'] = ...,
        weight_decay: float = ...,
        average: bool = ...,
        bf16: Literal['auto', 'on', 'off'] = ...,
        layers: int = ...,
        heads: int = ...,
        inner_size: int | None = ...,
        attention_dropout: float = ...,
        architecture: Literal['early', 'late'] = ...,
        late_norm: Literal['sum', 'each'] = ...,
        regularise: bool = ...,
        missing: Missing | str | Mapping[str, object] = ...,
        reduce: str | Mapping[str, str] = ...,
        reduce_joint: str = ...,
        normalise: Literal['none', 'before', 'after'] = ...,
        join: Join | str | Mapping[str, object] = ...,
        id_embedding: bool = ...,
        id_dropout: float = ...,
        modality_dropout: float = ...,
        table: Literal['float32', 'bfloat16', 'int8'] = ...,
        table_in: Literal['memory', 'file'] = ...,
        match_modalities: Sequence[str] | None = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
        title_encoder: str | None = ...,
    ) -> None: ...

class MLP(RankerModel):
    """Ranks new tracks by factors that a small network predicts from all modalities."""

    def __init__(
        self,
        *,
        factors: Mapping[str, object] | None = ...,
        epochs: int = ...,
        batch: int = ...,
        lr: float = ...,
        dropout: float = ...,
        loss: Literal['cosine', 'squared'] = ...,
        hidden: Sequence[int] = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class MLR(RankerModel):
    """Ranks tracks by a learned distance between their content and the mean content of the seeds."""

    def __init__(
        self,
        *,
        factors: Mapping[str, object] | None = ...,
        nearest: int = ...,
        c: float = ...,
        tracks: int = ...,
        steps: int = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class Markov(RankerModel):
    """Ranks tracks by how often they follow the last seed in training playlists."""

    def __init__(
        self,
        *,
        discount: float = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class OneHalf(RankerModel):
    """Ranks every track with one half, as a reference for RMSE. The order of the tracks has no meaning."""

    def __init__(
        self,
        *,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class PMF(RankerModel):
    """Ranks played tracks by probabilistic matrix factorisation (PMF), without content."""

    def __init__(
        self,
        *,
        ridges: Sequence[float] = ...,
        negatives: float = ...,
        iterations: int = ...,
        k: int = ...,
        factor_ridges: Sequence[float] = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class Popularity(RankerModel):
    """Ranks tracks by the number of training playlists that contain them, independently of the seeds."""

    def __init__(
        self,
        *,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class PredictedFactors(RankerModel):
    """Ranks new tracks by factors that a supervised encoder predicted."""

    def __init__(
        self,
        *,
        factors: Mapping[str, object] | None = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class PredictedForAll(RankerModel):
    """Ranks all tracks, including played tracks, by predicted factors."""

    def __init__(
        self,
        *,
        factors: Mapping[str, object] | None = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class RandomEmbeddings(RankerModel):
    """Ranks new tracks by factors that the network of `late-fusion` predicts from a random vector of each track."""

    def __init__(
        self,
        *,
        factors: Mapping[str, object] | None = ...,
        epochs: int = ...,
        batch: int = ...,
        lr: float = ...,
        dropout: float = ...,
        loss: Literal['cosine', 'squared'] = ...,
        hidden: int | None = ...,
        width: int = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class RandomFactors(RankerModel):
    """Ranks unplayed tracks by random factors, drawn with the random seed."""

    def __init__(
        self,
        *,
        factors: Mapping[str, object] | None = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class RandomOrder(RankerModel):
    """Ranks tracks in a random order that is fixed for each query."""

    def __init__(
        self,
        *,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class Ridge(RankerModel):
    """Ranks new tracks by factors that a ridge regression predicts from all modalities."""

    def __init__(
        self,
        *,
        factors: Mapping[str, object] | None = ...,
        penalties: Sequence[float] = ...,
        select_k: int = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class SASRec(SequentialModel):
    """Causal transformer over ids and content, trained to predict every next track (RecBole's SASRec)."""

    def __init__(
        self,
        *,
        train: Literal['frozen', 'finetune', 'warmup'] = ...,
        warmup_epochs: int = ...,
        head: Literal['tied', 'untied'] = ...,
        cold_rows: Literal['none', 'content', 'predicted'] = ...,
        cold_system: str | None = ...,
        loss: Loss | str | Mapping[str, object] = ...,
        popularity: bool = ...,
        id_start: Literal['cooccurrence', 'random'] = ...,
        match: bool = ...,
        neighbours: int = ...,
        match_weights: Literal['first', 'joint'] = ...,
        hidden_size: int = ...,
        max_length: int = ...,
        dropout: float = ...,
        shuffle: bool = ...,
        windows: Literal['overlap', 'disjoint'] = ...,
        epochs: int = ...,
        patience: int = ...,
        select: str = ...,
        batch_tokens: int = ...,
        lr: float = ...,
        adam: Literal['dense', 'rows'] = ...,
        weight_decay: float = ...,
        average: bool = ...,
        bf16: Literal['auto', 'on', 'off'] = ...,
        layers: int = ...,
        heads: int = ...,
        inner_size: int | None = ...,
        attention_dropout: float = ...,
        initialisation: Literal['auto', 'xavier', 'recbole'] = ...,
        architecture: Literal['early', 'late'] = ...,
        late_norm: Literal['sum', 'each'] = ...,
        regularise: bool = ...,
        missing: Missing | str | Mapping[str, object] = ...,
        reduce: str | Mapping[str, str] = ...,
        reduce_joint: str = ...,
        normalise: Literal['none', 'before', 'after'] = ...,
        join: Join | str | Mapping[str, object] = ...,
        id_embedding: bool = ...,
        id_dropout: float = ...,
        modality_dropout: float = ...,
        table: Literal['float32', 'bfloat16', 'int8'] = ...,
        table_in: Literal['memory', 'file'] = ...,
        match_modalities: Sequence[str] | None = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
        title_encoder: str | None = ...,
    ) -> None: ...

class STAN(RankerModel):
    """Ranks the tracks of similar training playlists; early seeds, and tracks far from a shared seed, count less."""

    def __init__(
        self,
        *,
        neighbours: int = ...,
        position: float | None = ...,
        nearby: float | None = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class SameArtist(RankerModel):
    """Ranks new tracks by the mean factors of their artists."""

    def __init__(
        self,
        *,
        factors: Mapping[str, object] | None = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class SequentialRanker(RankerModel):
    """Ranks tracks by a sequential model over ids, content or both, as an entry of a recipe's `models` describes it."""

    def __init__(
        self,
        *,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class SessionKNN(RankerModel):
    """Ranks the tracks of the training playlists that are most similar to the query."""

    def __init__(
        self,
        *,
        neighbours: int = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class StockBERT4Rec(RankerModel):
    """Ranks tracks by RecBole's unmodified BERT4Rec, which drops the earliest seed."""

    def __init__(
        self,
        *,
        epochs: int = ...,
        stopping_step: int = ...,
        train_batch_size: int = ...,
        learning_rate: float = ...,
        max_length: int = ...,
        max_seconds: float | None = ...,
        memory_gb: float = ...,
        hidden_size: int = ...,
        layers: int = ...,
        heads: int = ...,
        inner_size: int = ...,
        dropout: float | None = ...,
        attention_dropout: float | None = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class StockGRU4Rec(RankerModel):
    """Ranks tracks by RecBole's unmodified GRU4Rec."""

    def __init__(
        self,
        *,
        epochs: int = ...,
        stopping_step: int = ...,
        train_batch_size: int = ...,
        learning_rate: float = ...,
        max_length: int = ...,
        max_seconds: float | None = ...,
        memory_gb: float = ...,
        embedding_size: int = ...,
        hidden_size: int = ...,
        layers: int = ...,
        dropout: float = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class StockSASRec(RankerModel):
    """Ranks tracks by RecBole's unmodified SASRec."""

    def __init__(
        self,
        *,
        epochs: int = ...,
        stopping_step: int = ...,
        train_batch_size: int = ...,
        learning_rate: float = ...,
        max_length: int = ...,
        max_seconds: float | None = ...,
        memory_gb: float = ...,
        hidden_size: int = ...,
        layers: int = ...,
        heads: int = ...,
        inner_size: int = ...,
        dropout: float | None = ...,
        attention_dropout: float | None = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class TitleKNN(RankerModel):
    """Ranks the tracks of training playlists with similar titles."""

    def __init__(
        self,
        *,
        encoder: Literal['char-ngrams', 'sentence-bert'] = ...,
        neighbours: int = ...,
        sharpness: float = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class TitleMix(RankerModel):
    """Ranks tracks by the neighbours of the seeds and by similar titles, with a weight chosen on validation."""

    def __init__(
        self,
        *,
        encoder: Literal['char-ngrams', 'sentence-bert'] = ...,
        neighbours: int = ...,
        sharpness: float = ...,
        of: Literal['session-knn', 'item-knn'] = ...,
        weight: float | None = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class TotalPopularity(RankerModel):
    """Ranks tracks by their plays in the whole corpus, including hidden plays, as an oracle."""

    def __init__(
        self,
        *,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class TransRec(RankerModel):
    """Ranks tracks by their distance to the last seed plus a translation vector of the playlist (TransRec)."""

    def __init__(
        self,
        *,
        dim: int = ...,
        regularisation: float = ...,
        learning_rate: float = ...,
        batch: int = ...,
        epochs: int = ...,
        patience: int = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class TransRecGlobal(RankerModel):
    """Ranks tracks by their distance to the last seed plus one translation vector for all playlists (TransRec)."""

    def __init__(
        self,
        *,
        dim: int = ...,
        regularisation: float = ...,
        learning_rate: float = ...,
        batch: int = ...,
        epochs: int = ...,
        patience: int = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class TwoStage(RankerModel):
    """Re-ranks the candidates of other systems with gradient-boosted trees trained on the validation playlists."""

    def __init__(
        self,
        *,
        systems: Sequence[str] | None = ...,
        candidates: int = ...,
        objective: Literal['lambdarank', 'binary'] = ...,
        rounds: int = ...,
        patience: int = ...,
        learning_rate: float = ...,
        leaves: int = ...,
        min_leaf: int = ...,
        folds: int = ...,
        max_rows: int = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class TwoTower(RankerModel):
    """Ranks tracks by the cosine between vectors of users and tracks, from two networks over content and factors."""

    def __init__(
        self,
        *,
        factors: Mapping[str, object] | None = ...,
        dim: int = ...,
        hidden: Sequence[int] = ...,
        temperature: float = ...,
        seeds: int = ...,
        epochs: int = ...,
        batch: int = ...,
        lr: float = ...,
        name: str | None = ...,
        modalities: Sequence[Modality] = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class UpperBound(RankerModel):
    """Ranks tracks by their true probability of being hidden, as an oracle for the demo catalogue."""

    def __init__(
        self,
        *,
        tracks: int = ...,
        artists: int = ...,
        playlists: int = ...,
        tastes: int = ...,
        new_releases: float = ...,
        off_taste: float = ...,
        fields: Sequence[Literal['audio_features', 'lyrics', 'biography', 'cover', 'signal_free', 'audio', 'tags']] = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class VSKNN(RankerModel):
    """Ranks the tracks of similar training playlists; later seeds count more."""

    def __init__(
        self,
        *,
        neighbours: int = ...,
        weighting: Literal['same', 'linear', 'quadratic'] = ...,
        decay: Literal['same', 'reciprocal'] = ...,
        idf: bool = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...

class VSTAN(RankerModel):
    """Ranks tracks as STAN does; neighbours that share a late seed, and rare tracks, count more."""

    def __init__(
        self,
        *,
        neighbours: int = ...,
        position: float | None = ...,
        nearby: float | None = ...,
        latest: float | None = ...,
        idf: bool = ...,
        name: str | None = ...,
        seed: int = ...,
        device: str = ...,
    ) -> None: ...
