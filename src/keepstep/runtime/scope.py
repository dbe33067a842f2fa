"""Scope: where structural keys come from.

Every durable operation has a key that says where in the program it stands: the path of enclosing tasks, the
operation's name, and which occurrence of that name it is on its branch. Concurrent branches count for themselves, so
that a branch which is faster today, or has one step more, does not shift the others.

``charge``, ``charge#2``, ``ship_line()#3/label``: the first occurrence has no number.
"""

from __future__ import annotations


class Scope:
    """The names counted so far on one branch."""

    __slots__ = ("_counts", "prefix")

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._counts: dict[str, int] = {}

    def key(self, name: str) -> str:
        """The key of the next operation of that name on this branch."""
        counts = self._counts
        count = counts.get(name, 0) + 1
        counts[name] = count
        return f"{self.prefix}{name}" if count == 1 else f"{self.prefix}{name}#{count}"

    def fixed_key(self, name: str, given: str) -> str:
        """The key of an operation whose occurrence the user named with ``key=``. A name given twice is counted too."""
        return self.key(f"{name}[{given}]")

    def child(self, name: str) -> Scope:
        """The scope of a task created on this branch."""
        return Scope(f"{self.key(name + '()')}/")
