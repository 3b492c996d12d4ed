"""The coherent key/value store: who may hold which value, decided without threads, clocks or sockets."""
