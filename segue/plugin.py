"""Base classes for plug-ins, and the suites that test them.

There is a base class for each kind of part (`Encoder`, `Reader`, `Baseline`, `Source`, `Loss`, `Join`, `Missing`, `Metric`, `Protocol`,
`ModelSpec`), the types that their methods use, and a test suite (`check_encoder`, `check_loss`, …). Each name is imported when it is first
used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collectors.base import Absent as Absent
    from collectors.base import Ambiguous as Ambiguous
    from collectors.base import Answer as Answer
    from collectors.base import Blocked as Blocked
    from collectors.base import Found as Found
    from collectors.base import Host as Host
    from collectors.base import Http as Http
    from collectors.base import Rate as Rate
    from collectors.base import RateLimited as RateLimited
    from collectors.base import Request as Request
    from collectors.base import Source as Source
    from collectors.base import SourceParams as SourceParams
    from collectors.base import Terms as Terms
    from collectors.base import Transient as Transient
    from collectors.checks import check_source as check_source
    from collectors.matching import Candidate as Candidate
    from collectors.matching import nearest as nearest
    from collectors.matching import verdict as verdict
    from toolkit.baselines.base import Baseline as Baseline
    from toolkit.baselines.base import BaselineParams as BaselineParams
    from toolkit.baselines.base import State as State
    from toolkit.baselines.sparse import packed as packed
    from toolkit.baselines.sparse import unpacked as unpacked
    from toolkit.catalogue.readers.base import Reader as Reader
    from toolkit.catalogue.readers.base import ReaderParams as ReaderParams
    from toolkit.catalogue.readers.checks import check_reader as check_reader
    from toolkit.catalogue.readers.files import existing as existing
    from toolkit.catalogue.readers.files import files_of as files_of
    from toolkit.catalogue.readers.files import has_ending as has_ending
    from toolkit.catalogue.readers.files import head as head
    from toolkit.catalogue.readers.files import lines as lines
    from toolkit.catalogue.readers.files import opened as opened
    from toolkit.catalogue.readers.files import some as some
    from toolkit.catalogue.readers.ids import by_location as by_location
    from toolkit.catalogue.readers.ids import by_name as by_name
    from toolkit.catalogue.readers.ids import qualified as qualified
    from toolkit.catalogue.readers.ids import recognised as recognised
    from toolkit.catalogue.records import PlaylistRecord as PlaylistRecord
    from toolkit.catalogue.records import Record as Record
    from toolkit.catalogue.records import TrackField as TrackField
    from toolkit.catalogue.records import TrackRecord as TrackRecord
    from toolkit.contracts.join import Join as Join
    from toolkit.contracts.join import JoinInputs as JoinInputs
    from toolkit.contracts.join import Shares as Shares
    from toolkit.contracts.loss import Loss as Loss
    from toolkit.contracts.loss import Training as Training
    from toolkit.contracts.metric import Block as Block
    from toolkit.contracts.metric import Metric as Metric
    from toolkit.contracts.metric import SystemMetric as SystemMetric
    from toolkit.contracts.missing import Fill as Fill
    from toolkit.contracts.missing import Missing as Missing
    from toolkit.contracts.missing import Rows as Rows
    from toolkit.contracts.protocol import Protocol as Protocol
    from toolkit.corpus.arrays import Corpus as Corpus
    from toolkit.corpus.queries import Queries as Queries
    from toolkit.corpus.splits import HeldOut as HeldOut
    from toolkit.corpus.splits import PlaylistSet as PlaylistSet
    from toolkit.corpus.splits import Split as Split
    from toolkit.encoders.base import Encoder as Encoder
    from toolkit.encoders.base import EncoderParams as EncoderParams
    from toolkit.encoders.checks import check_encoder as check_encoder
    from toolkit.encoders.faults import BadInput as BadInput
    from toolkit.encoders.faults import needs_targets as needs_targets
    from toolkit.encoders.faults import not_fitted as not_fitted
    from toolkit.encoders.state import load_encoder as load_encoder
    from toolkit.encoders.state import save_encoder as save_encoder
    from toolkit.evaluation.leaks import check_leaks as check_leaks
    from toolkit.evaluation.metric_checks import check_metric as check_metric
    from toolkit.evaluation.protocol_checks import check_protocol as check_protocol
    from toolkit.fusion.checks import check_join as check_join
    from toolkit.fusion.checks import check_missing as check_missing
    from toolkit.packages import Package as Package
    from toolkit.progress import Progress as Progress
    from toolkit.ranker import Capabilities as Capabilities
    from toolkit.ranker import Ranker as Ranker
    from toolkit.ranker import Scorer as Scorer
    from toolkit.ranker import TrainingData as TrainingData
    from toolkit.ranker_checks import check_ranker as check_ranker
    from toolkit.ranker_example import example_data as example_data
    from toolkit.recipe import ModelSpec as ModelSpec
    from toolkit.recipe.model import MaskedSpec as MaskedSpec
    from toolkit.sequential.checks import check_loss as check_loss
    from toolkit.sequential.checks import check_model as check_model
    from toolkit.sequential.losses.sample import Sample as Sample
    from toolkit.sequential.losses.scores import Scores as Scores

PLACES = {
    "collectors.base": (
        *("Absent", "Ambiguous", "Answer", "Blocked", "Found", "Host", "Http"),
        *("Rate", "RateLimited", "Request", "Source", "SourceParams", "Terms", "Transient"),
    ),
    "collectors.checks": ("check_source",),
    "collectors.matching": ("Candidate", "nearest", "verdict"),
    "toolkit.baselines.base": ("Baseline", "BaselineParams", "State"),
    "toolkit.baselines.sparse": ("packed", "unpacked"),
    "toolkit.catalogue.readers.base": ("Reader", "ReaderParams"),
    "toolkit.catalogue.readers.checks": ("check_reader",),
    "toolkit.catalogue.readers.files": ("existing", "files_of", "has_ending", "head", "lines", "opened", "some"),
    "toolkit.catalogue.readers.ids": ("by_location", "by_name", "qualified", "recognised"),
    "toolkit.catalogue.records": ("PlaylistRecord", "Record", "TrackField", "TrackRecord"),
    "toolkit.contracts.join": ("Join", "JoinInputs", "Shares"),
    "toolkit.contracts.loss": ("Loss", "Training"),
    "toolkit.contracts.metric": ("Block", "Metric", "SystemMetric"),
    "toolkit.contracts.missing": ("Fill", "Missing", "Rows"),
    "toolkit.contracts.protocol": ("Protocol",),
    "toolkit.corpus.arrays": ("Corpus",),
    "toolkit.corpus.queries": ("Queries",),
    "toolkit.corpus.splits": ("HeldOut", "PlaylistSet", "Split"),
    "toolkit.encoders.base": ("Encoder", "EncoderParams"),
    "toolkit.encoders.checks": ("check_encoder",),
    "toolkit.encoders.faults": ("BadInput", "needs_targets", "not_fitted"),
    "toolkit.encoders.state": ("load_encoder", "save_encoder"),
    "toolkit.evaluation.leaks": ("check_leaks",),
    "toolkit.evaluation.metric_checks": ("check_metric",),
    "toolkit.evaluation.protocol_checks": ("check_protocol",),
    "toolkit.fusion.checks": ("check_join", "check_missing"),
    "toolkit.progress": ("Progress",),
    "toolkit.packages": ("Package",),
    "toolkit.ranker": ("Capabilities", "Ranker", "Scorer", "TrainingData"),
    "toolkit.ranker_checks": ("check_ranker",),
    "toolkit.ranker_example": ("example_data",),
    "toolkit.recipe": ("ModelSpec",),
    "toolkit.recipe.model": ("MaskedSpec",),
    "toolkit.sequential.checks": ("check_loss", "check_model"),
    "toolkit.sequential.losses.sample": ("Sample",),
    "toolkit.sequential.losses.scores": ("Scores",),
}
"""The public names of each module."""

_PLACE = {name: module for module, names in PLACES.items() for name in names}

__all__ = sorted(_PLACE)


def __getattr__(name: str) -> object:
    if name not in _PLACE:
        raise AttributeError(f"module 'segue.plugin' has no attribute {name!r}")
    found: object = getattr(import_module(_PLACE[name]), name)
    globals()[name] = found
    return found
