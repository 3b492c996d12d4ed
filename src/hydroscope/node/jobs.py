"""Jobs: long work with progress, cancellation and a result. (The engine room fills this in.)"""
