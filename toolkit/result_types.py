"""Types of what a run writes as JSON: one type for each kind of row and each file.

A key that is not in every file, because it does not apply or because earlier versions did not write it, is
`NotRequired`. A file may hold more keys than its type: they are kept.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

from toolkit.contracts.metric import MetricInfo

Curve = list[dict[str, float | None]]
"""Values of a training by epoch: `epoch`, `loss`, `seconds` and validation metrics such as `ndcg@50`."""

Settings = dict[str, object]
"""Values by dotted key of a recipe, or by name of a parameter."""


class MetricRow(TypedDict):
    """A row of `metrics.json`: the mean of a metric over playlists, with its 95 % interval.

    - k: cutoff; 0 where the metric has none.
    - sd, seeds: standard deviation over seeds and their number, where the system was fitted under several.
    - metric_info: what the run stored about a metric that is not installed.
    """

    system: str
    modalities: list[str] | str
    split: str
    slice: str
    metric: str
    k: int | None
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    sd: NotRequired[float]
    seeds: NotRequired[int]
    metric_info: NotRequired[MetricInfo]


class PairedRow(TypedDict):
    """A paired difference of a system from another, with its 95 % interval.

    - p, p_t: two-sided, by the bootstrap and by the paired t-test, of this comparison alone.
    - p_holm, p_t_holm: corrected for all systems that were compared.
    - detectable: the least true difference that so many playlists show with power 80 %.
    - resampled: `playlists`, or `groups` for whole playlists with all their versions.
    """

    system: str
    slice: NotRequired[str]
    metric: str
    k: int | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p: NotRequired[float | None]
    p_t: NotRequired[float | None]
    detectable: NotRequired[float | None]
    n: NotRequired[int]
    resampled: NotRequired[str]
    p_holm: NotRequired[float | None]
    p_t_holm: NotRequired[float | None]
    metric_info: NotRequired[MetricInfo]


class ComparisonRow(PairedRow):
    """A row of `comparisons.json`: a system less the reference."""

    reference: str


class AttributionRow(PairedRow):
    """A model less itself without a modality. way: `left out` of another training, or `shuffled` among the tracks."""

    modality: str
    way: str


class Weight(TypedDict):
    """What a model has learned to weigh a modality by. of: kind of weight; label: its words in the report."""

    system: str
    modality: str
    of: str
    label: NotRequired[str]
    value: float


class Attribution(TypedDict, total=False):
    """`attribution.json`."""

    differences: list[AttributionRow]
    weights: list[Weight]


class Timing(TypedDict, total=False):
    """A system's cost, in `timings.json`. training_of: the system whose training it shares, or empty.

    peak_mb: MB of 10^6 bytes.
    """

    fit_seconds: float
    training_of: str
    evaluate_seconds: float
    peak_mb: float
    underfit: bool
    oracle: bool


class TableRow(TypedDict):
    """A row of `table.json`: a system's heading, and the keys of the recipe that give paths to weights it lacks."""

    system: str
    group: str
    not_run: list[str]


class Count(TypedDict):
    """A number of things, and the first of them."""

    count: int
    examples: NotRequired[list[str]]


class Source(TypedDict, total=False):
    """Where content came from, and under which terms. n: its values."""

    source: str | None
    licence: str | None
    train_allowed: bool | None
    n: int


class CoverageRow(TypedDict, total=False):
    """A modality's row of `coverage.json`; encoders add facts of their own. coverage: share of tracks that have it."""

    modality: str
    encoder: str
    field: str
    dim: int | None
    coverage: float | None
    absent: Count
    short: Count
    weights_licence: str
    targets: dict[str, int | str]
    sources: list[Source]
    out_of_vocabulary: float
    texts_enriched: float
    terms_per_text: float


class TagScores(TypedDict):
    """A row of `tags.json`: how well vectors predict tags. auc: mean over tags; None where no tag could be tested."""

    vectors: str
    method: str
    field: str
    asked: int
    tracks: int
    tested: int
    auc: float | None
    by_tag: dict[str, float | None]


class Track(TypedDict):
    """A track by its outside id."""

    id: str
    title: NotRequired[str | None]
    artist: NotRequired[str | None]


class RankedTrack(Track):
    """A track of an example's ranking. hit: whether it is hidden in the playlist."""

    score: float
    hit: bool


class Example(TypedDict):
    """A test playlist of `examples.json` with the first tracks of each system's ranking."""

    playlist: str
    title: str | None
    seeds: list[Track]
    hidden: list[Track]
    systems: NotRequired[dict[str, list[RankedTrack]]]


class Dot(Track):
    """A track on the map: training placements, position within −1…1, and the number of its group, −1 for none."""

    plays: int
    x: float
    y: float
    group: int


class Neighbours(TypedDict):
    """A track and, by kind of vectors, those most similar to it."""

    track: Track
    near: dict[str, list[Track]]


class TrackMap(TypedDict, total=False):
    """`map.json`: empty if there is no map.

    - vectors: what the map shows; method: `tsne` or `umap`.
    - by, groups: what colours it. among: number of tracks among which similar ones were searched.
    """

    vectors: str
    method: str
    by: str
    groups: list[str]
    points: list[Dot]
    among: int
    similar: list[Neighbours]


class FactorPlane(TypedDict):
    """Predicted factors on a plane. points: x, y and the number of the genre, −1 for none."""

    vectors: str
    genres: list[str]
    points: list[tuple[float, float, int]]
    tracks: NotRequired[list[Track]]


class FactorNeighbours(TypedDict):
    """A track, and those nearest to it by true and by predicted factors."""

    track: Track
    true: list[Track]
    predicted: list[Track]


class FactorEnds(TypedDict):
    """The artists with the lowest and the highest values of a factor."""

    factor: int
    low: list[str]
    high: list[str]


class FactorMap(TypedDict, total=False):
    """`factor_map.json`: empty where the predicting encoder was not run."""

    map: FactorPlane
    similar: list[FactorNeighbours]
    ends: list[FactorEnds]


class DataFacts(TypedDict, total=False):
    """`data.json`: sizes of the data and its split.

    skipped: bad records; doubles: records that were there more than once.
    """

    tracks: int
    playlists: int
    placements: int
    split: dict[str, int]
    train_placements: int
    tracks_not_in_training: int
    folds: int
    near_duplicates: dict[str, int]
    cuts: dict[str, str]
    left_out: dict[str, int]
    left_out_examples: dict[str, list[str]]
    doubles: int
    skipped: Count | int


class Manifest(TypedDict, total=False):
    """`manifest.json`, as far as it is read: versions, commit, data (path and hash), and the permission to train."""

    versions: dict[str, str]
    git_commit: str | None
    data: dict[str, str | int | None]
    permission: dict[str, object] | None


class SystemEntry(TypedDict):
    """A system in `model/systems.json`.

    value: what it reached on validation; cold: the same on hidden tracks without training placements.
    """

    system: str
    ranker: str
    modalities: list[str]
    oracle: bool
    value: NotRequired[float | None]
    cold: NotRequired[float | None]


class SystemOrder(TypedDict):
    """`model/systems.json`: the systems of a run, the best on validation first, oracles last."""

    chosen_by: NotRequired[dict[str, str | int]]
    systems: list[SystemEntry]


class StoredModel(TypedDict, total=False):
    """An entry of `models` of a stored recipe, as far as a report reads it."""

    type: str
    select: str
    hidden_size: int


class StoredEncoder(TypedDict, total=False):
    """An entry of `encoders` of a stored recipe."""

    encoder: str
    params: dict[str, object]


class StoredEvaluation(TypedDict, total=False):
    """The section `evaluation` of a stored recipe. split: the name of a protocol in recipes of earlier versions."""

    split: dict[str, object] | str
    bootstrap: int
    allow_repeats: bool


class StoredRecipe(TypedDict, total=False):
    """A resolved recipe as a run's folder holds it, as far as it is read without the classes that check it."""

    name: str
    data: dict[str, object] | None
    encoders: dict[str, StoredEncoder] | None
    defaults: dict[str, object]
    models: list[StoredModel] | None
    evaluation: StoredEvaluation | None
