<<<<<<< HEAD
"""Measurements, side by side with others in one run: results must agree, times are only shown."""
=======
"""Benchmarks, run by hand: `python3 -m tests.bench`."""
>>>>>>> bench
