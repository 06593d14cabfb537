"""The fault harness: real servers, clients that follow the protocol, faults, and a checker.

`python3 -m tests.faults --seed 1 --minutes 10` by hand; tests/faults/test_faults.py runs a short one.
"""
