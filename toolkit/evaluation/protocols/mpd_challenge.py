"""Protocol `mpd_challenge`, which assigns held-out playlists to the situations of the Million Playlist Dataset
challenge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args

from pydantic import Field

from toolkit.evaluation.protocols.playlist_disjoint import DealtLists
from toolkit.parameters import Once

if TYPE_CHECKING:
    from toolkit.corpus.arrays import Corpus
    from toolkit.corpus.splits import Split

SituationName = Literal[
    "title", "title_first_1", "title_first_5", "first_5", "title_first_10", "first_10", "title_first_25",
    "title_random_25", "title_first_100", "title_random_100",
]  # fmt: skip


class MpdChallenge(DealtLists):
    """Holds out whole playlists and assigns them to the situations of the Million Playlist Dataset challenge.

    The situation determines the number and order of the seeds and whether the title is shown.
    """

    type: str = "mpd_challenge"
    default_k: ClassVar[tuple[int, ...]] = (500,)
    default_metrics: ClassVar[tuple[str, ...]] = ("rprec_artist", "rprec", "ndcg", "clicks")

    situations: Annotated[list[SituationName], Once] = Field(
        list(get_args(SituationName)), min_length=1, description="which of the challenge's ten situations to use"
    )

    def split(self, corpus: Corpus, given: Sequence[str | None] | None = None) -> Split:
        from toolkit.evaluation import situations

        # the situations say what is shown
        return self.ordered(situations.challenge(self.dealt(corpus, 0.7, 0), self.situations))
