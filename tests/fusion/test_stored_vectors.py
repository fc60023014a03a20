"""Tests of storing item vectors as float32, bfloat16 or int8."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from toolkit.fusion.item_table import ItemTable
from toolkit.fusion.prepare import BLOCK
from toolkit.fusion.stored_vectors import gather, store
from toolkit.modality import Modality
from toolkit.recipe import Fusion

GENERATOR = np.random.default_rng(0)
ROWS = GENERATOR.normal(0, 1, (50, 16)).astype(np.float32)
ROWS[0], ROWS[7] = 0, 0


def back(precision: Any, *blocks: np.ndarray) -> np.ndarray:
    kept = store(blocks, precision)
    values, scales = kept.values, kept.scales
    block_of = (
        torch.from_numpy(np.repeat(np.arange(len(blocks)), [block.shape[1] for block in blocks]))
        if len(blocks) > 1
        else None
    )
    return gather(values, scales, torch.arange(len(blocks[0])), block_of).numpy()


def test_float32_stores_exact_values() -> None:
    assert np.array_equal(back("float32", ROWS), ROWS)


def test_bfloat16_keeps_eight_significant_bits() -> None:
    np.testing.assert_allclose(back("bfloat16", ROWS), ROWS, rtol=2**-8)


def test_int8_error_is_at_most_a_254th_of_the_row_maximum() -> None:
    """Compare with a loop over numbers, in which rows of zeros stay zero."""
    found = back("int8", ROWS)
    for row, given in zip(found, ROWS, strict=True):
        step = np.float32(np.abs(given).max()) / np.float32(127)
        wanted = [np.float32(round(float(number / step))) * step if step else np.float32(0) for number in given]
        np.testing.assert_allclose(row, wanted, rtol=1e-6)
        assert np.abs(row - given).max() <= step / 2 * 1.001


def test_int8_scales_are_separate_per_modality() -> None:
    small = ROWS / 1000
    found = back("int8", ROWS, small)
    np.testing.assert_allclose(found[:, :16], back("int8", ROWS), rtol=1e-6)
    np.testing.assert_allclose(found[:, 16:], back("int8", small), rtol=1e-6)


def test_int8_stores_more_rows_than_a_block() -> None:
    many = GENERATOR.normal(0, 1, (BLOCK + 3, 2)).astype(np.float32)
    np.testing.assert_allclose(back("int8", many), many, atol=np.abs(many).max() / 254 * 1.01)


@pytest.mark.parametrize(("precision", "bytes_a_row"), [("float32", 4 * 384), ("bfloat16", 2 * 384), ("int8", 384 + 4)])
def test_frozen_table_memory_equals_stored_bytes(precision: Any, bytes_a_row: int) -> None:
    """Also check that the vectors are buffers, without gradients and optimiser state."""
    modality = Modality("text", GENERATOR.normal(0, 1, (1001, 384)).astype(np.float32), np.arange(1001) > 0)
    fusion = Fusion(table=precision, normalise="none")
    table = ItemTable(
        {"text": modality}, fusion, hidden_size=8, train="frozen", played=np.arange(1001) > 0, dropout=0.0
    )
    held = sum(buffer.nbytes for name, buffer in table.named_buffers() if name != "played")
    assert held == 1001 * bytes_a_row
    assert sum(p.numel() for p in table.parameters()) < 384 * 8 + 64
    table.check_loaded()
    assert table(torch.tensor([1, 2])).dtype == torch.float32
    exact = torch.from_numpy(modality.matrix[1:3])
    assert float((table.modality("text", torch.tensor([1, 2])) - exact).norm() / exact.norm()) < 0.01
