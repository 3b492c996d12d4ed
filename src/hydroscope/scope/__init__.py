"""What happened: the records of all nodes in one order of cause and effect, and what is wrong in it."""
