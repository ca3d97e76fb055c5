"""Benchmarks: ratios in one run, against named peers on the same machine. `python -m benchmarks --help`.

Each module of `suite/` is one benchmark; `parts/` holds what they measure against and the small programs they start;
`reader/` is the reader's own folder. Nothing here ships with the product.
"""
