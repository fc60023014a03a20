"""The contract of a protocol: what is held out of a corpus, and what is shown of it.

A protocol is a part: its fields are its keys in a recipe's `evaluation.split`. It is found by the entry-point group
`segue.protocols`, or given as `module:Class` or as an object:

    class EveryTenth(Protocol):
        '''Every tenth playlist is tested, the one after it validates; the first half of each is shown.'''

        type: str = "every_tenth"
        whole_lists: ClassVar[bool] = True
        offset: int = Field(0, ge=0, le=9)

        def split(self, corpus: Corpus, given: Sequence[str | None] | None = None) -> Split:
            ...

`segue.plugin.check_protocol` holds it to this contract.
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
    """Who is held out, and what is shown of them.

    whole_lists: whether the playlists that it tests are not in training. cold: whether the tracks that it hides are not in training.
    default_k, default_metrics: what a recipe measures under it that names no cutoffs or no metrics.
    """

    whole_lists: ClassVar[bool] = False
    cold: ClassVar[bool] = False
    default_k: ClassVar[tuple[int, ...]] = (20, 50, 500)
    default_metrics: ClassVar[tuple[str, ...]] = ("recall", "ndcg")

    @abstractmethod
    def split(self, corpus: Corpus, given: Sequence[str | None] | None = None) -> Split:
        """Training, validation and test of a corpus, checked for leaks.

        given: what the catalogue's field `reads_field` says of each track, where the protocol reads one: [V].
        Raises `InputError` where a part is empty and `LeakError` where something hidden could be learned or chosen on.
        """

    @property
    def reads_field(self) -> str | None:
        """The field of the catalogue that decides which tracks are held out; None for none."""
        return None

    @property
    def shows_beginnings(self) -> bool:
        """Whether every held-out playlist is shown from its first track, in its order."""
        return False

    @property
    def stops_at_overlap(self) -> bool:
        """Whether a test playlist that shares most of its tracks with a training playlist ends the run."""
        return False

    def each_fold(self) -> list[Self]:
        """The protocol of each fold, where all are to be tested one after the other; empty for one split."""
        return []
