"""Timelines as files of other tools, and captures of networks as timelines: one module a format."""
