"""Tests of analytics: `tests/analytics/test_x.py` tests `analytics/x.py`."""
