"""What the benchmarks start or compare with: the plain script, the peers' programs, made-up data, small contexts."""
