"""Training losses of sequential models: `segue.losses.GBCE(negatives=256)`."""
