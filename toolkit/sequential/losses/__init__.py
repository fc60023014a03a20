"""Training losses.

`full`, `chunked`, `sampled` and `gbce` are the losses of recipes. They call `softmax_cross_entropy` and
`binary_cross_entropy` on `loss_scores`, with negatives of `negative_sampler`; `cut_cross_entropy` is a kernel for CUDA.
"""
