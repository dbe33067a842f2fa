"""Document: the OpenAPI description of the API, made of its routes and their types, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any, Union, get_args, get_origin

import msgspec

from keepstep.client.access.role import Role

from .refusal import ErrorBody
from .route import Route

_REFERENCE = "#/components/schemas/{name}"

MEANINGS = {
    200: "Done.",
    201: "Made.",
    202: "It is durable, and will be done.",
    400: "Something of the request is not as described.",
    401: "No key, or one that nobody knows.",
    403: "The key may not do that.",
    404: "It is not there.",
    408: "The body did not come in time.",
    409: "It cannot be done as things stand, or what it needs is encrypted with keys that the caller may not use.",
    410: "The run has ended.",
    413: "The request is too large.",
    422: "The run's handler refused it or failed.",
    429: "There is too much to do; try again later.",
    503: "The database cannot be used now; try again later.",
    504: "Nobody has answered in time.",
}


def refusals_of(route: Route) -> frozenset[int]:
    """All statuses of refusals that a call may meet."""
    common = {400, 404, 413, 429, 503}
    common |= {401, 403, 409} if route.role is not Role.PUBLIC else set()
    common |= {408} if route.body is not None else set()
    return route.refuses | common


def describe_api(routes: Sequence[Route], base: str) -> dict[str, Any]:
    """The document, as plain data."""
    types = [each for route in routes for each in _types_of(route)]
    schemas, components = msgspec.json.schema_components([ErrorBody, *types], ref_template=_REFERENCE)
    by_type = {id(type_): schema for type_, schema in zip([ErrorBody, *types], schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operations = paths.setdefault(base + route.path, {})
        operations[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Keepstep", "version": version("keepstep")},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _types_of(route: Route) -> Iterator[Any]:
    if route.body is not None:
        yield route.body
    if route.is_json:
        yield route.answer


def _operation(route: Route, by_type: dict[int, Any]) -> dict[str, Any]:
    summary, _, more = route.doc.partition("\n")
    described: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": summary,
        "parameters": [*_in_path(route), *_in_query(route)],
        "responses": {**_successes(route, by_type), **_refusals(route, by_type)},
        "x-keepstep-role": route.role.value,
    }
    if more.strip():
        described["description"] = more.strip()
    if route.body is not None:
        content = {"application/json": {"schema": by_type[id(route.body)]}}
        described["requestBody"] = {"required": route.needs_body, "content": content}
    if route.role is not Role.PUBLIC:
        described["security"] = [{}, {"key": []}]
    return described


def _in_path(route: Route) -> Iterator[dict[str, Any]]:
    for name in route.parameters:
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _in_query(route: Route) -> Iterator[dict[str, Any]]:
    for field in msgspec.structs.fields(route.query):
        schema = msgspec.json.schema(_without_none(field.type))
        if field.default is not msgspec.NODEFAULT and field.default is not None:
            schema["default"] = field.default
        yield {"name": field.name, "in": "query", "required": field.required, "schema": schema}


def _without_none(type_: Any) -> Any:
    """What is not given in an address is not there; nobody can write null."""
    arguments = get_args(type_)
    if type(None) not in arguments or get_origin(type_) is None:
        return type_
    return Union[tuple(each for each in arguments if each is not type(None))]  # noqa: UP007 - of a tuple


def _successes(route: Route, by_type: dict[int, Any]) -> dict[str, Any]:
    content = {route.media: {"schema": by_type[id(route.answer)] if route.is_json else {"type": "string"}}}
    return {str(status): {"description": MEANINGS[status], "content": content} for status in route.statuses}


def _refusals(route: Route, by_type: dict[int, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": by_type[id(ErrorBody)]}}
    return {
        str(status): {"description": MEANINGS[status], "content": content, **_headers(status)}
        for status in sorted(refusals_of(route))
    }


def _headers(status: int) -> dict[str, Any]:
    if status not in (429, 503):
        return {}
    return {"headers": {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}}
