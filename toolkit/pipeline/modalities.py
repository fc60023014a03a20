"""The catalogue's fields through the recipe's encoders: one modality each, with where its content came from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.catalogue.store import Catalogue
from toolkit.coldstart.factors import FactorStore
from toolkit.encoders import registry
from toolkit.encoders.base import Encoder
from toolkit.encoders.encode import encode
from toolkit.errors import InputError, MissingWeights
from toolkit.ingest.permission import permitted
from toolkit.ingest.read import Ingested
from toolkit.ingest.targets import FactorTargets, Labels, labels
from toolkit.modality import Modality
from toolkit.pipeline.context import Context
from toolkit.recipe import EncoderSpec
from toolkit.runs import PICTURES
from toolkit.seeds import derived_seed

SHOWN = 8
"""Pictures of one modality that are shown beside their reconstructions."""

EXAMPLES = 3
"""Tracks without a modality, or with too short a clip for it, that are named."""

Taught = Labels | FactorTargets
"""What a supervised encoder learns to predict."""


@dataclass(frozen=True)
class Encoded:
    """What became of a recipe's encoders: modalities, rows of `coverage.json`, and the key that gives a path to weights not here."""

    modalities: dict[str, Modality] = field(default_factory=dict)
    coverage: list[dict[str, Any]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def encode_all(context: Context, ingested: Ingested, wanted: Set[str], trained: np.ndarray, factors: FactorStore) -> Encoded:
    """The modalities of the recipe that are `wanted`.

    trained: bool [V], tracks with a training placement: those that encoders learn from, and whose labels they see. factors: of the
    same placements.

    Raises `InputError` where content may not be trained on and the recipe gives no permission, and where pretrained weights are not
    here, unless the recipe skips those.
    """
    found = Encoded()
    if ingested.catalogue is None:
        return found
    specs = {name: spec for name, spec in context.recipe.encoders.items() if name in wanted}
    ids = ingested.corpus.tracks["id"].to_pylist()
    permission = context.recipe.data.permission
    with ingested.open() as catalogue:
        sources = {name: permitted(catalogue, spec.field, spec.source, ids, permission) for name, spec in specs.items()}
        encoders = {name: encoder for name, spec in specs.items() if (encoder := _ready(context, name, spec, found)) is not None}
        for name in list(encoders):
            spec, encoder = specs[name], encoders.pop(name)
            context.reporter.stage(f"encode {name}")
            learnt: Taught | None = None
            if spec.targets is not None and spec.targets.factors is not None:
                learnt = FactorTargets.of(factors, spec.targets, trained)
            elif spec.targets is not None:
                permitted(catalogue, spec.targets.field or "", spec.targets.source, ids, permission)
                learnt = labels(catalogue, spec.targets, ids, trained)
            modality = _encode(context, catalogue, name, spec, encoder, ids, trained, learnt)
            found.modalities[name] = modality
            row = {
                "modality": name,
                "encoder": spec.encoder,
                "field": spec.field,
                "dim": modality.dim,
                "coverage": round(modality.coverage, 6),
            }
            licence = {"weights_licence": encoder.licence()} if encoder.licence() else {}
            told = {"targets": learnt.facts()} if learnt is not None else {}
            found.coverage.append({**row, **named(modality, ids), **licence, **told, **encoder.facts(), "sources": sources[name]})
    return found


def named(modality: Modality, ids: Sequence[str]) -> dict[str, Any]:
    """How many tracks lack a modality, and how many have too short a clip for it, and the first of them."""
    chosen = {"absent": ~modality.present[1:], "short": np.zeros(0, bool) if modality.short is None else modality.short[1:]}
    rows = {what: np.flatnonzero(which) for what, which in chosen.items()}
    return {what: {"count": len(some), "examples": [ids[int(row)] for row in some[:EXAMPLES]]} for what, some in rows.items() if len(some)}


def content_hash(modality: Modality) -> str:
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
        encoder = registry.create(spec.encoder, spec.params, seed=derived_seed(context.recipe.seed, "encoder", name), device=context.device)
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


def _encode(
    context: Context,
    catalogue: Catalogue,
    name: str,
    spec: EncoderSpec,
    encoder: Encoder,
    ids: Sequence[str],
    trained: np.ndarray,
    learnt: Taught | None,
) -> Modality:
    present, values = catalogue.field_values(spec.field, ids, source=spec.source)
    modality = encode(
        name,
        encoder,
        ids,
        present,
        values,
        cache=context.cache / "encodings",
        targets=None if learnt is None else learnt.matrix,
        feedback=learnt.feedback() if isinstance(learnt, FactorTargets) and encoder.needs_feedback else None,
        fitted=_learned_from(encoder, trained, learnt),
        progress=context.progress(f"{name}: "),
        engine=context.recipe.engine,
        workers=context.recipe.workers,
    )
    if encoder.reconstructs and not (path := context.run.path(f"{PICTURES}/{name}.png")).exists():
        _picture(encoder, values, path)
    return modality


def _learned_from(encoder: Encoder, trained: np.ndarray, learnt: Taught | None) -> np.ndarray | None:
    """Tracks of the training split, under targets those with any; None for an encoder that learns nothing."""
    if not encoder.learns:
        return None
    return trained if learnt is None else np.asarray(learnt.matrix.any(axis=1))


def _picture(encoder: Encoder, values: Sequence[bytes], path: Path) -> None:
    """A few different pictures beside what the encoder makes of them."""
    chosen: dict[bytes, None] = {}
    for row in np.linspace(0, len(values) - 1, num=min(len(values), 10 * SHOWN), dtype=int):
        chosen[bytes(values[int(row)])] = None
        if len(chosen) == SHOWN:
            break
    encoder.reconstructions(list(chosen), path)
