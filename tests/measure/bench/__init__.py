"""Benchmarks, run by hand: `python3 -m tests.measure.bench`."""
