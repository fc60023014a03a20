"""Cut Cross-Entropy, an optional CUDA kernel for the loss `chunked` that keeps logits in on-chip memory.

Wijmans, Hurst, Ramesh et al. 2025, "Cut Your Losses in Large-Vocabulary Language Models", arXiv:2411.09009; code:
https://github.com/apple/ml-cross-entropy. Factors are bfloat16, logits and sums float32. The paper omits very small
gradients (`filter_eps`). Here they are kept, because with millions of tracks most gradients are small and their sum is
not.
"""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Callable

import torch

from toolkit.sequential.losses.loss_scores import Scores

log = logging.getLogger(__name__)

SOURCE = "https://github.com/apple/ml-cross-entropy"

Kernel = Callable[..., torch.Tensor]


def choose(device: str, *, bf16: bool) -> Kernel | None:
    """Return the kernel if it can replace `chunked` on `device`, and on CUDA log which implementation is used."""
    if not device.startswith("cuda"):
        return None
    kernel = _installed()
    reason = refusal(kernel, torch.cuda.get_device_capability(device), bf16=bf16)
    if reason is None:
        log.info("`loss: chunked` uses Cut Cross-Entropy")
        return kernel
    # a warning for those who installed it and expect it
    level = logging.INFO if kernel is None else logging.WARNING
    log.log(level, "`loss: chunked` does not use Cut Cross-Entropy because %s", reason)
    return None


def refusal(kernel: Kernel | None, capability: tuple[int, int], *, bf16: bool) -> str | None:
    """Return the reason not to use the kernel, or None to use it.

    - capability: compute capability of the device.
    """
    if kernel is None:
        return "the package is not installed (pip install 'segue[cuda]')"
    if capability < (8, 0):
        return f"device capability {capability[0]}.{capability[1]} is below 8.0 (Ampere)"
    if not bf16:
        return "the kernel multiplies in bfloat16 and this model does not (`bf16: off`)"
    if "accum_e_fp32" not in inspect.signature(kernel).parameters:
        # 25.1.1, the newest on PyPI: docs/scale.md has how much is lost
        return (
            "the installed release sums gradients in bfloat16 and loses several percent: install a newer release from"
            f" {SOURCE}"
        )
    return None


def loss(kernel: Kernel, scores: Scores, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of `targets` int64 [n] over all C columns of scores without `gold`."""
    query, table = (factor.to(torch.bfloat16) for factor in factors(scores))
    with torch.autocast(query.device.type, enabled=False):
        return kernel(query, table, targets, filter_eps=None, accum_e_fp32=True, accum_c_fp32=True)


def factors(scores: Scores) -> tuple[torch.Tensor, torch.Tensor]:
    """Return query [n, D] and table [C, D], whose product is the score matrix of scores without `gold`.

    Match and bias are added as columns.
    """
    query, table = [scores.query], [scores.table]
    if scores.match_query is not None and scores.match_table is not None:
        query.append(scores.match_query)
        table.append(scores.match_table)
    if scores.bias is not None:
        # in two columns: bfloat16 keeps 8 bits of a bias, and the second column 8 bits of the rest
        high = scores.bias.to(torch.bfloat16).to(scores.bias.dtype)
        query.append(torch.ones_like(scores.query[:, :2]))
        table.append(torch.stack([high, scores.bias - high], 1))
    return torch.cat(query, 1), torch.cat(table, 1)


def _installed() -> Kernel | None:
    try:
        return importlib.import_module("cut_cross_entropy").linear_cross_entropy
    except ImportError:
        return None
