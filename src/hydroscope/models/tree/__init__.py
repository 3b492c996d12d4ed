"""Histogram trees: bins, histograms, splits, growth, prediction."""
