"""What fits what: verdicts with evidence, for one asset and for many against many."""
