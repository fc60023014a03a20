"""Reading of data for models: corpus, catalogue, labels, targets, and permission for training."""
