"""Inspect: what is in a file that may be hostile, what it would do, and what other programs will stumble over."""

from modelhub.convert.inspect.inspection import inspect
from modelhub.convert.inspect.report import Finding, Inspection, Piece

__all__ = ["Finding", "Inspection", "Piece", "inspect"]
