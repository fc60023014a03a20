"""Training losses, one file each: the parts `full`, `chunked`, `sampled` and `gbce`, and the functions that they call.

`softmax` and `binary` compute, `scores` holds what they compute on, `sample` draws wrong answers, `cut` is a kernel for CUDA.
"""
