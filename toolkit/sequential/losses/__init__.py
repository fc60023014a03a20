"""Training losses of sequential models.

Recipes name `full`, `chunked`, `sampled` and `gbce`. These losses call `softmax_cross_entropy` and
`binary_cross_entropy` on `loss_scores`, with negatives from `negative_sampler`. `cut_cross_entropy` is a kernel for
CUDA.
"""
