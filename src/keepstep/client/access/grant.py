"""Grant: a role, and where it holds. A key gives one; who has logged in may have several."""

from __future__ import annotations

import msgspec

from .role import Role


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody may do."""

    role: Role
    namespaces: tuple[str, ...] = ()
    """Where; everywhere, if there are none."""
    decodes: bool = False
    """Whether encrypted values are opened for them where the server has the keys."""

    def reaches(self, namespace: str) -> bool:
        """Whether it says anything about that namespace."""
        return not self.namespaces or namespace in self.namespaces
