"""Preview of catalogue texts before and after cleaning and enrichment by encoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from toolkit.encoders.contract import registry
from toolkit.encoders.text.cleaning import Cleaner, LyricsCleaning
from toolkit.encoders.text.text_encoder import TextEncoder
from toolkit.errors import InputError
from toolkit.files import cache_folder
from toolkit.ingest.read_data import ingest
from toolkit.plugins import suggest
from toolkit.progress import Reporter
from toolkit.recipe import Recipe

AS_IT_IS = "as it is"


class PreviewRow(TypedDict):
    """Catalogue text before and after each cleaning step.

    - encoder: None for a field that no encoder in the recipe reads.
    - steps: `step` and `text`, starting with the original text.
    """

    modality: str
    encoder: str | None
    field: str
    track: str
    steps: list[dict[str, str]]


def preview(
    recipe: Recipe, *, modality: str | None, field: str | None, count: int, reporter: Reporter
) -> list[PreviewRow]:
    """Return a few texts for each encoder that cleans or enriches texts.

    - modality: an encoder in the recipe; default: all encoders that clean or enrich texts.
    - field: a catalogue field to preview instead, with every cleaning step.
    - count: number of texts for each encoder.

    Steps that learn are fitted to all texts in the field. Raises `InputError` if no text can be shown.
    """
    inputs = [(field, None, field, None)] if field is not None else _encoders(recipe, modality)
    ingested = ingest(recipe.data, cache_folder(), reporter=reporter)
    ids = ingested.corpus.tracks["id"].to_pylist()
    rows: list[PreviewRow] = []
    with ingested.open() as catalogue:
        for name, encoder, read, source in inputs:
            present, texts = catalogue.field_values(read, ids, source=source)
            owners = [ids[int(place)] for place in np.flatnonzero(present)]
            if not texts or not isinstance(texts[0], str):
                fault = "no values" if not len(texts) else f"the value {texts[0]!r}"
                raise InputError(f"field {read!r} must contain texts, but has {fault}: pass a field such as lyrics")
            cleaner = encoder.cleaner if encoder is not None else Cleaner(LyricsCleaning())
            cleaner.fit(texts)
            for place in _spread(texts, count):
                steps = encoder.preview(texts[place]) if encoder is not None else cleaner.trace(texts[place])
                rows.append(
                    {
                        "modality": name,
                        "encoder": None if encoder is None else encoder.name,
                        "field": read,
                        "track": owners[place],
                        "steps": [{"step": step, "text": text} for step, text in [(AS_IT_IS, texts[place]), *steps]],
                    }
                )
    return rows


def _encoders(recipe: Recipe, modality: str | None) -> list[tuple[str, TextEncoder | None, str, str | None]]:
    """Return name, encoder, field and source of the encoders to preview."""
    if modality is not None and modality not in recipe.encoders:
        raise InputError(
            f"--modality {modality!r} is not an encoder of the recipe: {suggest(modality, list(recipe.encoders))}"
        )
    specs = {modality: recipe.encoders[modality]} if modality is not None else recipe.encoders
    encoders = {name: registry.create(spec.encoder, spec.params, device="cpu") for name, spec in specs.items()}
    able: list[tuple[str, TextEncoder | None, str, str | None]] = [
        (name, encoder, specs[name].field, specs[name].source)
        for name, encoder in encoders.items()
        if isinstance(encoder, TextEncoder)
        and (encoder.cleaner.steps or type(encoder).preview is not TextEncoder.preview)
    ]
    if not able:
        what = f"encoder {modality!r}" if modality is not None else "no encoder of the recipe"
        verb = "does not clean or enrich" if modality is not None else "cleans or enriches"
        raise InputError(f"{what} {verb} texts: add `clean: true` to the params of an encoder, or pass --field")
    return able


def _spread(texts: Sequence[str], count: int) -> list[int]:
    """Return positions of distinct texts, evenly spaced from the first text to the last."""
    first = {text: place for place, text in reversed(list(enumerate(texts)))}
    places = sorted(first.values())
    return [places[int(at)] for at in np.linspace(0, len(places) - 1, num=min(count, len(places)))]
