"""Caller: who has made a call, as far as that is known."""

from __future__ import annotations

import msgspec

from keepstep.client.access.role import Role


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who calls."""

    name: str
    """For the audit log: the name of a key, or ``anonymous``."""
    role: Role
    namespaces: tuple[str, ...] = ()
    """Where the role holds; everywhere, if there are none."""

    def may(self, role: Role, namespace: str) -> bool:
        """Whether this is allowed there."""
        return self.role.covers(role) and (not self.namespaces or namespace in self.namespaces)


ANYBODY = Caller(name="anonymous", role=Role.ADMIN)
"""Who calls where there is no access control."""
