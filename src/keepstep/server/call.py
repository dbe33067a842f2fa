"""Call: one request while it is being answered, as handlers see it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.types import Scope

from keepstep.client.access.role import Role
from keepstep.client.engine import Engine
from keepstep.client.handle import RunHandle
from keepstep.client.info import RunInfo
from keepstep.journal import JournalError, NotFound, Run

from .caller import Caller
from .desk import Desk
from .refusal import Refusal

replace = msgspec.structs.replace

HIDDEN = "<encrypted>"
"""In the place of a value that the server has read, for who may not see it."""


class Call:
    """What a handler is given beside what the address and the body say."""

    def __init__(self, desk: Desk, acting: Engine, engine: Engine, caller: Caller, scope: Scope) -> None:
        self.desk = desk
        self.engine = engine
        """Of the namespace that is asked. It opens encrypted values only for who may see them."""
        self.acting = acting
        """The same, which opens all: for what is done, and never for what is answered."""
        self.caller = caller
        """A log-in puts in its place who that was."""
        self.headers: Mapping[bytes, bytes] = dict(scope["headers"])
        """Of the request, their names in small letters."""
        self.root_path = str(scope.get("root_path", ""))
        self.is_secure = scope.get("scheme") == "https"
        client = scope.get("client")
        self.client = str(client[0]) if client else ""
        """The address that it comes from."""
        self.status: int | None = None
        """Of the answer, where it is not the route's usual one."""
        self.cookie = ""
        """That the answer sets."""
        self.location = ""
        """Where what was made can be found, below the base of the API."""

    @property
    def may_answer(self) -> bool:
        """Whether the caller may complete callbacks, and so may see their tokens, which is all that it takes."""
        return self.caller.may(Role.OPERATE, self.engine.namespace)

    def signature(self, said: str) -> str:
        """Who answers, for a history: who they say they are, and who they have shown to be, by a key or a log-in."""
        name = self.caller.name
        if not self.desk.guard.needs_key:
            return said
        if said in ("", name):
            return name
        return f"{said} ({name})" if self.caller.subject else f"{said} (key {name})"

    async def may_go_on(self, role: Role) -> bool:
        """Whether who has called would still be let in, for what goes on after the call was. While the keys cannot be
        read, they are taken to be as they were."""
        try:
            await self.desk.guard.admit(self.headers, role, self.engine.namespace, is_safe=True)
        except Refusal as refusal:
            return refusal.status not in (401, 403)
        except JournalError:
            return True
        return True

    def visible(self, info: RunInfo, token: str = "") -> RunInfo:
        """What the caller may see of a run. ``token`` stands in the place of tokens that must not be seen."""
        if self.may_answer or not any(wait.token for wait in info.waiting_for):
            return info
        waits = tuple(replace(each, token=token) if each.token else each for each in info.waiting_for)
        return replace(info, waiting_for=waits)

    async def find_run(self, id: str, run_id: str | None = None) -> Run:
        """The newest run of a workflow id, or that of it with a certain run id; also by a run id alone.

        Raises ``NotFound``.
        """
        journal, namespace = self.engine.journal, self.engine.namespace
        if run_id is None:
            found = await journal.find_run(namespace, id) or await journal.read_run(id)
        else:
            found = await journal.read_run(run_id)
            if found is not None and found.workflow_id != id:
                found = None
        if found is None or found.namespace != namespace:
            which = repr(id) if run_id is None else f"{id!r} with the run id {run_id!r}"
            raise NotFound(f"there is no run {which} in namespace {namespace!r}")
        return found

    @property
    def decodes(self) -> bool:
        """Whether the caller may see all that the server can read."""
        return self.engine is self.acting

    async def handle(self, id: str, run_id: str | None = None) -> RunHandle[object]:
        """A handle of what ``find_run`` finds. Without a run id it stands for whichever run is the newest."""
        return await self._handle(self.engine, id, run_id)

    async def acting_handle(self, id: str, run_id: str | None = None) -> RunHandle[object]:
        """The same, by which something is done."""
        return await self._handle(self.acting, id, run_id)

    async def _handle(self, engine: Engine, id: str, run_id: str | None) -> RunHandle[object]:
        found = await self.find_run(id, run_id)
        if run_id is None and found.workflow_id == id:
            return engine.get(id)
        return engine.get(found.workflow_id, found.run_id)

    async def seen(self, handle: RunHandle[object]) -> RunInfo:
        """What the caller may see of a run that something was done to."""
        return await self.engine.get(handle.id, handle.run_id).describe()
