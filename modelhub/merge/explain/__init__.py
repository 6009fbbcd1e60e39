"""Explain: which models a merge was made of, with what weights, and how sure that is."""

from __future__ import annotations

from modelhub.merge.explain.candidates import find_candidates
from modelhub.merge.explain.explaining import explain
from modelhub.merge.explain.explanation import Candidate, Explanation, Row

__all__ = ["Candidate", "Explanation", "Row", "explain", "find_candidates"]
