"""Tests that RecBole runs with current packages and changes nothing outside its own modules."""

from __future__ import annotations

import copy
import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut, PlaylistSet
from toolkit.errors import DataError, InputError, MissingPackage, RecipeError
from toolkit.sequential.recbole import bridge
from toolkit.sequential.recbole.prefix_rows import PlaylistDataset, loaders, row_bytes

SMALL = {"hidden_size": 8, "inner_size": 16, "MAX_ITEM_LIST_LENGTH": 4, "train_batch_size": 8}


def corpus_of(lists: list[list[int]], n_items: int) -> Corpus:
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in lists])]).astype(np.int64)
    names = [f"local:{item}" for item in range(1, n_items + 1)]
    nothing = pa.nulls(len(lists), pa.string())
    playlists = pa.table(
        {"id": [f"p{row}" for row in range(len(lists))], "title": nothing, "group": nothing, "split": nothing}
    )
    return Corpus(
        np.array([i for row in lists for i in row], np.int32),
        offsets,
        pa.table({"id": names, "title": names}),
        playlists,
    )


def training(lists: list[list[int]], n_items: int) -> PlaylistSet:
    corpus = corpus_of(lists, n_items)
    return PlaylistSet(corpus, np.arange(len(corpus)), corpus.offsets[:-1], corpus.offsets[1:])


def held_out(lists: list[list[int]], cuts: list[int], n_items: int) -> HeldOut:
    corpus = corpus_of(lists, n_items)
    starts = corpus.offsets[:-1]
    return HeldOut(corpus, np.arange(len(corpus)), starts, starts + np.array(cuts), corpus.offsets[1:])


SNAPSHOT = """
    import copy, logging, os, random, sys, warnings
    import numpy as np, torch, yaml
    import torch.utils.tensorboard, sklearn.metrics, pandas, scipy.sparse, tqdm, colorlog, colorama, texttable
    import torch.cuda.amp

    def snapshot():
        return {
            "numpy": {name: id(value) for name, value in vars(np).items() if not name.startswith("__")},
            "environ": dict(os.environ),
            "argv": list(sys.argv),
            "yaml": {
                loader.__name__: repr(loader.yaml_implicit_resolvers) for loader in (yaml.FullLoader, yaml.SafeLoader)
            },
            "torch": (torch.get_default_dtype(), torch.get_num_threads(), torch.load),
            "cudnn": torch.backends.cudnn.deterministic,
            "autograd": (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled(), torch.is_grad_enabled()),
            "random": (random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()),
            "warnings": list(warnings.filters),
            "logging": (logging.root.level, list(logging.root.handlers)),
            "files": sorted(os.listdir(".")),
        }

    before = snapshot()
"""


def run(script: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).resolve().parents[3])
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_importing_recbole_does_not_change_numpy_torch_or_environment(tmp_path: Path) -> None:
    script = (
        SNAPSHOT
        + """
    from toolkit.sequential.recbole import bridge
    config = bridge.config("BERT4Rec", settings={"n_layers": 1, "gpu_id": "7"})
    assert config["hidden_size"] == 64, config["hidden_size"]
    after = snapshot()
    assert before.keys() == after.keys()
    print([name for name in before if before[name] != after[name]])
    """
    )
    done = run(script, "--hidden_size=7", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_missing_recbole_raises_with_install_command(tmp_path: Path) -> None:
    script = """
    import sys
    sys.modules["recbole"] = None
    from toolkit.errors import MissingPackage
    try:
        import toolkit.sequential.recbole.bridge
    except MissingPackage as error:
        print(error)
    """
    done = run(script, cwd=tmp_path)
    assert done.stdout.strip() == "package recbole is not installed: pip install --no-deps recbole==1.2.1", done.stderr


def test_other_recbole_version_raises_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge.recbole(), "__version__", "1.1.1")
    with pytest.raises(
        MissingPackage, match=r"recbole==1\.1\.1 must be version 1\.2\.1: pip install --no-deps recbole==1\.2\.1"
    ):
        bridge.recbole()


@pytest.mark.parametrize(
    "value", ["__import__('os').getcwd()", "exit()", "[].append(1)", "a b", "1 + 1", "__class__", "x;y"]
)
def test_setting_that_is_not_a_plain_word_raises_recipe_error(value: str) -> None:
    with pytest.raises(RecipeError, match="must be a plain word or number"):
        bridge.config("SASRec", settings={"learner": value})
    with pytest.raises(RecipeError, match="must be a plain word or number"):
        bridge.config("SASRec", settings={"eval_args": {"order": ["TO", value]}})


def test_settings_are_not_evaluated_as_python() -> None:
    assert (
        bridge.config("SASRec", settings={"learner": "adamw", "wandb_project": "sys.path"})["wandb_project"]
        == "sys.path"
    )


def test_unknown_or_invalid_setting_raises_recipe_error() -> None:
    with pytest.raises(RecipeError, match=r"'hidden_sise' is not a setting of SASRec: did you mean 'hidden_size'\?"):
        bridge.config("SASRec", settings={"hidden_sise": 3})
    with pytest.raises(RecipeError, match="'local_rank' is not a setting"):  # it would open a process group
        bridge.config("SASRec", settings={"local_rank": 0})
    with pytest.raises(RecipeError, match="learner=<object object at .*> must be a word, a number"):
        bridge.config("SASRec", settings={"learner": object()})
    with pytest.raises(RecipeError, match="topk must be a positive integer"):
        bridge.config("SASRec", settings={"topk": [0]})


def test_config_defaults_equal_recbole_defaults() -> None:
    config = bridge.config("SASRec", settings={})
    names = (
        "n_layers",
        "n_heads",
        "hidden_size",
        "inner_size",
        "hidden_dropout_prob",
        "layer_norm_eps",
        "hidden_act",
        "loss_type",
    )
    assert [config[name] for name in names] == [2, 2, 64, 256, 0.5, 1e-12, "gelu", "CE"]
    assert (config["epochs"], config["train_batch_size"], config["valid_metric"], config["stopping_step"]) == (
        300,
        2048,
        "MRR@10",
        10,
    )


def test_config_of_a_subclass_has_defaults_of_its_base() -> None:
    class Mine(bridge.BERT4Rec):  # type: ignore[misc,unused-ignore]
        pass

    config = bridge.config(Mine, settings={"n_layers": 1})
    assert (config["model"], config["n_layers"], config["mask_ratio"], config["hidden_dropout_prob"]) == (
        "Mine",
        1,
        0.2,
        0.2,
    )
    assert config["MASK_ITEM_SEQ"] == "Mask_item_id_list"


def test_model_config_builds_models_without_files() -> None:
    config, dataset = bridge.model_config(
        "SASRec", n_items=10, hidden_size=8, layers=1, heads=2, max_length=6, dropout=0.1
    )
    model = bridge.SASRec(config, dataset)
    assert model.item_embedding.weight.shape == (11, 8)
    assert model.position_embedding.weight.shape == (6, 8)
    assert model.trm_encoder.layer[0].feed_forward.dense_1.weight.shape == (32, 8)
    assert (model.dropout.p, model.trm_encoder.layer[0].multi_head_attention.attn_dropout.p) == (0.1, 0.0)
    assert "trm_encoder.layer.0.multi_head_attention.query.weight" in model.state_dict()
    config, dataset = bridge.model_config(
        "BERT4Rec", n_items=10, hidden_size=8, max_length=6, mask_ratio=0.5, inner_size=12
    )
    bert = bridge.BERT4Rec(config, dataset)
    assert (bert.mask_token, bert.mask_item_length, len(bert.output_bias), len(bert.item_embedding.weight)) == (
        11,
        3,
        11,
        12,
    )


def test_seeded_restores_random_generators() -> None:
    def states() -> tuple[object, ...]:
        return (
            random.getstate(),
            repr(np.random.get_state()),
            torch.get_rng_state().tolist(),
            torch.backends.cudnn.deterministic,
        )

    before = states()
    with bridge.seeded(5):
        first = random.random(), np.random.random(), float(torch.rand(()))
    with bridge.seeded(5):
        second = random.random(), np.random.random(), float(torch.rand(()))
    assert first == second
    assert states() == before


# prefix rows


def test_train_loader_has_a_row_for_every_prefix_with_our_ids() -> None:
    config = bridge.config("SASRec", settings=SMALL)
    lists = [[5, 3, 9], [7], [1, 2, 3, 4, 5, 6, 7]]
    dataset = PlaylistDataset(config, training(lists, 12))
    feat = dataset.inter_feat
    rows = [
        (user, feat["item_id_list"][row][: feat["item_length"][row]].tolist(), int(feat["item_id"][row]))
        for row, user in enumerate(feat["user_id"].tolist())
    ]
    # the slow and obvious twin
    wanted = [
        (user, row[max(0, end - 4) : end], row[end])
        for user, row in enumerate(lists, start=1)
        for end in range(1, len(row))
    ]
    assert rows == wanted
    assert rows[:2] == [(1, [5], 3), (1, [5, 3], 9)]
    assert dataset.num("item_id") == 13  # tracks nobody played included
    assert dataset.token2id("item_id", "local:9") == 9
    assert dataset.id2token("item_id", 12) == "local:12"


def test_valid_loader_target_is_the_track_after_the_seeds() -> None:
    config = bridge.config("SASRec", settings=SMALL)
    valid = held_out([[1, 2, 3], [4, 5, 6, 7, 8, 9, 10], [2, 3]], [1, 5, 0], 12)
    _, loader = loaders(config, training([[1, 2]], 12), valid)
    ((rows, _, positive_u, positive_i),) = list(loader)
    assert rows["item_id_list"].tolist() == [[1, 0, 0, 0], [5, 6, 7, 8]]
    assert rows["item_length"].tolist() == [1, 4]
    assert (positive_u.tolist(), positive_i.tolist()) == ([0, 1], [2, 9])


def test_loaders_raise_for_too_many_or_zero_rows() -> None:
    config = bridge.config("SASRec", settings=SMALL)
    with pytest.raises(
        InputError, match=r"RecBole's 1999 prefix rows of this split take 0\.0 GiB, above memory_gb=1e-05"
    ):
        loaders(config, training([[1, 2] * 1000], 2), None, memory_gb=1e-5)
    with pytest.raises(InputError, match="at least 2 tracks"):
        loaders(config, training([[1], [2]], 2), None)
    with pytest.raises(InputError, match="a catalogue of 4 tracks must be larger than max_length=4"):
        loaders(bridge.config("BERT4Rec", settings=SMALL), training([[1, 2, 3, 4]], 4), None)


def test_row_bytes_equal_bytes_of_loader_tensors() -> None:
    config = bridge.config("SASRec", settings=SMALL)
    dataset = PlaylistDataset(config, training([[1, 2, 3, 4]], 12))
    rows: Any = dataset.inter_feat
    held = sum(tensor.numel() * tensor.element_size() for tensor in rows.interaction.values())
    assert held / len(dataset) == row_bytes(4) == 76


# RecBole's own trainer and its checkpoints


def one_epoch(base: str, folder: Path) -> tuple[bridge.Trainer, object, object]:
    with bridge.seeded(0):
        config = bridge.config(
            base,
            settings={
                **SMALL,
                "MAX_ITEM_LIST_LENGTH": 5,
                "train_batch_size": 30,
                "epochs": 1,
                "checkpoint_dir": str(folder / "kept"),
            },
        )
        lists = [[(start + step) % 12 + 1 for step in range(6)] for start in range(12)]
        train, valid = loaders(config, training(lists, 12), held_out(lists[:3], [3, 3, 3], 12))
        trainer = bridge.Trainer(config, getattr(bridge, base)(config, bridge.CatalogueSize(12)))
        trainer.fit(train, valid, verbose=False)
    return trainer, train, valid


@pytest.mark.parametrize("base", ["SASRec", "BERT4Rec"])
def test_stock_model_trains_an_epoch_under_recbole_trainer(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trainer, _, valid = one_epoch(base, tmp_path)
    assert trainer.train_loss_dict[0] / 2 == pytest.approx(np.log(13), abs=0.1)  # 60 prefixes, 2 steps
    result = trainer.evaluate(valid, load_best_model=True)
    assert result == trainer.best_valid_result
    assert set(result) >= {"recall@10", "mrr@10", "ndcg@10"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]  # no TensorBoard folder


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_load_checkpoint_reads_stock_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint is written by RecBole's own Config and Trainer, without our classes."""
    from recbole.config import Config
    from recbole.trainer import Trainer

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["python"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(
        yaml.FullLoader, "yaml_implicit_resolvers", copy.deepcopy(yaml.FullLoader.yaml_implicit_resolvers)
    )
    for name, value in {"float_": np.float64, "complex_": np.complex128, "unicode_": np.str_}.items():
        monkeypatch.setattr(np, name, value, raising=False)
    for name in ("bool", "int", "float", "complex", "object", "str", "long", "unicode"):
        monkeypatch.setattr(np, name, getattr(np, name, None), raising=False)
    with bridge.seeded(0):
        settings = {"train_neg_sample_args": None, "hidden_size": 8, "MAX_ITEM_LIST_LENGTH": 4, "gpu_id": ""}
        stock = Config("SASRec", "any", config_dict=settings)
        assert type(stock) is Config
        trainer = Trainer(stock, bridge.SASRec(stock, bridge.CatalogueSize(12)))
    trainer._save_checkpoint(0, verbose=False)

    with pytest.raises(Exception, match="Weights only load failed"):
        torch.load(trainer.saved_model_file)
    weights = bridge.load_checkpoint(Path(trainer.saved_model_file))
    config, dataset = bridge.model_config("SASRec", n_items=12, hidden_size=8, inner_size=256, max_length=4)
    ours = bridge.SASRec(config, dataset)
    ours.load_state_dict(weights)
    assert all(torch.equal(weights[name], value) for name, value in trainer.model.state_dict().items())


class Trap:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


def test_load_checkpoint_runs_no_code_from_the_file(tmp_path: Path) -> None:
    torch.save({"config": Trap(tmp_path / "sprung"), "state_dict": {"weight": torch.ones(2)}}, tmp_path / "model.pth")
    assert bridge.load_checkpoint(tmp_path / "model.pth")["weight"].tolist() == [1.0, 1.0]
    torch.save({"state_dict": {"weight": Trap(tmp_path / "sprung")}}, tmp_path / "worse.pth", pickle_protocol=4)
    with pytest.raises(DataError, match="state_dict must hold only tensors"):
        bridge.load_checkpoint(tmp_path / "worse.pth")
    assert not (tmp_path / "sprung").exists()


def test_load_checkpoint_raises_data_error_for_other_files(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("not a checkpoint")
    torch.save([1, 2], tmp_path / "list.pth")
    for name in ("text.pth", "list.pth", "absent.pth"):
        with pytest.raises(DataError, match=rf"{name} is not a checkpoint of RecBole's trainer: "):
            bridge.load_checkpoint(tmp_path / name)
