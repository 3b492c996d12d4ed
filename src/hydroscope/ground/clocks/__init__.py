"""Time: a port, the system's clock, a simulated one, and the hybrid logical clock over either."""
