"""Reader and writer of fitted sequential rankers: `model.safetensors`, `model.json` and a folder `titles`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from toolkit import devices, plugins
from toolkit.contracts.learning import Learning
from toolkit.encoders.contract.encoder import Encoder
from toolkit.parts import named
from toolkit.recipe import Fusion, ModelSpec
from toolkit.recipe.fusion_section import modern
from toolkit.recipe.redaction import without_secrets
from toolkit.sequential import build_network
from toolkit.sequential.heads.neighbour_head import Neighbours
from toolkit.sequential.training import checkpoint_tensors

if TYPE_CHECKING:
    from toolkit.sequential.sequential_ranker import SequentialRanker

    Fitted = TypeVar("Fitted", bound=SequentialRanker)


def write_ranker(ranker: SequentialRanker, directory: Path) -> None:
    """Write everything that `read_ranker` requires."""
    space, neighbours = ranker.model.space, ranker.neighbours
    tensors = dict(ranker.model.state_dict()) | {"played": torch.from_numpy(ranker.played)}
    if len(ranker.predicted):
        tensors["predicted"] = torch.from_numpy(ranker.predicted)
    if neighbours is not None:
        tensors["neighbours.ids"] = torch.from_numpy(neighbours.ids)
        tensors["neighbours.similarity"] = torch.from_numpy(neighbours.similarity)
    table, encoder = space.table, ranker.title_encoder
    info: dict[str, object] = {
        "system": ranker.system,
        "spec": without_secrets(named("segue.models", ranker.spec).model_dump(mode="json")),
        "fusion": without_secrets(ranker.fusion.model_dump(mode="json")),
        "modalities": {} if table is None else {name: int(table.content(name).shape[1]) for name in table.names},
        "neighbours": None if neighbours is None else neighbours.weight,
        "match": None if space.match is None else space.match.layout(),
        "title_dim": 0 if encoder is None else encoder.dim,
        "curve": ranker.curve,
        "underfit": ranker.underfit,
        "learning": None if ranker.learning is None else ranker.learning.to_json(),
    }
    directory.mkdir(parents=True, exist_ok=True)
    if encoder is not None:
        encoder.save(directory / "titles")
        info["title_encoder"] = encoder.name
    checkpoint_tensors.write(directory / "model.safetensors", tensors, info)
    (directory / "model.json").write_text(json.dumps(info, indent=1) + "\n")


def read_ranker(cls: type[Fitted], directory: Path, *, device: str) -> Fitted:
    """Return the ranker that `write_ranker` wrote. Raises `RunDirectoryError` for missing or damaged files."""
    tensors, info = checkpoint_tensors.read(directory / "model.safetensors")
    titles: Encoder | None = None
    if name := info.get("title_encoder"):
        titles = plugins.load("segue.encoders", name).load(directory / "titles", device=device)
    spec, fusion = ModelSpec.saved(info["spec"]), Fusion.model_validate(modern(info["fusion"])[0])
    ranker = cls(spec, fusion, name=info["system"], titles=titles)
    ranker.curve, ranker.underfit = info["curve"], info["underfit"]
    ranker.learning = Learning.from_json(info.get("learning"))
    # copies: a view of one tensor would keep the whole file mapped beside the model
    arrays = {
        name: tensors.pop(name).numpy().copy()
        for name in ("played", "predicted", "neighbours.ids", "neighbours.similarity")
        if name in tensors
    }
    ranker.played, ranker.predicted = arrays["played"], arrays.get("predicted", np.zeros(0, np.int64))
    if info["neighbours"] is not None:
        ranker.neighbours = Neighbours(arrays["neighbours.ids"], arrays["neighbours.similarity"], info["neighbours"])
    network = build_network.blank(
        spec, fusion, info["modalities"], info["match"], played=ranker.played, title_dim=info["title_dim"]
    )
    network.load_state_dict(tensors)
    network.space.open_gate(ranker.predicted)
    ranker.model = network.to(devices.device(device)).eval()
    return ranker
