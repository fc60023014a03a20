"""RecBole 1.2.1 for current packages, with its models, configuration, trainer and checkpoints but no side effects.

Zhao et al., "RecBole", CIKM 2021; MIT licence; dormant since 2025-02. As released, RecBole requires names that NumPy 2
removed and unpickles whole checkpoints. Its `Config` evaluates strings, reads `sys.argv`, sets CUDA_VISIBLE_DEVICES and
changes PyYAML's loader. Importing its models turns on autograd's anomaly detection, which slows every training in the
process. Each of these steps is replaced, so nothing outside RecBole's own modules changes and nothing has to be
restored.

Only this module and `toolkit.baselines.stock.stock_models` import recbole. Importing this module imports RecBole and
torch.
"""

from __future__ import annotations

import difflib
import pickle
import random
import re
import sys
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Literal
from unittest import mock

import numpy as np
import torch
import yaml

from toolkit import devices
from toolkit.errors import DataError, MissingPackage, RecipeError, require
from toolkit.packages import RECBOLE
from toolkit.sequential.recbole import optional_imports

DATASET = "segue"
"""Dataset name for RecBole, which has no properties file of that name and no address to download it from."""


class _NumpyView(ModuleType):
    """NumPy with the names that RecBole requires, separate from the real module, which is not changed."""

    def __getattr__(self, name: str) -> object:
        return getattr(np, name)


_VIEW = _NumpyView("numpy")
_VIEW.__dict__.update(float=np.float64, int=np.int_, object=np.object_, str=np.str_, float_=np.float64)


def recbole() -> ModuleType:
    """Return the RecBole package, ready to use. May be called repeatedly.

    Raises `MissingPackage` if RecBole is not installed or has another version.
    """
    package = require("recbole", install=RECBOLE.install)
    if package.__version__ != RECBOLE.version:
        raise MissingPackage(f"recbole=={package.__version__} must be version {RECBOLE.version}: {RECBOLE.install}")
    anomaly = torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()
    with optional_imports.placeholders():
        for module in ("config", "data.dataset", "data.dataloader", "evaluator", "trainer"):
            require(f"recbole.{module}", install=RECBOLE.install)
        require("recbole.model.sequential_recommender", install=RECBOLE.install)
    # one of its models (SINE) switches autograd's anomaly detection on for the whole process when it is imported
    torch.autograd.set_detect_anomaly(*anomaly)
    for name, loaded in list(sys.modules.items()):
        if name.startswith("recbole.") and getattr(loaded, "np", None) is np:
            loaded.__dict__["np"] = _VIEW
    return package


recbole()

from recbole.config import Config  # noqa: E402
from recbole.data.dataloader import FullSortEvalDataLoader, TrainDataLoader  # noqa: E402
from recbole.data.dataset import SequentialDataset  # noqa: E402
from recbole.data.interaction import Interaction  # noqa: E402
from recbole.data.transform import MaskItemSequence, construct_transform  # noqa: E402
from recbole.model.abstract_recommender import SequentialRecommender  # noqa: E402
from recbole.model.layers import FeedForward, MultiHeadAttention, TransformerEncoder  # noqa: E402
from recbole.model.sequential_recommender import BERT4Rec, GRU4Rec, SASRec  # noqa: E402
from recbole.trainer import trainer as _trainer  # noqa: E402
from recbole.utils import FeatureSource, FeatureType, init_seed  # noqa: E402

__all__ = [
    "BERT4Rec",
    "Config",
    "FeatureSource",
    "FeatureType",
    "FeedForward",
    "FullSortEvalDataLoader",
    "GRU4Rec",
    "Interaction",
    "MaskItemSequence",
    "MultiHeadAttention",
    "SASRec",
    "SequentialDataset",
    "SequentialRecommender",
    "TrainDataLoader",
    "Trainer",
    "TransformerEncoder",
    "config",
    "load_checkpoint",
    "model_config",
    "recbole",
    "seeded",
]

_PROPERTIES = Path(recbole().__file__ or "").parent / "properties" / "model"
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9@.+-]*(_[A-Za-z0-9@.+-]+)*_?")
_INTERVAL = re.compile(r"[\[(][0-9.]+,([0-9.]+|inf)[\])]")


class _Loader(yaml.SafeLoader):
    """YAML loader for RecBole's property files that reads a number such as 1e-12 as a float."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$"), list("-+0123456789")
)


class _PlainConfig(Config):
    """RecBole's Config from a checked dict, without eval, command line or changes elsewhere."""

    def compatibility_settings(self) -> None:
        """Do nothing, because RecBole's method would overwrite attributes of NumPy."""

    def _build_yaml_loader(self) -> type[yaml.SafeLoader]:
        return _Loader

    def _convert_config_dict(self, config_dict: dict[str, object]) -> dict[str, object]:
        return dict(config_dict)

    def _load_cmd_line(self) -> dict[str, object]:
        return {}

    def _load_internal_config_dict(self, model: str, model_class: type, dataset: str) -> None:
        # a subclass has its base's defaults, whatever its name
        named = (base.__name__ for base in model_class.__mro__ if (_PROPERTIES / f"{base.__name__}.yaml").is_file())
        super()._load_internal_config_dict(next(named, model), model_class, dataset)
        for key in self.variable_config_dict:
            if key not in self.internal_config_dict:
                near = difflib.get_close_matches(key, self.internal_config_dict, n=1)
                hint = f"did you mean {near[0]!r}?" if near else "see RecBole's properties/overall.yaml"
                raise RecipeError(f"{key!r} is not a setting of {model}: {hint}")

    def _init_device(self) -> None:
        self.final_config_dict.update(single_spec=True, local_rank=0, device=torch.device("cpu"))


def config(model: type | str, *, settings: Mapping[str, object], device: str = "cpu") -> Config:
    """Return RecBole's configuration of `model`, its defaults changed by `settings`.

    - model: RecBole's class, a subclass, or a name (`SASRec`).
    - settings: RecBole's keys with plain values: words, numbers, or lists and dictionaries of words and numbers.
      `checkpoint_dir` may be any path.
    - device: `auto`, `cpu` or `cuda`. RecBole's own `gpu_id` is ignored.

    Raises `RecipeError` for an unknown key or a value that is not plain.
    """
    recbole()
    checked = {key: _plain(key, value) for key, value in settings.items()}
    # RecBole's own default, one sampled negative, contradicts its models' default loss
    checked.setdefault("train_neg_sample_args", None)
    try:
        built = _PlainConfig(model=model, dataset=DATASET, config_dict=checked)
    except (ValueError, TypeError, NotImplementedError, RuntimeError) as error:
        raise RecipeError(f"RecBole rejected the settings ({error}): change the settings") from None
    built["device"] = torch.device(devices.device(device))
    construct_transform(built)  # BERT4Rec's names the masked fields in the configuration
    return built


def _plain(key: str, value: object) -> object:
    """Return a copy of `value`.

    Raises `RecipeError` for strings that are not words, because RecBole evaluates strings.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        if key == "checkpoint_dir" or value == "" or _WORD.fullmatch(value) or _INTERVAL.fullmatch(value):
            return value
        raise RecipeError(
            f"{key}={value!r} must be a plain word or number, because RecBole evaluates it as Python: pass a word"
        )
    if isinstance(value, list | tuple):
        return [_plain(key, part) for part in value]
    if isinstance(value, Mapping):
        return {_plain(key, name): _plain(key, part) for name, part in value.items()}
    raise RecipeError(f"{key}={value!r} must be a word, a number, or a list or dictionary of these: pass a plain value")


@dataclass(frozen=True)
class CatalogueSize:
    """Catalogue size in place of a dataset, as RecBole's sequential models read nothing else when they are built."""

    n_items: int

    def num(self, field: str) -> int:
        """Return the number of ids of the item field, including padding."""
        return self.n_items + 1


def model_config(
    base: Literal["SASRec", "BERT4Rec"],
    *,
    n_items: int,
    hidden_size: int = 64,
    layers: int = 2,
    heads: int = 2,
    inner_size: int | None = None,
    max_length: int = 50,
    dropout: float = 0.2,
    attention_dropout: float = 0.0,
    mask_ratio: float = 0.2,
    device: str = "cpu",
) -> tuple[Config, CatalogueSize]:
    """Return the two arguments of `bridge.SASRec` or a subclass, without any file.

    - n_items: V. RecBole's own `n_items` is V + 1, and the id of BERT4Rec's mask token is V + 1.
    - inner_size: 4 · hidden_size by default, RecBole's ratio.
    """
    settings: dict[str, object] = {
        "hidden_size": hidden_size,
        "n_layers": layers,
        "n_heads": heads,
        "inner_size": inner_size if inner_size is not None else 4 * hidden_size,
        "MAX_ITEM_LIST_LENGTH": max_length,
        "hidden_dropout_prob": dropout,
        "attn_dropout_prob": attention_dropout,
    }
    if base == "BERT4Rec":
        settings["mask_ratio"] = mask_ratio
    # by its class: for a name RecBole would import all of its models, some of which need scikit-learn
    return config({"SASRec": SASRec, "BERT4Rec": BERT4Rec}[base], settings=settings, device=device), CatalogueSize(
        n_items
    )


class _NoBoard:
    """Stand-in for the TensorBoard writer that RecBole's trainer would open in the current directory."""

    def _ignore(self, *_: object) -> None: ...

    add_scalar = add_hparams = _ignore


class Trainer(_trainer.Trainer):
    """RecBole's trainer with the same steps, without a TensorBoard folder, and with a best model that it can load."""

    def __init__(self, config: Config, model: torch.nn.Module) -> None:
        with mock.patch.object(_trainer, "get_tensorboard", lambda logger: _NoBoard()):
            super().__init__(config, model)

    def _train_epoch(
        self,
        train_data: Iterable[Interaction],
        epoch_idx: int,
        loss_func: Callable[[Interaction], torch.Tensor] | None = None,
        show_progress: bool = False,
    ) -> float:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r".*GradScaler", category=FutureWarning)
            return super()._train_epoch(train_data, epoch_idx, loss_func=loss_func, show_progress=show_progress)

    def evaluate(
        self,
        eval_data: FullSortEvalDataLoader,
        load_best_model: bool = True,
        model_file: Path | str | None = None,
        show_progress: bool = False,
    ) -> Mapping[str, float]:
        if load_best_model:
            self.model.load_state_dict(load_checkpoint(Path(model_file or self.saved_model_file)))
        return super().evaluate(eval_data, load_best_model=False, show_progress=show_progress)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Apply RecBole's `init_seed` within a context, and restore every generator and cuDNN flag afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    cudnn = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    with torch.random.fork_rng():
        try:
            init_seed(seed % 2**32, True)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = cudnn


class _Inert:
    """Stand-in for classes and functions in a checkpoint, so only tensors are built and no code is run."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def _ignore(self, *_: object) -> None: ...

    __setstate__ = __setitem__ = append = extend = add = _ignore


class _TensorUnpickler(pickle.Unpickler):
    """Unpickler for tensors and ordered dictionaries. Torch's own cannot read RecBole's pickle protocol 4."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
            # a new callable: a crafted file could set attributes on the object it gets
            return partial(getattr(torch._utils, name))
        return _Inert


def load_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights in a checkpoint of RecBole's trainer, on the CPU, by RecBole's parameter names.

    Such a file pickles a whole configuration next to the weights. Only tensors are read. Everything else becomes an
    empty placeholder, so a file from an unknown source runs no code.

    Raises `DataError` for a file without weights.
    """
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("the file is missing or is not in torch's zip format")
        reader = SimpleNamespace(Unpickler=_TensorUnpickler, __name__="pickle")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            weights = torch.load(path, map_location="cpu", pickle_module=reader, weights_only=False)["state_dict"]  # nosec B614 # the reader builds tensors and inert values alone
        if not all(isinstance(value, torch.Tensor) for value in weights.values()):
            raise TypeError("state_dict must hold only tensors")
    except Exception as error:  # torch raises a dozen kinds for a broken file
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"{path} is not a checkpoint of RecBole's trainer: {reason}") from None
    return dict(weights)
