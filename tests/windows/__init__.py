"""The chat on CPython for Windows, which Wine runs: `python3 -m tests.windows`."""
