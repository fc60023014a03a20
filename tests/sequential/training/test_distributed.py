"""Tests that two processes take the same training steps as one process."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.processes import finish, start
from tests.sequential.training import rank_training
from toolkit.errors import InputError
from toolkit.sequential.training.distributed import Processes


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    codes, _, errors = finish(start([rank_training.__file__, str(folder)]))
    assert codes == [0, 0], errors
    return folder


@pytest.mark.parametrize("case", rank_training.CASES)
def test_two_processes_train_the_same_weights_as_one(case: str, together: Path) -> None:
    """Playlists of each step, losses, validation metrics and weights are equal up to the order of sums."""
    alone, shared = rank_training.results(rank_training.fit(case)), load_file(together / f"{case}.safetensors")
    assert set(shared) == set(alone)
    assert alone["curve"][-1, 1] < alone["curve"][0, 1]
    for name, wanted in alone.items():
        if name.endswith("key.bias"):
            continue  # no score depends on it: its gradients are rounding errors, which Adam makes steps of
        torch.testing.assert_close(
            shared[name], wanted, atol=1e-4, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )
    torch.testing.assert_close(shared["curve"][:, 1], alone["curve"][:, 1], atol=1e-5, rtol=1e-5)


def test_own_rows_split_a_batch_between_processes() -> None:
    rows = torch.arange(10).view(5, 2)
    shares = [rows[Processes(rank, 3).own_rows(5)] for rank in range(3)]
    assert [share[:, 0].tolist() for share in shares] == [[0, 6], [2, 8], [4]]
    assert torch.equal(rows[Processes().own_rows(5)], rows)


def test_own_rows_seeds_each_process_differently() -> None:
    drawn = []
    for rank in range(2):
        torch.manual_seed(5)
        common = torch.rand(3).tolist()
        Processes(rank, 2).own_rows(4)
        drawn.append((common, torch.rand(3).tolist()))
    assert drawn[0][0] == drawn[1][0]
    assert drawn[0][1] != drawn[1][1]


def test_has_rows_is_false_with_fewer_rows_than_processes() -> None:
    assert torch.tensor([7, 8])[Processes(2, 3).own_rows(2)].tolist() == [7]
    assert [Processes(rank, 3).has_rows(2) for rank in range(3)] == [True, True, False]


def test_single_process_returns_its_own_loss_and_decision() -> None:
    grad = torch.ones(2)
    loss, targets = Processes().mean(torch.tensor(3.0), 4, [grad])
    assert (float(loss), targets, grad.tolist()) == (3.0, 4, [1.0, 1.0])
    assert Processes().decide(lambda: {"ndcg@10": 0.5}) == {"ndcg@10": 0.5}


@pytest.mark.parametrize(
    ("device", "why"),
    [("cuda:0", "can be set only with one process, but 2 run"), ("cuda", "require a CUDA device each, but .* 0")],
)
def test_check_device_raises_unless_each_process_has_a_device(
    device: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match=why):
        Processes(0, 2).check_device(device)
    Processes(0, 2).check_device("cpu")
    Processes().check_device("cuda:0")
