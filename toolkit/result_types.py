"""Types of the JSON files of a run, one per kind of row and per file.

Keys that do not apply to every file, or that earlier versions did not write, are `NotRequired`. Additional keys in a
file are kept.
"""

from __future__ import annotations

from typing import Generic, Literal, NotRequired, TypedDict, TypeVar

from toolkit.contracts.metric import MetricInfo

T_co = TypeVar("T_co", covariant=True)

Curve = list[dict[str, float | None]]
"""Values of a training epoch: `epoch`, `loss`, `seconds` and validation metrics such as `ndcg@50`."""

Settings = dict[str, object]
"""Values by dotted recipe key or by parameter name."""


Test = Literal["bootstrap", "sign flips", "random sign flips"]
"""Test that gives the p of a paired difference. With few playlists, p is the larger value of sign flips and t-test."""


class StageEntry(TypedDict):
    """Content of `stages/STAGE.json`: hash of the inputs, relative paths of the outputs, and the result."""

    inputs: str
    outputs: list[str]
    result: object


class MetricRow(TypedDict):
    """Row of `metrics.json`: the mean of a metric over playlists with its 95 % interval.

    - k: cutoff; 0 for a metric without a cutoff.
    - sd, seeds: standard deviation over seeds, and number of seeds, for a system fitted with several seeds.
    - metric_info: stored facts about a metric that is not installed.
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
    """Paired difference of a system from another system, with its 95 % interval.

    - p, p_t: two-sided p-values of this comparison alone, by `test` and by the paired t-test.
    - p_floor: smallest p that `test` can give on these playlists.
    - p_holm, p_t_holm: p-values corrected for all compared systems.
    - detectable: smallest true difference that these playlists can show with power 80 %; None if they cannot show any.
    - n, independent: number of playlists, and effective number of independent playlists.
    - resampled: `playlists`, or `groups` of playlist versions.
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
    p_floor: NotRequired[float | None]
    test: NotRequired[Test]
    detectable: NotRequired[float | None]
    n: NotRequired[int]
    independent: NotRequired[float]
    resampled: NotRequired[str]
    p_holm: NotRequired[float | None]
    p_t_holm: NotRequired[float | None]
    metric_info: NotRequired[MetricInfo]


class ComparisonRow(PairedRow):
    """Row of `comparisons.json`: the difference of a system from the reference."""

    reference: str


class AttributionRow(PairedRow):
    """Difference of a model from the same model without a modality. way: `left out` in training, or `shuffled`."""

    modality: str
    way: str


class Weight(TypedDict):
    """Learned weight of a modality. of: kind of weight; label: text in the report."""

    system: str
    modality: str
    of: str
    label: NotRequired[str]
    value: float


class Attribution(TypedDict, total=False):
    """Content of `attribution.json`."""

    differences: list[AttributionRow]
    weights: list[Weight]


class Timing(TypedDict, total=False):
    """Cost of a system in `timings.json`. training_of: system whose training is reused, or "".

    peak_mb: peak memory in MB (10^6 bytes). warnings: reasons by word in tables, such as `below popularity`.
    """

    fit_seconds: float
    training_of: str
    evaluate_seconds: float
    peak_mb: float
    underfit: bool
    oracle: bool
    warnings: dict[str, str]


class EncoderRow(TypedDict):
    """Row of `encoders.json`: cost of a modality, and the learning curve of its encoder.

    - fit_seconds, encode_seconds: of the run that computed the vectors; None if they are not known.
    - cached: whether the vectors are from the cache, so that this run did not spend these seconds.
    - peak_mb: peak memory of this run while it computed the vectors in MB (10^6 bytes); None for cached vectors.
    - curve: values by epoch; empty for an encoder without a training in epochs.
    """

    modality: str
    encoder: str
    fit_seconds: float | None
    encode_seconds: float | None
    cached: bool
    peak_mb: float | None
    curve: Curve


class TableRow(TypedDict):
    """Row of `table.json`: a system's heading, and recipe keys for the paths of missing weights.

    failed: why the system could not be fitted or evaluated, in one line.
    """

    system: str
    group: str
    not_run: list[str]
    failed: NotRequired[str]


class Count(TypedDict):
    """Number of things with the first examples."""

    count: int
    examples: NotRequired[list[str]]


class Source(TypedDict, total=False):
    """Origin and terms of content. n: number of values."""

    source: str | None
    licence: str | None
    train_allowed: bool | None
    n: int


class CoverageRow(TypedDict, total=False):
    """Row of `coverage.json` for a modality, to which encoders add facts. coverage: share of tracks.

    collapsed: why the trained encoder did not learn. chosen: of a choice, the encoder that is best on validation.
    tried: its candidates, with their value on validation.
    """

    modality: str
    encoder: str
    field: str
    dim: int | None
    coverage: float | None
    absent: Count
    short: Count
    cut_short: Count
    weights_licence: str
    targets: dict[str, int | str]
    sources: list[Source]
    out_of_vocabulary: float
    texts_enriched: float
    terms_per_text: float
    collapsed: str
    chosen: str
    tried: dict[str, float]


class NewTagScores(TypedDict):
    """Results of a tag prediction on tracks without plays, from a training on the tracks with plays."""

    auc: float | None
    interval: list[float | None]
    tested: int


class TagScores(TypedDict):
    """Row of `tags.json`: how well vectors predict tags.

    auc: mean over tags, or None if no tag could be tested. interval: its 95 % bootstrap interval over tracks.
    new: results on new tracks, None for vectors that need plays or without new tracks. Older runs lack both.
    """

    vectors: str
    method: str
    field: str
    asked: int
    tracks: int
    tested: int
    auc: float | None
    interval: NotRequired[list[float | None]]
    new: NotRequired[NewTagScores | None]
    by_tag: dict[str, float | None]


class Track(TypedDict):
    """Track with its external id."""

    id: str
    title: NotRequired[str | None]
    artist: NotRequired[str | None]


class RankedTrack(Track):
    """Track in an example's ranking. hit: whether the track is hidden in the playlist."""

    score: float
    hit: bool


class Example(TypedDict):
    """Test playlist in `examples.json` with the first tracks of each system's ranking."""

    playlist: str
    title: str | None
    seeds: list[Track]
    hidden: list[Track]
    systems: NotRequired[dict[str, list[RankedTrack]]]


class Dot(Track):
    """Track on the map: training playlists, position within −1…1, and group number (−1 without a group)."""

    plays: int
    x: float
    y: float
    group: int


class Neighbours(TypedDict):
    """Track with its most similar tracks by kind of vectors."""

    track: Track
    near: dict[str, list[Track]]


class TrackMap(TypedDict, total=False):
    """Content of `map.json`, empty without a map.

    - vectors: the vectors on the map; method: `tsne` or `umap`.
    - by, groups: the kind and names of the coloured groups.
    - among: number of tracks that were searched for similar tracks.
    """

    vectors: str
    method: str
    by: str
    groups: list[str]
    points: list[Dot]
    among: int
    similar: list[Neighbours]


class FactorPlane(TypedDict):
    """Predicted factors on a plane. points: x, y and genre number, −1 without a genre."""

    vectors: str
    genres: list[str]
    points: list[tuple[float, float, int]]
    tracks: NotRequired[list[Track]]


class FactorNeighbours(TypedDict):
    """Track with its nearest tracks by true and by predicted factors. true: empty for a track without plays."""

    track: Track
    true: list[Track]
    predicted: list[Track]


class FactorEnds(TypedDict):
    """Artists with the lowest and the highest values of a factor."""

    factor: int
    low: list[str]
    high: list[str]


class FactorMap(TypedDict, total=False):
    """Content of `factor_map.json`, empty if the predicting encoder was not run.

    Tracks are compared by the cosine of usage patterns. Older runs compared factors, and lack `unplayed`.
    """

    map: FactorPlane
    similar: list[FactorNeighbours]
    unplayed: list[FactorNeighbours]
    ends: list[FactorEnds]


class DataFacts(TypedDict, total=False):
    """Content of `data.json`: sizes of the data and the split.

    sparsity: 1 − placements / (playlists × tracks).
    recordings_in_training: number of hidden tracks whose recording is in training under another id, by part, if any.
    skipped: bad records; doubles: duplicate records; independent: effective number of independent playlists by part.
    """

    tracks: int
    playlists: int
    placements: int
    sparsity: float | None
    split: dict[str, int]
    train_placements: int
    tracks_not_in_training: int
    folds: int
    near_duplicates: dict[str, int]
    independent: dict[str, float]
    recordings_in_training: dict[str, int]
    cuts: dict[str, str]
    left_out: dict[str, int]
    left_out_examples: dict[str, list[str]]
    doubles: int
    skipped: Count | int


class Manifest(TypedDict, total=False):
    """Part of `manifest.json` that is read: versions, commit, data (path and hash), and permissions with reasons."""

    versions: dict[str, str]
    git_commit: str | None
    data: dict[str, str | int | None]
    permission: dict[str, object] | None
    allow_label_leak: str | None


class SystemEntry(TypedDict):
    """System in `model/systems.json`.

    value: metric on validation; cold: the same metric on hidden tracks without training playlists.
    """

    system: str
    ranker: str
    modalities: list[str]
    oracle: bool
    value: NotRequired[float | None]
    cold: NotRequired[float | None]


class Floor(TypedDict):
    """Baseline that every system should beat, with its value on validation."""

    system: str
    value: float


class SystemOrder(TypedDict):
    """Content of `model/systems.json`: the systems of a run, best on validation first, oracles last."""

    chosen_by: NotRequired[dict[str, str | int]]
    floor: NotRequired[Floor]
    systems: list[SystemEntry]


class RunFile(str, Generic[T_co]):
    """Name of a JSON file in a run. kind: type of the content."""

    kind: type[T_co]

    def __new__(cls, name: str, kind: type[T_co]) -> RunFile[T_co]:
        file = super().__new__(cls, name)
        file.kind = kind
        return file
