"""Measuring the reader. `peers`, `floor` and `server` are scripts: each runs in a process, and if need be in an
environment, of its own. `measure` runs them, `swap` and `memory` load one reader; what is asked of the figures is in
`benchmarks/suite`.
"""
