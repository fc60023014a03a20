"""Base class of evaluation protocols, which split a corpus and select the seeds of held-out playlists.

The fields of a protocol are keys of a recipe's `evaluation.split`. A protocol has a name in the entry-point group
`segue.protocols`, or is passed as `module:Class` or as an object:

    class EveryTenth(Protocol):
        '''Tests every tenth playlist and validates on the next. The first half of a playlist is shown.'''

        type: str = "every_tenth"
        whole_lists: ClassVar[bool] = True
        offset: int = Field(0, ge=0, le=9)

        def split(self, corpus: Corpus, given: Sequence[str | None] | None = None) -> Split:
            ...

`segue.plugin.check_protocol` tests a protocol against this contract.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Self

from toolkit.parts import Part

if TYPE_CHECKING:
    from toolkit.corpus.arrays import Corpus
    from toolkit.corpus.splits import Split

GROUP = "segue.protocols"


class Protocol(Part, ABC):
    """Base class of protocols, which decide what is held out and what is shown.

    - whole_lists: whether test playlists are not in training.
    - cold: whether hidden tracks are not in training.
    - default_k, default_metrics: cutoffs and metrics of a recipe that does not set its own.
    """

    whole_lists: ClassVar[bool] = False
    cold: ClassVar[bool] = False
    default_k: ClassVar[tuple[int, ...]] = (20, 50, 500)
    default_metrics: ClassVar[tuple[str, ...]] = ("recall", "ndcg")

    @abstractmethod
    def split(self, corpus: Corpus, given: Sequence[str | None] | None = None) -> Split:
        """Split a corpus into training, validation and test playlists, and check for leaks.

        - corpus: the playlists.
        - given: value of the catalogue field `reads_field` for each track, [V], if the protocol reads a field.

        Raises `InputError` if a part is empty, and `LeakError` if hidden tracks are available for training or model
        selection.
        """

    @property
    def reads_field(self) -> str | None:
        """Catalogue field that decides which tracks are held out, or None."""
        return None

    @property
    def shows_beginnings(self) -> bool:
        """Whether the seeds of every held-out playlist are its first tracks in playlist order."""
        return False

    @property
    def stops_at_overlap(self) -> bool:
        """Whether the run stops if training has a near-copy of a test playlist, or a hidden track under another id."""
        return False

    def larger_validation(self) -> list[dict[str, object]]:
        """Return changes of keys that may result in more validation playlists, the smallest first.

        Messages about systems that require more suggest the first change that works.
        """
        return []

    def each_fold(self) -> list[Self]:
        """Return the protocol of each fold if all folds are tested in turn, or an empty list for a single split."""
        return []
