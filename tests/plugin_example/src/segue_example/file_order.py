"""Protocol `file_order`: the newest playlists of a file are tested."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from segue import InputError
from segue.plugin import Corpus, HeldOut, PlaylistSet, Protocol, Split, check_leaks


class FileOrder(Protocol):
    """The last playlists of the file are the test, those before them validation; the first half of each is shown."""

    type: str = "file_order"
    whole_lists: ClassVar[bool] = True  # no held-out playlist is in training
    default_k: ClassVar[tuple[int, ...]] = (5, 20)
    share: float = Field(0.2, gt=0, lt=0.5, description="of the playlists, in the test and again in validation")

    def split(self, corpus: Corpus, given: Sequence[str | None] | None = None) -> Split:
        starts, ends = np.asarray(corpus.offsets[:-1]), np.asarray(corpus.offsets[1:])
        rows, held = np.arange(len(corpus)), int(self.share * len(corpus))
        if not held:
            raise InputError(
                f"split.share={self.share} of {len(corpus)} playlists is none: raise it, or read more playlists"
            )
        train, valid, test = rows[: -2 * held], rows[-2 * held : -held], rows[-held:]
        cuts = (starts + ends) // 2

        def hide(part: np.ndarray) -> HeldOut:
            part = part[ends[part] - starts[part] >= 2]  # one track cannot be both shown and hidden
            return HeldOut(corpus, part, starts[part], cuts[part], ends[part])

        parts = Split(PlaylistSet(corpus, train, starts[train], ends[train]), hide(valid), hide(test))
        check_leaks(parts)
        return parts

    @property
    def shows_beginnings(self) -> bool:
        return True
