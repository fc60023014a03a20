"""Reads data for models: a corpus and a catalogue, labels, targets, and permission to train on them."""
