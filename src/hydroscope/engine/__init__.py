"""Providers of threads and of remote tasks."""
