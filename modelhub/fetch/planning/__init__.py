"""Planning: what is chosen becomes orders with paths; what is owned, in the way or too large is told beforehand."""
