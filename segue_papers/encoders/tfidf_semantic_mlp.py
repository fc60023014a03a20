"""`tfidf-semantic-mlp`: the network of `tfidf-mlp` over texts enriched by a knowledge base.

Source: Oramas, Nieto, Sordo and Serra, "A Deep Multimodal Approach for Cold-start Music Recommendation", DLRS 2017,
A-SEM: the terms of a text and, for every entity that is linked in it, what a knowledge base says about it, as in
`tfidf-semantic`. The paper's linker, Babelfy, is replaced, because it is a service with a key and a daily quota. No
pretrained weights.
"""

from __future__ import annotations

from typing import ClassVar

from segue_papers.encoders.tfidf_mlp import TfidfMlpEncoder, TfidfMlpParams
from segue_papers.encoders.tfidf_semantic import TfidfSemanticEncoder
from segue_papers.enrichment.enrichment_params import Enrichment
from toolkit.encoders.contract.encoder import EncoderParams
from toolkit.encoders.text.tfidf import TfidfEncoder


class TfidfSemanticMlpParams(TfidfMlpParams):
    """enrich: as for `tfidf-semantic`."""

    enrich: Enrichment | None = None


class TfidfSemanticMlpEncoder(TfidfMlpEncoder):
    """Encodes texts, and a knowledge base's facts about the entities in them, with the network of `tfidf-mlp`.

    Takes n texts. Returns float32 [n, hidden[-1]], or [n, t] for `output: prediction`.
    """

    name: ClassVar[str] = "tfidf-semantic-mlp"
    source: ClassVar[str] = "Oramas et al. 2017, artist embeddings from enriched biographies (Babelfy substituted)"
    Params: ClassVar[type[EncoderParams]] = TfidfSemanticMlpParams
    Terms: ClassVar[type[TfidfEncoder]] = TfidfSemanticEncoder
    params: TfidfSemanticMlpParams
