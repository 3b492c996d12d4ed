"""Calls between members: sent until answered, executed once, whatever the network does."""
