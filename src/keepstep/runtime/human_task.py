"""Human tasks: a wait for a person, with a title, a form and a due date."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, overload

import msgspec

from .call import required
from .crossing import waits_if_sync
from .data import Duration, checked_name, reader, to_seconds
from .data.schema import schema_of

T = TypeVar("T")

TITLE_CHARS_MAX = 400
"""A title is part of the task's key."""


class HumanTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task for a person, as it is listed. Completed with its ``token``."""

    title: str
    token: str
    form: dict[str, Any]
    """JSON schema of the answer."""
    assignee: str | None = None
    due: datetime | None = None
    url: str = ""


@overload
async def human_task(
    title: str, form: type[T], assignee: str | None = None, due: Duration | datetime | None = None
) -> T: ...
@overload
async def human_task(
    title: str, form: Any = None, assignee: str | None = None, due: Duration | datetime | None = None
) -> Any: ...
@waits_if_sync
async def human_task(
    title: str, form: Any = None, assignee: str | None = None, due: Duration | datetime | None = None
) -> Any:
    """Ask a person, and wait for the answer, decoded as ``form``.

    :param due: when it should be done, from now or as an aware datetime. It is shown to people and does not end the
        wait; put ``asyncio.timeout`` around it for that.
    """
    execution = required("human_task")
    checked_name(title, "the title of a human task", TITLE_CHARS_MAX)
    if assignee is not None:
        checked_name(assignee, "the assignee of a human task")
    moment = (
        due if isinstance(due, datetime) or due is None else _now(execution.now) + timedelta(seconds=to_seconds(due))
    )
    schema = {} if form is None else schema_of(form)
    person = HumanTask(title=title, token="", form=schema, assignee=assignee, due=moment)
    operation = execution.begin_callback(f"human_task:{title}", msgspec.json.encode(person))
    return reader(form)(await operation.future)


def _now(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)
