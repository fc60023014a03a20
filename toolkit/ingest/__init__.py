"""From data to what systems are fitted to: a corpus and a catalogue read once, labels, targets, and the right to train on them."""
