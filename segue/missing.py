"""What stands for a modality that a track lacks: `segue.missing.EM(rank=8)`."""
