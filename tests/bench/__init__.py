"""Measurements, side by side with others in one run: results must agree, times are only shown."""
