"""The tests: `python3 -m tests` makes an environment, checks style and types, and runs them all."""
