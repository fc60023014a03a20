"""Protocols, one file each: what is held out of a corpus, and what is shown of it.

`toolkit.contracts.protocol` says what such a class declares; the entry-point group `segue.protocols` lists them.
"""
