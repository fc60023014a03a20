"""`tfidf-semantic`: TF-IDF weights of a text and of facts from a knowledge base about its entities.

Source: Oramas, Nieto, Sordo and Serra, "A Deep Multimodal Approach for Cold-start Music Recommendation", DLRS 2017, on
artist biographies. Entities are linked, entities of musical classes are kept, and their properties and Wikipedia
categories are appended to the text, which is weighted by TF-IDF with 10,000 terms. The paper links with Babelfy, a
service that requires a key and has a daily quota. Here entities are linked by the aliases of a local knowledge base, or
by DBpedia Spotlight. No pretrained weights. The content of DBpedia is CC BY-SA 3.0 and GFDL.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from segue_papers.enrichment.enrichment_params import Enrichment
from segue_papers.enrichment.semantic_terms import Enricher
from toolkit.encoders.contract.content_hash import DIGEST, bytes_of
from toolkit.encoders.contract.encoder import EncoderParams, FittedState, Progress, Texts
from toolkit.encoders.text.tfidf import TfidfEncoder, TfidfParams
from toolkit.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse as sp

BATCH = 64
"""Texts that are linked before their terms are written to disk."""

Terms = dict[bytes, list[str]]
"""Digest of a text -> the terms that are appended to it."""


class TfidfSemanticParams(TfidfParams):
    """Parameters of `tfidf-semantic`, the parameters of `tfidf` with `enrich`.

    - enrich: the knowledge base and the entity linker.
    """

    enrich: Enrichment | None = None


class TfidfSemanticEncoder(TfidfEncoder):
    """Text encoder with TF-IDF weights of texts and of knowledge base facts about their entities.

    Takes n texts and returns float32 [n, d], with d as in `tfidf`. The entities linked in `fit` are saved with the
    encoder.
    """

    name: ClassVar[str] = "tfidf-semantic"
    version: ClassVar[str] = "2"
    source: ClassVar[str] = "Oramas et al. 2017, artist biographies (Babelfy substituted)"
    Params: ClassVar[type[EncoderParams]] = TfidfSemanticParams
    params: TfidfSemanticParams

    def __init__(self, params: EncoderParams | None = None, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(params, seed=seed, device=device)
        self.learned: Terms = {}
        self._fresh: Terms = {}

    @cached_property
    def enricher(self) -> Enricher:
        """Return the enricher. Raises `InputError` if the knowledge base is not set or cannot be read."""
        if self.params.enrich is None:
            local = "{knowledge: a dump, .nt or .ttl}"
            raise InputError(
                f"{self.name} requires enrich: set enrich to {local}, or to "
                "{endpoint: a SPARQL address, linker: spotlight, spotlight: its address}"
            )
        return self.params.enrich.enricher()

    def check_files(self) -> None:
        assert self.enricher is not None

    def fingerprint(self) -> str:
        return f"{self.enricher.knowledge.fingerprint()} {self.enricher.linker.fingerprint()}"

    def summary(self) -> dict[str, float]:
        """Return statistics of the texts of `fit`.

        - terms_per_text: mean number of appended terms per text.
        - texts_enriched: share of the texts with at least one appended term.
        """
        counts = np.array([len(terms) for terms in self.learned.values()])
        if not len(counts):
            return {}
        mean, share = round(float(counts.mean()), 3), round(float((counts > 0).mean()), 6)
        return {"terms_per_text": mean, "texts_enriched": share}

    def fit(
        self,
        inputs: Texts,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Link n >= 1 texts, then learn vocabulary, weights and axes.

        Linked entities are written to `workdir` at once.
        """
        self.learned = self._linked(inputs, _LinkedFile(workdir), progress)
        return super().fit(inputs, targets, workdir=workdir, progress=progress)

    def terms(self, inputs: Texts, *, progress: Progress | None = None) -> sp.csr_matrix:
        """Return the term weights as in `tfidf`. Texts that were not in `fit` are linked first."""
        self._vocabulary()
        fresh = [text for text in inputs if _digest(text) not in self.learned]
        self._fresh = self._linked(fresh, _LinkedFile(None), progress)
        try:
            return super().terms(inputs, progress=progress)
        finally:
            self._fresh = {}

    def preview(self, text: str) -> list[tuple[str, str]]:
        steps = super().preview(text)
        return [*steps, ("enrich", " ".join([steps[-1][1] if steps else text, *self.enricher.terms([text])[0]]))]

    def fitted_state(self) -> FittedState | None:
        state = super().fitted_state()
        lines = "\n".join(" ".join(terms) for terms in self.learned.values()).encode()
        linked = np.frombuffer(b"".join(self.learned), np.uint8).reshape(-1, DIGEST)
        own = {"linked": linked, "terms": np.frombuffer(lines, np.uint8)}
        return state and FittedState(state.tensors | own, state.values)

    def restore(self, state: FittedState) -> None:
        super().restore(state)
        lines = state.tensors["terms"].tobytes().decode().split("\n")
        linked = state.tensors["linked"]
        self.learned = {digest.tobytes(): line.split() for digest, line in zip(linked, lines, strict=True)}

    def tokens(self, text: str) -> list[str]:
        digest = _digest(text)
        terms = self.learned.get(digest, self._fresh.get(digest, []))
        return super().tokens(text) + [term.lower() if self.params.lowercase else term for term in terms]

    def _linked(self, texts: Texts, file: _LinkedFile, progress: Progress | None) -> Terms:
        """Return the appended terms of each text by text digest."""
        terms: Terms = {}
        if texts:
            self.enricher.knowledge.prepare(progress)
        for start in range(0, len(texts), BATCH):
            batch = {_digest(text): text for text in texts[start : start + BATCH]}
            terms |= {digest: file.known[digest] for digest in batch if digest in file.known}
            todo = [digest for digest in batch if digest not in terms]
            if todo:
                fresh = dict(zip(todo, self.enricher.terms([batch[digest] for digest in todo]), strict=True))
                file.write(fresh)
                terms |= fresh
            if progress is not None:
                progress(min(start + BATCH, len(texts)), len(texts), f"{self.name}, linking")
        return terms


class _LinkedFile:
    """JSON Lines file in `workdir` with terms linked before a kill. A truncated line is ignored."""

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
