"""Writers for fitted models and for track vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from toolkit import run_directory
from toolkit.errors import InputError
from toolkit.files import folder, write_json
from toolkit.ranker_registry import entry_name

if TYPE_CHECKING:
    from segue.model import Model


def write_model(model: Model, target: Path, *, overwrite: bool) -> None:
    """Write weights, settings and track names. Raises `InputError` if `target` must not be replaced."""
    import pyarrow.feather as feather

    ranker = model.ranker
    _check_target(target, overwrite=overwrite)
    entry = {
        "system": model.name,
        "ranker": entry_name(ranker),
        "modalities": [modality.name for modality in model.modalities],
        "oracle": ranker.capabilities.oracle,
    }
    with folder(target) as unfinished:
        (unfinished / run_directory.MODEL).mkdir()
        ranker.save(unfinished / run_directory.MODEL / model.name)
        feather.write_feather(model.tracks, unfinished / run_directory.TRACKS, compression="zstd")
        write_json(unfinished / run_directory.SYSTEMS, {"systems": [entry]})


def write_vectors(model: Model, target: Path, format: Literal["parquet", "safetensors", "npz"]) -> list[Path]:
    """Write the track vectors and each modality's vectors. Returns the paths. Raises `InputError` without vectors."""
    items = model.item_vectors()
    if items is None:
        raise InputError(f"{model.name} does not have track vectors: export a sequential model, for example")
    target.mkdir(parents=True, exist_ok=True)
    parts = {"items": items, **{f"modality-{name}": each for name, each in model.modality_vectors().items()}}
    paths = {name: target / f"{name}.{format}" for name in parts}
    for name, path in paths.items():
        parts[name].save(path, model.tracks)
    return list(paths.values())


def _check_target(target: Path, *, overwrite: bool) -> None:
    """Raise `InputError` for a folder that a saved model must not replace."""
    if not target.exists():
        return
    saved = (
        target.is_dir() and (target / run_directory.SYSTEMS).exists() and not (target / run_directory.RECIPE).exists()
    )
    if not saved and not (target.is_dir() and not any(target.iterdir())):
        raise InputError(f"{target} must be empty or a saved model: use a different folder")
    if saved and not overwrite:
        raise InputError(f"{target} already contains a saved model: use a different folder, or pass overwrite=True")
