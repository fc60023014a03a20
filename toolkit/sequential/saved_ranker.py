"""Reader and writer of fitted sequential rankers: `model.safetensors`, `model.json` and a folder `titles`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, TypeVar

import numpy as np
import torch

from toolkit import devices, plugins
from toolkit.contracts.learning import Learning
from toolkit.contracts.saved_arrays import TRACKS, Dense, Layout, check, finite, flags, floats, integers
from toolkit.encoders.contract.encoder import Encoder
from toolkit.errors import UNREADABLE, RunDirectoryError, first_line
from toolkit.files import write_json
from toolkit.parts import named
from toolkit.recipe import Fusion, ModelSpec
from toolkit.recipe.fusion_section import modern
from toolkit.recipe.redaction import without_secrets
from toolkit.sequential import build_network
from toolkit.sequential.heads.neighbour_head import Neighbours
from toolkit.sequential.training import checkpoint_tensors
from toolkit.validation import fault_of

if TYPE_CHECKING:
    from toolkit.sequential.sequential_ranker import SequentialRanker

    Fitted = TypeVar("Fitted", bound=SequentialRanker)

FILE = "model.safetensors"
COLUMNS = "modality_of"
"""Name of the buffer with the modality of each column, which indexes other arrays."""
SPARE = 1 << 24
"""Numbers that a network may have beyond its saved ones, 64 MB."""
ARRAYS: Layout = {
    "played": flags(TRACKS),
    "predicted": integers("predicted", least=1, below=TRACKS),
    "neighbours.ids": Dense("int32", (TRACKS, "neighbours"), least=0, below=TRACKS),
    "neighbours.similarity": floats(TRACKS, "neighbours", dtype="float32 or float64"),
}
"""Rules of the arrays next to the network."""


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
    checkpoint_tensors.write(directory / FILE, tensors, info)
    write_json(directory / "model.json", info)


def read_ranker(cls: type[Fitted], directory: Path, *, device: str) -> Fitted:
    """Return the ranker that `write_ranker` wrote. Raises `RunDirectoryError` for missing or damaged files."""
    tensors, info = checkpoint_tensors.read(directory / FILE)
    try:
        return _assembled(cls, tensors, info, directory, device)
    except UNREADABLE as error:
        raise RunDirectoryError(
            f"{directory / FILE} is not a readable model ({first_line(error)}): delete the folder and train the model"
            " again"
        ) from None


def _assembled(
    cls: type[Fitted], tensors: dict[str, torch.Tensor], info: Mapping[str, Any], directory: Path, device: str
) -> Fitted:
    """Return the ranker of the tensors and info in a file. Raises an error of `UNREADABLE` if they are damaged."""
    if fault := fault_of(info, _Info):
        raise ValueError(fault)
    titles: Encoder | None = None
    if name := info.get("title_encoder"):
        titles = plugins.load("segue.encoders", name).load(directory / "titles", device=device)
        if titles.dim != info["title_dim"]:
            raise ValueError(f"its title vectors must have {info['title_dim']} numbers")
    spec, fusion = ModelSpec.saved(info["spec"]), Fusion.model_validate(modern(info["fusion"])[0])
    ranker = cls(spec, fusion, name=info["system"], titles=titles)
    ranker.curve, ranker.underfit = info["curve"], info["underfit"]
    ranker.learning = Learning.from_json(info.get("learning"))
    # copies: a view of one tensor would keep the whole file mapped beside the model
    arrays: dict[str, np.ndarray] = {
        name: tensors.pop(name).numpy().copy()
        for name in ("played", "predicted", "neighbours.ids", "neighbours.similarity")
        if name in tensors
    }
    check(arrays, {name: rule for name, rule in ARRAYS.items() if name in arrays}, len(arrays["played"]) - 1)
    _check_sizes(tensors, spec, [*info["modalities"].values(), *(info["match"] or {}).values()], info["title_dim"])
    ranker.played, ranker.predicted = arrays["played"], arrays.get("predicted", np.zeros(0, np.int64))
    if info["neighbours"] is not None:
        ranker.neighbours = Neighbours(arrays["neighbours.ids"], arrays["neighbours.similarity"], info["neighbours"])
    network = build_network.blank(
        spec, fusion, info["modalities"], info["match"], played=ranker.played, title_dim=info["title_dim"]
    )
    for name, buffer in network.state_dict().items():
        if name.endswith(COLUMNS) and not torch.equal(buffer, tensors[name]):
            raise ValueError(f"{name} does not fit the modalities")
    network.load_state_dict(tensors)
    network.space.open_gate(ranker.predicted)
    ranker.model = network.to(devices.device(device)).eval()
    return ranker


class _Info(TypedDict):
    """Facts about a model in the metadata of its file."""

    system: str
    spec: dict[str, object]
    fusion: dict[str, object]
    modalities: dict[str, int]
    neighbours: float | None
    match: dict[str, int] | None
    title_dim: int
    curve: list[dict[str, float | None]]
    underfit: bool
    learning: NotRequired[dict[str, float | None] | None]
    title_encoder: NotRequired[str]


def _check_sizes(tensors: Mapping[str, torch.Tensor], spec: ModelSpec, columns: Sequence[int], title_dim: int) -> None:
    """Raise `ValueError` if a weight is not finite, or if a network would be much larger than its saved tensors.

    - columns: number of columns of each modality in the item table and the match head.
    - title_dim: dimension of title vectors.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not finite(tensor.float().numpy()):
            raise ValueError(f"{name} must have finite values")
    rows, saved = len(tensors["item_embedding.weight"]), sum(tensor.numel() for tensor in tensors.values())
    hidden, layers, length, inner = (
        int(getattr(spec, name, None) or 1) for name in ("hidden_size", "layers", "max_length", "inner_size")
    )
    wide, width = max([title_dim, *columns]), sum(columns)
    if min(columns, default=0) < 0 or title_dim < 0:
        raise ValueError("a modality must have columns")
    for numbers in (
        rows * hidden,
        layers * hidden * hidden,
        length * hidden,
        layers * inner * hidden,
        rows * width,
        wide * hidden,
    ):
        if numbers > saved + SPARE:
            raise ValueError(f"a network of {numbers:,} numbers does not fit {saved:,} saved ones")
