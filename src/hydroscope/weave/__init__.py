"""The user's row function and compressed chunks, woven into one compiled loop."""
