"""Cutting columns into chunks, and what is known about each chunk."""
