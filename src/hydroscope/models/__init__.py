"""The models, their metrics and their files."""
