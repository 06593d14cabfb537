"""What measures, run by hand: a figure in the documents comes from here."""
