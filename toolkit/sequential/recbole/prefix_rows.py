"""RecBole's padded training rows, with a row for every prefix of a playlist.

Only the stock baselines and the parity tests use these rows. RecBole's dataset is filled from the flat arrays, without
a text file, and keeps our item ids, so a score column is an item id in both.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import torch

from toolkit.corpus.splits import HeldOut, PlaylistSet
from toolkit.errors import InputError
from toolkit.sequential.recbole import bridge


class PlaylistDataset(bridge.SequentialDataset):
    """RecBole's dataset with the playlists of `train`, with the corpus's item ids (1…V, 0 padding) and users 1…n."""

    def __init__(self, config: bridge.Config, train: PlaylistSet) -> None:
        self._train = train
        super().__init__(config)
        with warnings.catch_warnings():
            # pandas 3 returns read-only views; RecBole only reads these tensors
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)
            self._change_feat_format()

    def _load_data(self, token: str, dataset_path: str) -> None:
        items, offsets = self._train.flat()
        lengths = np.diff(offsets)
        token_, number = bridge.FeatureType.TOKEN, bridge.FeatureType.FLOAT
        for field, kind in ((self.uid_field, token_), (self.iid_field, token_), (self.time_field, number)):
            self.set_field_property(field, kind, bridge.FeatureSource.INTERACTION, 1)
        users = np.repeat(np.arange(1, len(lengths) + 1), lengths)
        positions = np.arange(len(items)) - np.repeat(offsets[:-1], lengths)
        columns = {
            self.uid_field: users,
            self.iid_field: items.astype(np.int64),
            self.time_field: positions.astype(np.float32),
        }
        self.inter_feat = pd.DataFrame(columns)
        self.user_feat = self.item_feat = None

    def _remap_ID_all(self) -> None:
        """Keep our ids. RecBole would number tracks by first appearance and drop unplayed tracks."""
        tracks = self._train.corpus.tracks["id"].to_pylist()
        users = [str(row) for row in self._train.rows]
        for field, names in ((self.iid_field, tracks), (self.uid_field, users)):
            self.field2id_token[field] = np.array(["[PAD]", *names], dtype=object)
            self.field2token_id[field] = {name: number for number, name in enumerate(self.field2id_token[field])}

    def _fill_nan(self) -> None:
        """Do nothing, because the arrays have no missing values."""


def row_bytes(max_length: int) -> int:
    """Return the bytes of a prefix row, with padded int64 tracks and float32 positions, and four single fields."""
    return max_length * (8 + 4) + 8 + 8 + 8 + 4


def _rows(train: PlaylistSet) -> int:
    return int(np.maximum(train.lengths - 1, 0).sum())


def masking_problem(train: PlaylistSet, max_length: int) -> str:
    """Return why RecBole's masking might not end, with the cure, or ""."""
    if train.corpus.n_items > max_length:
        return ""
    return (
        f"a catalogue of {train.corpus.n_items} tracks must be larger than max_length={max_length}, because RecBole"
        " draws a track outside the playlist for each mask: reduce max_length"
    )


def memory_problem(train: PlaylistSet, max_length: int, memory_gb: float) -> str:
    """Return why the prefix rows of `train` exceed `memory_gb`, with the cure, or ""."""
    rows = _rows(train)
    need = rows * row_bytes(max_length) / 2**30
    if need <= memory_gb:
        return ""
    return (
        f"RecBole's {rows} prefix rows of this split take {need:.1f} GiB, above memory_gb={memory_gb:g}:"
        " raise memory_gb, reduce max_length, or remove the recbole baselines"
    )


def loaders(
    config: bridge.Config, train: PlaylistSet, valid: HeldOut | None, *, memory_gb: float = 8.0
) -> tuple[bridge.TrainDataLoader, bridge.FullSortEvalDataLoader | None]:
    """Return RecBole's train loader over every prefix, and its full-sort loader over `valid` (None without).

    The validation target is the track after the seeds. Playlists without a seed are left out.

    - memory_gb: memory limit of the prefix rows.

    Raises `InputError` if the rows exceed the limit, if no playlist has two tracks, or if RecBole's masking might not
    end.
    """
    length = config["MAX_ITEM_LIST_LENGTH"]
    if config["transform"] == "mask_itemseq" and (problem := masking_problem(train, length)):
        raise InputError(problem)
    if _rows(train) == 0:
        raise InputError(
            f"none of the {len(train)} training playlists has at least 2 tracks, which RecBole requires: add longer"
            " playlists"
        )
    if problem := memory_problem(train, length, memory_gb):
        raise InputError(problem)
    dataset = PlaylistDataset(config, train)
    train_loader = bridge.TrainDataLoader(config, dataset, None, shuffle=True)
    if valid is None:
        return train_loader, None
    queries = dataset.copy(_valid_rows(config, valid))
    return train_loader, bridge.FullSortEvalDataLoader(config, queries, None, shuffle=False) if len(queries) else None


def _valid_rows(config: bridge.Config, valid: HeldOut) -> bridge.Interaction:
    chosen = np.flatnonzero(valid.cuts > valid.starts)
    length = config["MAX_ITEM_LIST_LENGTH"]
    ids, lengths = valid.queries().last(length)
    lists = np.zeros((len(chosen), length), np.int64)
    lists[:, : ids.shape[1]] = ids[chosen]
    rows = {
        config["USER_ID_FIELD"]: chosen + 1,
        config["ITEM_ID_FIELD"]: np.asarray(valid.items[valid.cuts[chosen]], dtype=np.int64),
        config["ITEM_LIST_LENGTH_FIELD"]: lengths[chosen],
        config["ITEM_ID_FIELD"] + config["LIST_SUFFIX"]: lists,
    }
    return bridge.Interaction({name: torch.from_numpy(values) for name, values in rows.items()})
