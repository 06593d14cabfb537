"""Benchmarks, run by hand: `python3 -m tests.bench` and `python3 -m tests.bench.analytics`."""
