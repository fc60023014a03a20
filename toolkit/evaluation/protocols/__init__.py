"""Evaluation protocols, one per file.

The base class is in `toolkit.contracts.protocol`, and the entry-point group `segue.protocols` lists the protocols.
"""
