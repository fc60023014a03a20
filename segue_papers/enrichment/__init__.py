"""Texts enriched by what a knowledge base says of the entities they mention.

Source: Oramas et al., "A Deep Multimodal Approach for Cold-start Music
Recommendation", DLRS 2017, on artist biographies. triples -> local (or sparql)
knowledge; texts -> linking (or spotlight) -> semantic: the terms to append.
"""
