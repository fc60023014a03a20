"""Enrichment of texts with knowledge base facts about the entities that they mention.

Source: Oramas et al., "A Deep Multimodal Approach for Cold-start Music Recommendation", DLRS 2017, on artist
biographies. `rdf_triples` -> `local_knowledge` (or `sparql_knowledge`); texts -> `entity_linking` (or
`spotlight_linker`) -> `semantic_terms`: the terms to append.
"""
