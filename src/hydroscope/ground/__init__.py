"""Ground floor: errors, limits, compilation. Imports nothing of hydroscope."""
