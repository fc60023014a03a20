"""`tfidf-semantic`: TF-IDF of a text together with what a knowledge base says of the entities in it.

Source: Oramas, Nieto, Sordo and Serra, "A Deep Multimodal Approach for Cold-start
Music Recommendation", DLRS 2017, on artist biographies: entities are linked, those
of musical classes kept, their properties and Wikipedia categories appended, and the
whole weighted by TF-IDF with 10,000 terms. The paper's linker is Babelfy, a service
with a key and a daily quota; here it is the aliases of a local knowledge base, or
DBpedia Spotlight. No pretrained weights. DBpedia's content is CC BY-SA 3.0 and GFDL.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from segue_papers.enrichment.enrichment_params import Enrichment, made
from segue_papers.enrichment.semantic_terms import Enricher
from toolkit.encoders.contract.content_hash import DIGEST, bytes_of
from toolkit.encoders.contract.encoder import EncoderParams, Progress
from toolkit.encoders.contract.encoder_files import Tensors
from toolkit.encoders.contract.input_faults import not_fitted
from toolkit.encoders.text.tfidf import TfidfEncoder, TfidfParams
from toolkit.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse as sp

BATCH = 64
"""Texts that are linked before their terms are written down."""

Terms = dict[bytes, list[str]]
"""Digest of a text -> what is appended to it."""


class TfidfSemanticParams(TfidfParams):
    """enrich: where entities and what is known of them come from; the rest is `tfidf`'s."""

    enrich: Enrichment | None = None


class TfidfSemanticEncoder(TfidfEncoder):
    """Encodes texts, and a knowledge base's facts about the entities in them, by TF-IDF weights.

    Returns float32 [n, d], d as in `tfidf`. The entities that `fit` linked are saved with the encoder.
    """

    name: ClassVar[str] = "tfidf-semantic"
    version: ClassVar[str] = "1"
    source: ClassVar[str] = "Oramas et al. 2017, artist biographies (Babelfy substituted)"
    Params: ClassVar[type[EncoderParams]] = TfidfSemanticParams
    params: TfidfSemanticParams

    def __init__(self, params: EncoderParams | None = None, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(params, seed=seed, device=device)
        self.learned: Terms = {}
        self._fresh: Terms = {}

    @cached_property
    def enricher(self) -> Enricher:
        """Raises `InputError` where the recipe names no knowledge base, or one that cannot be read."""
        if self.params.enrich is None:
            raise InputError(
                f"{self.name} needs enrich: {{knowledge: a dump, .nt or .ttl}}, or"
                " {endpoint: a SPARQL address, linker: spotlight, spotlight: its address}"
            )
        return made(self.params.enrich)

    def check_files(self) -> None:
        assert self.enricher is not None

    def fingerprint(self) -> str:
        return f"{self.enricher.knowledge.fingerprint()} {self.enricher.linker.fingerprint()}"

    def facts(self) -> dict[str, Any]:
        """terms_per_text: mean number of terms appended to a text fitted on; texts_enriched: share that got one at least."""
        if not self.learned:
            return {}
        counts = [len(terms) for terms in self.learned.values()]
        return {
            "terms_per_text": round(float(np.mean(counts)), 3),
            "texts_enriched": round(float(np.mean(np.array(counts) > 0)), 6),
        }

    def fit(
        self,
        inputs: Any,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Link, then learn vocabulary, weights and axes from n >= 1 texts. workdir: where what is linked is written down at once."""
        self.learned = self._linked(inputs, _Notes(workdir), progress)
        return super().fit(inputs, targets, workdir=workdir, progress=progress)

    def terms(self, inputs: Any, *, progress: Progress | None = None) -> sp.csr_matrix:
        """As `tfidf`'s; texts that `fit` has not seen are linked first."""
        if self.vocabulary is None:
            raise not_fitted(self.name)
        self._fresh = self._linked(
            [text for text in inputs if _digest(text) not in self.learned], _Notes(None), progress
        )
        try:
            return super().terms(inputs, progress=progress)
        finally:
            self._fresh = {}

    def preview(self, text: str) -> list[tuple[str, str]]:
        steps = super().preview(text)
        return [*steps, ("enrich", " ".join([steps[-1][1] if steps else text, *self.enricher.terms([text])[0]]))]

    def state(self) -> Tensors:
        lines = "\n".join(" ".join(terms) for terms in self.learned.values()).encode()
        marks = np.frombuffer(b"".join(self.learned), np.uint8).reshape(-1, DIGEST)
        return {**super().state(), "linked": marks, "terms": np.frombuffer(lines, np.uint8)}

    def restore(self, tensors: Tensors) -> None:
        super().restore(tensors)
        lines = tensors["terms"].tobytes().decode().split("\n")
        self.learned = {mark.tobytes(): line.split() for mark, line in zip(tensors["linked"], lines, strict=True)}

    def _tokens(self, text: str) -> list[str]:
        digest = _digest(text)
        terms = self.learned.get(digest, self._fresh.get(digest, []))
        return super()._tokens(text) + [term.lower() if self.params.lowercase else term for term in terms]

    def _linked(self, texts: Sequence[str], notes: _Notes, progress: Progress | None) -> Terms:
        """What is appended to each of `texts`, by digest."""
        terms: Terms = {}
        if texts:
            self.enricher.knowledge.prepare(progress)
        for start in range(0, len(texts), BATCH):
            some = {_digest(text): text for text in texts[start : start + BATCH]}
            terms |= {digest: notes.known[digest] for digest in some if digest in notes.known}
            todo = [digest for digest in some if digest not in terms]
            if todo:
                fresh = dict(zip(todo, self.enricher.terms([some[digest] for digest in todo]), strict=True))
                notes.write(fresh)
                terms |= fresh
            if progress is not None:
                progress(min(start + BATCH, len(texts)), len(texts), f"{self.name}, linking")
        return terms


class _Notes:
    """What was linked before a kill, as JSON Lines in `workdir`; a line cut short is not counted. known: what is there already."""

    def __init__(self, workdir: Path | None) -> None:
        self.path = None if workdir is None else workdir / "linked.jsonl"
        self.known: Terms = {}
        if self.path is not None and self.path.is_file():
            content = self.path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            for line in whole.splitlines():
                digest, terms = json.loads(line)
                self.known[bytes.fromhex(digest)] = terms
            if len(whole) < len(content):
                self.path.write_bytes(whole)

    def write(self, fresh: Terms) -> None:
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.writelines(json.dumps([digest.hex(), terms]) + "\n" for digest, terms in fresh.items())


def _digest(text: str) -> bytes:
    return hashlib.blake2b(bytes_of(text), digest_size=DIGEST).digest()
