"""Mutants that change nothing that anybody could see, each with the reason."""

from __future__ import annotations

EQUIVALENT: dict[tuple[str, str, str], str] = {}
"""By module, the line as it is, and the line as the mutant has it."""
