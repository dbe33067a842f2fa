"""Searching: how the SQL stores find runs.

A predicate becomes a condition of SQL that is made of fixed words and numbered parameters only (``condition``); which
index a page is read along, and how far, is decided by ``plan``; ``searcher`` asks in statements.
"""

from .condition import Conditions
from .listing import list_runs, predicate_of
from .plan import Driver, Walk, search
from .searcher import Searcher

__all__ = ["Conditions", "Driver", "Searcher", "Walk", "list_runs", "predicate_of", "search"]
