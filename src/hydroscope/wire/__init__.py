"""What members of a cluster say to each other, as typed values and as bytes."""
