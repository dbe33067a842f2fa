"""Ring: where the keys of a database are kept, as rules of retention are: in a run of a language that no worker has.

It lies in a namespace that nobody else can name. What counts is in the ``detail`` of the run; who was given what, and
when it was taken back, stands in its audit trail. Keys are of the whole database, so the store itself is asked, not an
engine, which sees its own namespace.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from keepstep.client.namespace import KEYS_ROOM, checked_namespace
from keepstep.journal import (
    Commit,
    Condition,
    Conflict,
    IfRunning,
    InvalidInput,
    Journal,
    NewEvent,
    NewRun,
    NotFound,
    Run,
)
from keepstep.runtime.data import checked_name, plain_text

from .key import Key, digest_of, make_secret, write_key
from .role import Role

LANGUAGE = ":keys"
TYPE = ":keys"
QUEUE = ":keys"
ID = "keys"
FORMAT = 1
BEGUN = "keys_begun"

KEYS_MAX = 1000
NAME_CHARS_MAX = 200
NAMESPACES_MAX = 100
TRIES_MAX = 20


class _Standing(msgspec.Struct, frozen=True):
    keys: dict[str, Key] = {}
    """By their ids."""


class KeyRing:
    """The keys of a store. ``random_bytes`` and ``make_id`` are where chance comes from."""

    def __init__(self, store: Journal, random_bytes: Callable[[int], bytes], make_id: Callable[[], str]) -> None:
        self.store = store
        self.random_bytes = random_bytes
        self.make_id = make_id

    async def list(self) -> list[Key]:
        """All that were not revoked, expired ones too, in the order in which they were made."""
        run = await self.store.find_run(KEYS_ROOM, ID)
        return [] if run is None else list(_read(run).keys.values())

    async def create(
        self,
        name: str,
        role: Role,
        namespaces: tuple[str, ...] = (),
        expires_after_seconds: float | None = None,
        *,
        decodes: bool = False,
    ) -> tuple[Key, str]:
        """A new key, and the text that its owner shows, which nobody can ever read again. Raises ``InvalidInput``."""
        checked_name(plain_text(name, "the name of a key"), "the name of a key", NAME_CHARS_MAX)
        if not name.isprintable():
            raise InvalidInput(f"the name of a key has printable signs only, not {name!r:.100}")
        if len(namespaces) > NAMESPACES_MAX:
            raise InvalidInput(f"a key is for {NAMESPACES_MAX} namespaces at most; leave them out for all")
        if role is Role.PUBLIC:
            raise InvalidInput("what is public needs no key; the roles of keys are read, operate and admin")
        now = self.store.clock.now()
        id, secret = make_secret(self.random_bytes)
        key = Key(
            id=id,
            name=name,
            role=role,
            namespaces=tuple(map(checked_namespace, namespaces)),
            decodes=decodes,
            digest=digest_of(secret),
            created_at=now,
            expires_at=None if expires_after_seconds is None else now + round(expires_after_seconds * 1e6),
        )

        def add(keys: dict[str, Key]) -> dict[str, Key]:
            if any(each.name == name for each in keys.values()):
                raise InvalidInput(f"there is a key {name!r} already; revoke it before, or choose another name")
            if len(keys) >= KEYS_MAX:
                raise InvalidInput(f"there are {KEYS_MAX} keys already; revoke those that nobody uses")
            return {**keys, id: key}

        await self._change(add, f"create {id}: {name} ({role.value}{', decodes' if decodes else ''})")
        return key, write_key(id, secret)

    async def revoke(self, name_or_id: str) -> Key:
        """Let a key count no longer. Raises ``NotFound``."""
        revoked: list[Key] = []

        def remove(keys: dict[str, Key]) -> dict[str, Key]:
            revoked[:] = [each for each in keys.values() if name_or_id in (each.id, each.name)]
            if not revoked:
                raise NotFound(f"there is no key {name_or_id!r}; keepstep keys list shows those that there are")
            return {id: each for id, each in keys.items() if each not in revoked}

        await self._change(remove, f"revoke {name_or_id}")
        return revoked[0]

    async def _change(self, edit: Callable[[dict[str, Key]], dict[str, Key]], audit: str) -> None:
        for _ in range(TRIES_MAX):
            run = await self.store.find_run(KEYS_ROOM, ID)
            if run is None:
                edit({})  # what cannot be is refused before anything is written
                await self._begin()
                continue
            changed = _Standing(edit(dict(_read(run).keys)))
            commit = Commit(
                run_id=run.run_id,
                version=run.version,
                condition=Condition.WAITING,
                detail=msgspec.json.encode(changed),
                audit=audit,
            )
            try:
                await self.store.commit(commit)
                return
            except Conflict:
                continue
        raise Conflict("the keys change too quickly to be changed; try again")

    async def _begin(self) -> None:
        """A ring without keys. No worker is ever offered it."""
        now = self.store.clock.now()
        await self.store.start(
            NewRun(
                run_id=self.make_id(),
                workflow_id=ID,
                namespace=KEYS_ROOM,
                language=LANGUAGE,
                format=FORMAT,
                type=TYPE,
                queue=QUEUE,
                events=(NewEvent(BEGUN, now, None, b""),),
                started_at=now,
                input_digest=b"",
                wake_at=None,
                if_running=IfRunning.ATTACH,
                if_closed=IfRunning.ATTACH,
            )
        )


def _read(run: Run) -> _Standing:
    return msgspec.json.decode(run.detail, type=_Standing) if run.detail else _Standing()
