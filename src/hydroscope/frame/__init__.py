"""Columns and tables: layout, vec, frame, rollups."""
