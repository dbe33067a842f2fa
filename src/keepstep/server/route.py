"""Route: one call of the API, said once, by a function and its types.

    runs = Routes("runs")

    @runs.get("/runs/{id}", role=Role.READ, refuses=(404,))
    async def describe_run(call: Call, id: str, query: Query) -> RunDetail:
        \"\"\"What a run is doing.\"\"\"

From the path, the annotations and the docstring come what is read of a request, what is checked, what is answered, and
what the OpenAPI document says of it; so a route cannot be there and missing in the document, or be there otherwise.

* what stands in braces in the path is a parameter of that name, a text;
* ``query`` is a struct, a subclass of ``Query``, whose fields may stand in the address;
* ``body`` is a struct that the JSON body must fit; if none of its fields is required, it may be left out;
* what is returned is the body of the answer.

A function that does not keep to this is refused where it is decorated.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec

from keepstep.client.access.role import Role
from keepstep.journal.limits import PAYLOAD_BYTES_MAX
from keepstep.journal.namespace import DEFAULT

Handler = Callable[..., Awaitable[Any]]
F = TypeVar("F", bound=Handler)

JSON = "application/json"

BODY_BYTES_MAX = PAYLOAD_BYTES_MAX + 64 * 1024
"""A payload as large as it may be, with what stands around it."""

_PARAMETER = re.compile(r"\{(\w+)\}")
_EXPECTED = "call, the parameters of the path, query and body"


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may stand in the address of every call."""

    namespace: str = DEFAULT


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path."""

    method: str
    path: str
    """With parameters in braces, below the base of the API."""
    tag: str
    role: Role
    handle: Handler
    query: type[Query]
    body: type[msgspec.Struct] | None
    """The type of the body; None if there is none."""
    answer: Any
    statuses: tuple[int, ...]
    """Of a success, the usual one first."""
    refuses: frozenset[int]
    """Statuses of refusals beside those that any such call may meet."""
    media: str
    body_bytes_max: int = BODY_BYTES_MAX

    @property
    def name(self) -> str:
        """Unique; that of its function."""
        return str(getattr(self.handle, "__name__", ""))

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.handle) or ""

    @property
    def parameters(self) -> list[str]:
        """Those of the path."""
        return _PARAMETER.findall(self.path)

    @property
    def is_json(self) -> bool:
        """Whether its answer is one; else it is an ASGI application that gives it."""
        return self.media == JSON

    @property
    def needs_body(self) -> bool:
        return self.body is not None and any(field.required for field in msgspec.structs.fields(self.body))

    @property
    def changes(self) -> bool:
        """Whether it can change anything, so that it belongs into the audit log."""
        return self.role not in (Role.PUBLIC, Role.READ) or (self.role is Role.PUBLIC and self.method != "GET")


class Routes:
    """The routes of one noun: ``@routes.get(path, role=...)``."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.all: list[Route] = []

    def get(self, path: str, **options: Any) -> Callable[[F], F]:
        return self._adder("GET", path, **options)

    def post(self, path: str, **options: Any) -> Callable[[F], F]:
        return self._adder("POST", path, **options)

    def patch(self, path: str, **options: Any) -> Callable[[F], F]:
        return self._adder("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Callable[[F], F]:
        return self._adder("DELETE", path, **options)

    def _adder(
        self,
        method: str,
        path: str,
        *,
        role: Role,
        statuses: Sequence[int] = (200,),
        refuses: Sequence[int] = (),
        media: str = JSON,
        body_bytes_max: int = BODY_BYTES_MAX,
    ) -> Callable[[F], F]:
        def add(handle: F) -> F:
            query, body, answer = _read(handle, path)
            self.all.append(
                Route(
                    method=method,
                    path=path,
                    tag=self.tag,
                    role=role,
                    handle=handle,
                    query=query,
                    body=body,
                    answer=answer,
                    statuses=tuple(statuses),
                    refuses=frozenset(refuses),
                    media=media,
                    body_bytes_max=body_bytes_max,
                )
            )
            return handle

        return add


def _read(handle: Handler, path: str) -> tuple[type[Query], type[msgspec.Struct] | None, Any]:
    """The types of its query, its body and its answer. Raises ``TypeError``."""
    name = getattr(handle, "__qualname__", handle)
    signature = inspect.signature(handle, eval_str=True)
    expected = ["call", *_PARAMETER.findall(path), "query", "body"]
    given = list(signature.parameters)
    if [each for each in expected if each in given] != given or set(expected) - set(given) - {"body"}:
        raise TypeError(f"{name} takes {', '.join(given)}; a route takes {_EXPECTED}, in this order")
    if not inspect.getdoc(handle) or signature.return_annotation is inspect.Signature.empty:
        raise TypeError(f"{name} is to say what it does and what it returns: the document of the API tells it")
    query = signature.parameters["query"].annotation
    if not (isinstance(query, type) and issubclass(query, Query)):
        raise TypeError(f"the query of {name} is of a subclass of Query, not {query!r}")
    body = signature.parameters.get("body")
    return query, None if body is None else body.annotation, signature.return_annotation
