"""Role: what a caller may do. Each role may do what those before it may."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a route asks of its caller."""

    PUBLIC = "public"
    """Nothing: health, the description of the API, and what is proven by a token of its own."""
    READ = "read"
    """Look at runs and what is around them."""
    OPERATE = "operate"
    """Start runs, speak to them, end them."""
    ADMIN = "admin"
    """Change what holds for all runs of a namespace: limits of queues, attributes, keys."""

    def covers(self, needed: Role) -> bool:
        """Whether who has this role may do what that one may."""
        return _ORDER[self] >= _ORDER[needed]


_ORDER = {role: n for n, role in enumerate(Role)}
