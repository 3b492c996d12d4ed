"""Oracles: what may have been read and written, decided from the history of a run alone."""
