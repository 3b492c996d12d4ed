"""Tests of taps; `python -m tests.taps.foreign` watches two foreign systems with them."""
