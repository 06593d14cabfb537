"""Fuzzing: what has to hold whatever bytes come (targets.py), with coverage as the guide (__main__.py)."""
