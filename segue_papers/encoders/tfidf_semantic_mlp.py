"""`tfidf-semantic-mlp`: network of `tfidf-mlp` over texts enriched from a knowledge base.

Source: Oramas, Nieto, Sordo and Serra, "A Deep Multimodal Approach for Cold-start Music Recommendation", DLRS 2017,
model A-SEM. The input contains the terms of a text and knowledge base facts about every linked entity, as in
`tfidf-semantic`. The paper's linker, Babelfy, is replaced because it requires a key and has a daily quota. No
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
    """Parameters of `tfidf-semantic-mlp`.

    - enrich: the knowledge base and the entity linker, as in `tfidf-semantic`.
    """

    enrich: Enrichment | None = None


class TfidfSemanticMlpEncoder(TfidfMlpEncoder):
    """Text encoder with the network of `tfidf-mlp` over texts and knowledge base facts about their entities.

    Takes n texts and returns float32 [n, hidden[-1]], or [n, t] for `output: prediction`.
    """

    name: ClassVar[str] = "tfidf-semantic-mlp"
    source: ClassVar[str] = "Oramas et al. 2017, artist embeddings from enriched biographies (Babelfy substituted)"
    Params: ClassVar[type[EncoderParams]] = TfidfSemanticMlpParams
    Terms: ClassVar[type[TfidfEncoder]] = TfidfSemanticEncoder
    params: TfidfSemanticMlpParams
