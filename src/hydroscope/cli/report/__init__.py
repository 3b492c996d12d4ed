"""The HTML report of a model: one file with everything in it, nothing fetched."""
