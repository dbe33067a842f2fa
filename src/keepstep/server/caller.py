"""Caller: who has made a call, as far as that is known."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from keepstep.client.access.grant import Grant
from keepstep.client.access.role import Role


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who calls."""

    name: str
    """For the audit log and the header of the web UI: the name of a key or a person, or ``anonymous``."""
    grants: tuple[Grant, ...]
    subject: str = ""
    """Of a person: what the identity provider calls them, which stays the same when their name changes."""

    def may(self, role: Role, namespace: str) -> bool:
        """Whether this is allowed there."""
        return any(each.role.covers(role) and each.reaches(namespace) for each in self.grants)

    def may_decode(self, namespace: str) -> bool:
        """Whether encrypted values of that namespace are opened for them."""
        return any(each.decodes and each.reaches(namespace) for each in self.grants)

    def reaches(self, namespace: str) -> bool:
        """Whether they may do anything at all there."""
        return any(each.reaches(namespace) for each in self.grants)

    def role_in(self, namespace: str) -> Role:
        """The highest one that they have there."""
        return _highest(each for each in self.grants if each.reaches(namespace))

    @property
    def role(self) -> Role:
        """The highest one that they have anywhere."""
        return _highest(self.grants)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Where they may do anything; everywhere, if there are none."""
        if any(not each.namespaces for each in self.grants):
            return ()
        return tuple(dict.fromkeys(name for each in self.grants for name in each.namespaces))


def _highest(grants: Iterable[Grant]) -> Role:
    return max((each.role for each in grants), key=list(Role).index, default=Role.PUBLIC)


ANYBODY = Caller(name="anonymous", grants=(Grant(role=Role.ADMIN, decodes=True),))
"""Who calls where there is no access control."""
