"""Base classes for plug-ins and their conformance suites.

The module has a base class for each kind of part (`Encoder`, `Reader`, `Baseline`, `Source`, `Loss`, `Join`, `Missing`,
`Metric`, `Protocol`, `ModelSpec`), the types that their methods use, and a test suite (`check_encoder`, `check_loss`,
…). Each name is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collectors.matching import Candidate as Candidate
    from collectors.matching import nearest as nearest
    from collectors.matching import verdict as verdict
    from collectors.source import Absent as Absent
    from collectors.source import Ambiguous as Ambiguous
    from collectors.source import Answer as Answer
    from collectors.source import Blocked as Blocked
    from collectors.source import Found as Found
    from collectors.source import Host as Host
    from collectors.source import Http as Http
    from collectors.source import Rate as Rate
    from collectors.source import RateLimited as RateLimited
    from collectors.source import Request as Request
    from collectors.source import Source as Source
    from collectors.source import SourceParams as SourceParams
    from collectors.source import Terms as Terms
    from collectors.source import Transient as Transient
    from segue.checks import check_loss as check_loss
    from segue.checks import check_model as check_model
    from segue.checks.check_encoder import check_encoder as check_encoder
    from segue.checks.check_fusion import check_join as check_join
    from segue.checks.check_fusion import check_missing as check_missing
    from segue.checks.check_metric import check_metric as check_metric
    from segue.checks.check_protocol import check_protocol as check_protocol
    from segue.checks.check_ranker import check_ranker as check_ranker
    from segue.checks.check_reader import check_reader as check_reader
    from segue.checks.check_source import check_source as check_source
    from segue.checks.example_data import example_data as example_data
    from toolkit.baselines.baseline import Baseline as Baseline
    from toolkit.baselines.baseline import BaselineParams as BaselineParams
    from toolkit.baselines.baseline import State as State
    from toolkit.baselines.sparse_products import packed as packed
    from toolkit.baselines.sparse_products import unpacked as unpacked
    from toolkit.catalogue.readers.ids import by_location as by_location
    from toolkit.catalogue.readers.ids import by_name as by_name
    from toolkit.catalogue.readers.ids import qualified as qualified
    from toolkit.catalogue.readers.ids import recognised as recognised
    from toolkit.catalogue.readers.open_files import existing as existing
    from toolkit.catalogue.readers.open_files import files_of as files_of
    from toolkit.catalogue.readers.open_files import has_ending as has_ending
    from toolkit.catalogue.readers.open_files import head as head
    from toolkit.catalogue.readers.open_files import lines as lines
    from toolkit.catalogue.readers.open_files import opened as opened
    from toolkit.catalogue.readers.open_files import some as some
    from toolkit.catalogue.readers.reader import Reader as Reader
    from toolkit.catalogue.readers.reader import ReaderParams as ReaderParams
    from toolkit.catalogue.records import PlaylistRecord as PlaylistRecord
    from toolkit.catalogue.records import Record as Record
    from toolkit.catalogue.records import TrackField as TrackField
    from toolkit.catalogue.records import TrackRecord as TrackRecord
    from toolkit.contracts.join import Join as Join
    from toolkit.contracts.join import JoinInputs as JoinInputs
    from toolkit.contracts.join import Shares as Shares
    from toolkit.contracts.learning import Learning as Learning
    from toolkit.contracts.loss import Loss as Loss
    from toolkit.contracts.loss import Training as Training
    from toolkit.contracts.metric import Block as Block
    from toolkit.contracts.metric import Metric as Metric
    from toolkit.contracts.metric import SystemMetric as SystemMetric
    from toolkit.contracts.missing_policy import Fill as Fill
    from toolkit.contracts.missing_policy import Missing as Missing
    from toolkit.contracts.missing_policy import Rows as Rows
    from toolkit.contracts.protocol import Protocol as Protocol
    from toolkit.corpus.arrays import Corpus as Corpus
    from toolkit.corpus.queries import Queries as Queries
    from toolkit.corpus.splits import HeldOut as HeldOut
    from toolkit.corpus.splits import PlaylistSet as PlaylistSet
    from toolkit.corpus.splits import Split as Split
    from toolkit.encoders.contract.encoder import Encoder as Encoder
    from toolkit.encoders.contract.encoder import EncoderParams as EncoderParams
    from toolkit.encoders.contract.encoder import FittedState as FittedState
    from toolkit.encoders.contract.encoder_files import load_encoder as load_encoder
    from toolkit.encoders.contract.encoder_files import save_encoder as save_encoder
    from toolkit.encoders.contract.input_faults import BadInput as BadInput
    from toolkit.encoders.contract.input_faults import needs_targets as needs_targets
    from toolkit.encoders.contract.input_faults import not_fitted as not_fitted
    from toolkit.evaluation.leaks import check_leaks as check_leaks
    from toolkit.packages import Package as Package
    from toolkit.progress import Progress as Progress
    from toolkit.ranker import Capabilities as Capabilities
    from toolkit.ranker import FitInputs as FitInputs
    from toolkit.ranker import Ranker as Ranker
    from toolkit.ranker import Scorer as Scorer
    from toolkit.ranker import TrainingData as TrainingData
    from toolkit.recipe import ModelSpec as ModelSpec
    from toolkit.recipe.model_section import MaskedSpec as MaskedSpec
    from toolkit.sequential.losses.loss_scores import Scores as Scores
    from toolkit.sequential.losses.negative_sampler import Sample as Sample

PLACES = {
    "collectors.source": (
        *("Absent", "Ambiguous", "Answer", "Blocked", "Found", "Host", "Http"),
        *("Rate", "RateLimited", "Request", "Source", "SourceParams", "Terms", "Transient"),
    ),
    "segue.checks.check_source": ("check_source",),
    "collectors.matching": ("Candidate", "nearest", "verdict"),
    "toolkit.baselines.baseline": ("Baseline", "BaselineParams", "State"),
    "toolkit.baselines.sparse_products": ("packed", "unpacked"),
    "toolkit.catalogue.readers.reader": ("Reader", "ReaderParams"),
    "segue.checks.check_reader": ("check_reader",),
    "toolkit.catalogue.readers.open_files": ("existing", "files_of", "has_ending", "head", "lines", "opened", "some"),
    "toolkit.catalogue.readers.ids": ("by_location", "by_name", "qualified", "recognised"),
    "toolkit.catalogue.records": ("PlaylistRecord", "Record", "TrackField", "TrackRecord"),
    "toolkit.contracts.join": ("Join", "JoinInputs", "Shares"),
    "toolkit.contracts.learning": ("Learning",),
    "toolkit.contracts.loss": ("Loss", "Training"),
    "toolkit.contracts.metric": ("Block", "Metric", "SystemMetric"),
    "toolkit.contracts.missing_policy": ("Fill", "Missing", "Rows"),
    "toolkit.contracts.protocol": ("Protocol",),
    "toolkit.corpus.arrays": ("Corpus",),
    "toolkit.corpus.queries": ("Queries",),
    "toolkit.corpus.splits": ("HeldOut", "PlaylistSet", "Split"),
    "toolkit.encoders.contract.encoder": ("Encoder", "EncoderParams", "FittedState"),
    "segue.checks.check_encoder": ("check_encoder",),
    "toolkit.encoders.contract.input_faults": ("BadInput", "needs_targets", "not_fitted"),
    "toolkit.encoders.contract.encoder_files": ("load_encoder", "save_encoder"),
    "toolkit.evaluation.leaks": ("check_leaks",),
    "segue.checks.check_metric": ("check_metric",),
    "segue.checks.check_protocol": ("check_protocol",),
    "segue.checks.check_fusion": ("check_join", "check_missing"),
    "toolkit.progress": ("Progress",),
    "toolkit.packages": ("Package",),
    "toolkit.ranker": ("Capabilities", "FitInputs", "Ranker", "Scorer", "TrainingData"),
    "segue.checks.check_ranker": ("check_ranker",),
    "segue.checks.example_data": ("example_data",),
    "toolkit.recipe": ("ModelSpec",),
    "toolkit.recipe.model_section": ("MaskedSpec",),
    "segue.checks": ("check_loss", "check_model"),
    "toolkit.sequential.losses.negative_sampler": ("Sample",),
    "toolkit.sequential.losses.loss_scores": ("Scores",),
}
"""The public names of each module."""

_PLACE = {name: module for module, names in PLACES.items() for name in names}

__all__ = sorted(_PLACE)


def __getattr__(name: str) -> object:
    if name not in _PLACE:
        raise AttributeError(f"module 'segue.plugin' has no attribute {name!r}")
    value: object = getattr(import_module(_PLACE[name]), name)
    globals()[name] = value
    return value
