"""`tfidf-semantic-mlp`: the network of `tfidf-mlp` over texts enriched by a knowledge base.

Source: Oramas, Nieto, Sordo and Serra, "A Deep Multimodal Approach for Cold-start Music Recommendation", DLRS 2017, A-SEM: terms
and, for every entity that is linked in the text, what a knowledge base says of it, as `tfidf-semantic` appends it. The linker is
not the paper's (Babelfy is a service with a key and a daily quota). No pretrained weights.
"""

from __future__ import annotations

from typing import ClassVar

from segue_papers.encoders.tfidf_mlp import TfidfMlpEncoder, TfidfMlpParams
from segue_papers.encoders.tfidf_semantic import Enrichment, TfidfSemanticEncoder
from toolkit.encoders.contract.encoder import EncoderParams
from toolkit.encoders.text.tfidf import TfidfEncoder


class TfidfSemanticMlpParams(TfidfMlpParams):
    """enrich: as for `tfidf-semantic`."""

    enrich: Enrichment | None = None


class TfidfSemanticMlpEncoder(TfidfMlpEncoder):
    """Encodes texts, and a knowledge base's facts about the entities in them, with the network of `tfidf-mlp`.

    Returns float32 [n, hidden[-1]], or [n, t] for `output: prediction`.
    """

    name: ClassVar[str] = "tfidf-semantic-mlp"
    source: ClassVar[str] = "Oramas et al. 2017, artist embeddings from enriched biographies (Babelfy substituted)"
    Params: ClassVar[type[EncoderParams]] = TfidfSemanticMlpParams
    Terms: ClassVar[type[TfidfEncoder]] = TfidfSemanticEncoder
    params: TfidfSemanticMlpParams
