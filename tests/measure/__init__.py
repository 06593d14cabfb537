"""Measurements, run by hand: the figures in the documents come from here."""
