"""Whole clusters in one thread, from one seed: workloads, checkers, mutants; `python -m tests.sim` runs them."""
