"""Encoding of catalogue fields: one modality for each encoder in the recipe, with the sources of its content."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segue.modalities import Modality, encode
from segue.split import Training
from toolkit.contracts.learning import NotLearned, message
from toolkit.encoders.contract import registry
from toolkit.encoders.contract.encoder import Encoder
from toolkit.errors import InputError, MissingWeights
from toolkit.ingest.training_permission import permitted
from toolkit.modality import Modality as Aligned
from toolkit.pipeline.run.meter import Meter, metered
from toolkit.pipeline.run.run_context import Context
from toolkit.recipe import EncoderSpec
from toolkit.result_types import Count, EncoderRow
from toolkit.run_directory import PICTURES
from toolkit.seeds import derived_seed

SHOWN = 8
"""Pictures of one modality that are shown with their reconstructions."""

EXAMPLES = 3
"""Tracks without a modality, or with too short a clip for it, that are listed."""


@dataclass(frozen=True)
class Encoded:
    """Modalities of a recipe, their rows of `coverage.json` and `encoders.json`, and recipe keys of missing weights."""

    modalities: dict[str, Modality] = field(default_factory=dict)
    coverage: list[dict[str, object]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    encoders: list[EncoderRow] = field(default_factory=list)


def encode_all(context: Context, train: Training, names: Set[str]) -> Encoded:
    """Return the modalities in `names`. Encoders are fitted only to tracks and labels from `train`.

    Raises `InputError` if content requires permission for training, and if pretrained weights are missing, unless the
    recipe skips missing weights.
    """
    result, data = Encoded(), train.data
    specs = {name: spec for name, spec in context.recipe.encoders.items() if name in names}
    if not specs:
        return result
    ids, permission = data.corpus.tracks["id"].to_pylist(), context.recipe.data.permission
    with data.described.open() as catalogue:
        sources = {name: permitted(catalogue, spec.field, spec.source, ids, permission) for name, spec in specs.items()}
    encoders = {
        name: encoder for name, spec in specs.items() if (encoder := _ready(context, name, spec, result)) is not None
    }
    for name in list(encoders):
        spec, encoder = specs[name], encoders.pop(name)
        context.reporter.stage(f"encode {name}")
        with warnings.catch_warnings(), metered(context.device) as meter:
            warnings.simplefilter("ignore", NotLearned)  # the note is also in the log
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
        if modality.collapsed:
            context.reporter.note(message(name, modality.collapsed))
        result.modalities[name] = modality
        result.coverage.append(_row(name, spec, modality, encoder, sources[name]))
        result.encoders.append(_cost(name, modality, encoder, meter))
        if encoder.reconstructs and not (path := context.run.path(f"{PICTURES}/{name}.png")).exists():
            _picture(encoder, data.values(spec.field, spec.source)[1], path)
    return result


def _row(
    name: str, spec: EncoderSpec, modality: Modality, encoder: Encoder, sources: Sequence[Mapping[str, object]]
) -> dict[str, object]:
    """Return the row of a modality in `coverage.json`."""
    aligned = modality.aligned
    assert aligned is not None, "an encoded modality is in the order of the catalogue"
    return {
        "modality": name,
        "encoder": spec.encoder,
        "field": spec.field,
        "dim": aligned.dim,
        "coverage": round(aligned.coverage, 6),
        **tracks_without(aligned, modality.ids),
        **({"weights_licence": encoder.licence()} if encoder.licence() else {}),
        **({"targets": modality.targets} if modality.targets is not None else {}),
        **encoder.summary(),
        **({"collapsed": modality.collapsed} if modality.collapsed else {}),
        "sources": sources,
    }


def _cost(name: str, modality: Modality, encoder: Encoder, meter: Meter) -> EncoderRow:
    """Return the row of a modality in `encoders.json`."""
    cost = None if modality.aligned is None else modality.aligned.cost
    cached = cost is None or cost.cached
    return {
        "modality": name,
        "encoder": encoder.name,
        "fit_seconds": None if cost is None else cost.fit_seconds,
        "encode_seconds": None if cost is None else cost.encode_seconds,
        "cached": cached,
        "peak_mb": None if cached else meter.peak_mb,
        "curve": [dict(epoch) for epoch in encoder.curve],
    }


def tracks_without(modality: Aligned, ids: Sequence[str]) -> dict[str, Count]:
    """Return number and first ids of tracks without a modality (`absent`), or with an incomplete clip.

    A clip is too short for the encoder (`short`), or a part of its file is missing (`cut_short`).
    """
    flags = {"absent": ~modality.present, "short": modality.short, "cut_short": modality.cut_short}
    found = {what: np.flatnonzero(flag[1:]) for what, flag in flags.items() if flag is not None}
    return {
        what: {"count": len(rows), "examples": [ids[int(row)] for row in rows[:EXAMPLES]]}
        for what, rows in found.items()
        if len(rows)
    }


def content_hash(modality: Aligned) -> str:
    """Return a hash of vectors and missing rows."""
    hasher = hashlib.blake2b(digest_size=16)
    hasher.update(np.ascontiguousarray(modality.matrix).data)
    hasher.update(np.ascontiguousarray(modality.present).data)
    return hasher.hexdigest()


def _ready(context: Context, name: str, spec: EncoderSpec, result: Encoded) -> Encoder | None:
    """Return the encoder of a modality, after opening the files that it requires besides its inputs.

    Returns None and adds an entry to `result.missing` if the weights are missing and the recipe skips missing weights.
    Raises `InputError` with the name of the modality.
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
        result.missing[name] = f"encoders.{name}.params.{error.parameter}"
        return None
    except InputError as error:
        raise type(error)(f"encoders.{name}: {error}") from None
    return encoder


def _picture(encoder: Encoder, values: Sequence[object], path: Path) -> None:
    """Write a few distinct pictures with their reconstructions by the encoder."""
    rows = np.linspace(0, len(values) - 1, num=min(len(values), 10 * SHOWN), dtype=int)
    pictures = dict.fromkeys(picture for row in rows if isinstance(picture := values[int(row)], bytes))
    encoder.reconstructions(list(pictures)[:SHOWN], path)
