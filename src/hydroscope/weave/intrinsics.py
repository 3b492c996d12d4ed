"""What generated loops need and Numba's Python does not offer: loads by address, exact decimals, bits."""

from __future__ import annotations
