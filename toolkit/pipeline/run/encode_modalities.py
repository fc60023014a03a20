"""The catalogue's fields through the recipe's encoders: one modality each, with where its content came from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from segue.modalities import Modality, encode
from segue.split import Training
from toolkit.encoders.contract import registry
from toolkit.encoders.contract.encoder import Encoder
from toolkit.errors import InputError, MissingWeights
from toolkit.ingest.training_permission import permitted
from toolkit.modality import Modality as Aligned
from toolkit.pipeline.run.run_context import Context
from toolkit.recipe import EncoderSpec
from toolkit.run_directory import PICTURES
from toolkit.seeds import derived_seed

SHOWN = 8
"""Pictures of one modality that are shown beside their reconstructions."""

EXAMPLES = 3
"""Tracks without a modality, or with too short a clip for it, that are named."""


@dataclass(frozen=True)
class Encoded:
    """What became of a recipe's encoders: modalities, rows of `coverage.json`, and the key that gives a path to weights not here."""

    modalities: dict[str, Modality] = field(default_factory=dict)
    coverage: list[dict[str, Any]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def encode_all(context: Context, train: Training, wanted: Set[str]) -> Encoded:
    """The modalities of the recipe that are `wanted`; encoders learn from the tracks of `train`, and see their labels, alone.

    Raises `InputError` where content may not be trained on and the recipe gives no permission, and where pretrained weights are not
    here, unless the recipe skips those.
    """
    found, data = Encoded(), train.data
    specs = {name: spec for name, spec in context.recipe.encoders.items() if name in wanted}
    if not specs:
        return found
    ids, permission = data.corpus.tracks["id"].to_pylist(), context.recipe.data.permission
    with data.described.open() as catalogue:
        sources = {name: permitted(catalogue, spec.field, spec.source, ids, permission) for name, spec in specs.items()}
    encoders = {
        name: encoder for name, spec in specs.items() if (encoder := _ready(context, name, spec, found)) is not None
    }
    for name in list(encoders):
        spec, encoder = specs[name], encoders.pop(name)
        context.reporter.stage(f"encode {name}")
        modality = encode(
            data,
            spec.field,
            encoder,
            name=name,
            fit_on=train,
            targets=spec.targets,
            source=spec.source,
            seed=context.recipe.seed,
            device=context.device,
            engine=context.recipe.engine,
            workers=context.recipe.workers,
            progress=context.progress(f"{name}: "),
        )
        found.modalities[name] = modality
        found.coverage.append(_row(name, spec, modality, encoder, sources[name]))
        if encoder.reconstructs and not (path := context.run.path(f"{PICTURES}/{name}.png")).exists():
            _picture(encoder, data.values(spec.field, spec.source)[1], path)
    return found


def _row(
    name: str, spec: EncoderSpec, modality: Modality, encoder: Encoder, sources: list[dict[str, Any]]
) -> dict[str, Any]:
    """A modality's row of `coverage.json`."""
    aligned = modality.aligned
    assert aligned is not None, "an encoded modality is in the order of the catalogue"
    about = {
        "modality": name,
        "encoder": spec.encoder,
        "field": spec.field,
        "dim": aligned.dim,
        "coverage": round(aligned.coverage, 6),
    }
    licence = {"weights_licence": encoder.licence()} if encoder.licence() else {}
    targets = {"targets": modality.targets} if modality.targets is not None else {}
    return {**about, **named(aligned, modality.ids), **licence, **targets, **encoder.facts(), "sources": sources}


def named(modality: Aligned, ids: Sequence[str]) -> dict[str, Any]:
    """How many tracks lack a modality, and how many have too short a clip for it, and the first of them."""
    chosen = {
        "absent": ~modality.present[1:],
        "short": np.zeros(0, bool) if modality.short is None else modality.short[1:],
    }
    rows = {what: np.flatnonzero(which) for what, which in chosen.items()}
    return {
        what: {"count": len(some), "examples": [ids[int(row)] for row in some[:EXAMPLES]]}
        for what, some in rows.items()
        if len(some)
    }


def content_hash(modality: Aligned) -> str:
    """Hash of vectors and absences."""
    hasher = hashlib.blake2b(digest_size=16)
    hasher.update(np.ascontiguousarray(modality.matrix).data)
    hasher.update(np.ascontiguousarray(modality.present).data)
    return hasher.hexdigest()


def _ready(context: Context, name: str, spec: EncoderSpec, found: Encoded) -> Encoder | None:
    """The encoder of a modality. Files it reads beside its inputs are opened: one that is missing ends no hours of encoding.

    None, and a row of `found.missing`, for weights that are not here where the recipe skips those. Raises `InputError` that names the
    modality.
    """
    try:
        encoder = registry.create(
            spec.encoder, spec.params, seed=derived_seed(context.recipe.seed, "encoder", name), device=context.device
        )
        encoder.fingerprint()
    except MissingWeights as error:
        if context.recipe.on_missing_weights == "stop":
            raise MissingWeights(f"encoders.{name}: {error}", error.parameter) from None
        context.reporter.note(f"{name}: {error}")
        found.missing[name] = f"encoders.{name}.params.{error.parameter}"
        return None
    except InputError as error:
        raise type(error)(f"encoders.{name}: {error}") from None
    return encoder


def _picture(encoder: Encoder, values: Sequence[bytes], path: Path) -> None:
    """A few different pictures beside what the encoder makes of them."""
    chosen: dict[bytes, None] = {}
    for row in np.linspace(0, len(values) - 1, num=min(len(values), 10 * SHOWN), dtype=int):
        chosen[bytes(values[int(row)])] = None
        if len(chosen) == SHOWN:
            break
    encoder.reconstructions(list(chosen), path)
