"""Protocol `leave_last_out`, which hides the last track of every playlist for the test and the one before for
validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from toolkit.evaluation.protocols.split_options import Shuffled
from toolkit.parameters import Once

if TYPE_CHECKING:
    from toolkit.corpus.arrays import Corpus
    from toolkit.corpus.splits import Split

Fault = Literal["lost_tracks", "item_zero", "first_50"]


class LeaveLastOut(Shuffled):
    """Hides the last track of every playlist for the test and the second-to-last for validation, and trains on the
    rest."""

    type: str = "leave_last_out"
    faults: Annotated[list[Fault], Once] = Field([], description="faults of a published implementation to reproduce")

    def split(self, corpus: Corpus, given: Sequence[str | None] | None = None) -> Split:
        from toolkit.corpus import splits
        from toolkit.evaluation import leaks, published_faults

        parts = splits.leave_last_out(corpus)
        leaks.check_leaks(parts, disjoint=False)
        return self.ordered(published_faults.with_faults(parts, self.faults) if self.faults else parts)

    @property
    def shows_beginnings(self) -> bool:
        return not self.shuffle_seeds and not self.faults
