"""Texts of a catalogue before and after what encoders do to them first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from toolkit.encoders.contract import registry
from toolkit.encoders.text.cleaned_text import CleanedTextEncoder
from toolkit.encoders.text.cleaning import Cleaner, LyricsCleaning
from toolkit.errors import InputError
from toolkit.files import cache_folder
from toolkit.ingest.read_data import ingest
from toolkit.plugins import suggest
from toolkit.progress import Reporter
from toolkit.recipe import Recipe

AS_IT_IS = "as it is"


def preview(
    recipe: Recipe, *, modality: str | None, field: str | None, count: int, reporter: Reporter
) -> list[dict[str, Any]]:
    """Rows `modality, encoder, field, track, steps`; `steps` are `step, text`, the first the text as the catalogue has it.

    modality: one encoder of the recipe; default: all whose texts are cleaned or enriched. field: instead, a field of the
    catalogue through every cleaning step, with `encoder` None. Steps that learn are fitted on all texts of the field.
    Raises `InputError` where there is nothing to show.
    """
    looks = [(field, None, field, None)] if field is not None else _encoders(recipe, modality)
    ingested = ingest(recipe.data, cache_folder(), reporter=reporter)
    assert ingested.catalogue is not None  # asked for
    ids = ingested.corpus.tracks["id"].to_pylist()
    rows = []
    with ingested.open() as catalogue:
        for name, encoder, of, source in looks:
            present, texts = catalogue.field_values(of, ids, source=source)
            owners = [ids[int(place)] for place in np.flatnonzero(present)]
            if not texts or not isinstance(texts[0], str):
                raise InputError(
                    f"field {of!r} has {'no values' if not len(texts) else 'no texts'}: name one of texts, such as lyrics"
                )
            look = encoder.cleaner if encoder is not None else Cleaner(LyricsCleaning())
            look.fit(texts)
            for place in _spread(texts, count):
                steps = encoder.preview(texts[place]) if encoder is not None else look.trace(texts[place])
                rows.append(
                    {
                        "modality": name,
                        "encoder": None if encoder is None else encoder.name,
                        "field": of,
                        "track": owners[place],
                        "steps": [{"step": step, "text": text} for step, text in [(AS_IT_IS, texts[place]), *steps]],
                    }
                )
    return rows


def _encoders(recipe: Recipe, modality: str | None) -> list[tuple[str, CleanedTextEncoder | None, str, str | None]]:
    """Name, encoder, field and source of what is to be shown."""
    if modality is not None and modality not in recipe.encoders:
        raise InputError(
            f"--modality {modality!r} is not an encoder of the recipe: {suggest(modality, list(recipe.encoders))}"
        )
    chosen = {modality: recipe.encoders[modality]} if modality is not None else recipe.encoders
    made = {name: registry.create(spec.encoder, spec.params, device="cpu") for name, spec in chosen.items()}
    found: list[tuple[str, CleanedTextEncoder | None, str, str | None]] = [
        (name, encoder, chosen[name].field, chosen[name].source)
        for name, encoder in made.items()
        if isinstance(encoder, CleanedTextEncoder)
        and (encoder.cleaner.steps or type(encoder).preview is not CleanedTextEncoder.preview)
    ]
    if not found:
        what = f"encoder {modality!r}" if modality is not None else "no encoder of the recipe"
        verb = "does not clean or enrich" if modality is not None else "cleans or enriches"
        raise InputError(f"{what} {verb} texts: add `clean: true` to its params, or name a field with --field")
    return found


def _spread(texts: Sequence[str], count: int) -> list[int]:
    """Places of different texts from the first to the last."""
    first = {text: place for place, text in reversed(list(enumerate(texts)))}
    places = sorted(first.values())
    return [places[int(at)] for at in np.linspace(0, len(places) - 1, num=min(count, len(places)))]
