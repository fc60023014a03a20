"""`artist_disjoint`: artists are held out with all their tracks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from toolkit.evaluation.protocols.split_options import ColdTracks

if TYPE_CHECKING:
    from toolkit.corpus.arrays import Corpus
    from toolkit.corpus.splits import Split


class ArtistDisjoint(ColdTracks):
    """Holds out artists with all their tracks, and ranks these tracks for the playlists that contain them."""

    type: str = "artist_disjoint"

    def split(self, corpus: Corpus, given: Sequence[str | None] | None = None) -> Split:
        from toolkit.corpus import cold_splits

        if given is not None:
            parts = cold_splits.prescribed(corpus, given, min_tracks=self.min_tracks)
        else:
            parts = cold_splits.artist_disjoint(
                corpus,
                folds=self.folds,
                test_fold=self.test_fold,
                valid_fraction=self.valid_fraction,
                min_tracks=self.min_tracks,
            )
        cold_splits.check_cold(parts, artists=True)
        return parts
