"""The description of the API in OpenAPI 3.1, made from the table of resources and the documents' types."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from spalloc_client._version import __version__
from spalloc_server.core.rights import those_with
from spalloc_server.fronts.http.api.entrance import COOKIE, CSRF_HEADER
from spalloc_server.fronts.http.api.table import Content, Operation, Query, Raw

_PLACE = "#/components/schemas/{name}"
_SAID = {"text/plain": {"schema": {"type": "string"}}}
_PHRASES = {
    200: "Done.",
    201: "Created; the header `Location` says where.",
    202: "Accepted.",
    204: "Done, or there is nothing there (yet).",
    302: "Done; go on there.",
}
_ABOUT = (
    "Boards of SpiNNaker machines, for jobs. Log in by the form, with Basic or with a bearer token. With a cookie, "
    "each request that changes something must show the root document's `csrf-token`, in the header `X-CSRF-TOKEN`. "
    "Errors are sentences, in plain text. Durations are ISO 8601 or seconds."
)
_PATH_VALUES = {
    "job": ("The job's ID.", {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}),
    "name": ("The machine's name.", {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}),
    "what": ("What is administered elsewhere.", {"type": "string", "minLength": 1}),
}
_KNOWN = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of an earlier answer: what changed since then is told at once, also with `wait`.",
    "schema": {"type": "string"},
}
_EXAMPLES: dict[str, Any] = {
    "NewJob": {"num-boards": 3, "tags": ["default"], "keepalive-interval": "PT60S", "time-limit": "PT2H"},
    "PowerWanted": {"power": "ON"},
    "TimeLimit": {"time-limit": "PT2H"},
    "IssueReport": {"issue": "no answer since noon", "boards": [{"chip": [0, 0]}]},
}
"""What a client may send, by the name of the body's type."""
_FORM = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("_csrf", "username", "password")},
    "required": ["_csrf", "username", "password"],
}


def description(operations: Sequence[Operation], base: str) -> bytes:
    """Return the OpenAPI document, in JSON.

    Args:
        operations: The table of resources.
        base: The path under which the service is found.
    """
    types = {kind for row in operations for kind in _types(row)}
    ordered = sorted(types, key=lambda kind: kind.__name__)
    schemas, components = msgspec.json.schema_components(ordered, ref_template=_PLACE)
    of = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for row in operations:
        path = "/" + row.path.replace(":path}", "}")
        paths.setdefault(path, {})[row.method.lower()] = _operation(row, of, components)
    for name, example in _EXAMPLES.items():
        components[name]["examples"] = [example]
    used = {
        name: schema for name, schema in components.items() if not issubclass(_by_name(types, name), Query)
    }
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Spalloc", "version": __version__, "description": _ABOUT},
        "servers": [{"url": base.rstrip("/") or "/"}],
        "paths": paths,
        "components": {
            "schemas": used,
            "securitySchemes": {
                "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE},
                "csrf": {"type": "apiKey", "in": "header", "name": CSRF_HEADER},
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }
    return msgspec.json.encode(document)


def _types(row: Operation) -> Iterable[type[msgspec.Struct]]:
    for content in (row.query, row.body, *row.answers.values()):
        if isinstance(content, type):
            yield content


def _by_name(types: Iterable[type], name: str) -> type:
    return next((kind for kind in types if kind.__name__ == name), object)


def _operation(row: Operation, of: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"operationId": row.name, "summary": row.about}
    told_too: dict[str, Any] = {}
    parameters = [
        {"name": name, "in": "path", "required": True, "description": about, "schema": schema}
        for name, (about, schema) in _PATH_VALUES.items()
        if f"{{{name}" in row.path
    ]
    if row.query is not None:
        schema = components[row.query.__name__]
        needed = schema.get("required", ())
        parameters += [
            {"name": name, "in": "query", "required": name in needed, "schema": value}
            for name, value in schema["properties"].items()
        ]
        if "wait" in schema["properties"]:
            parameters.append(_KNOWN)
            told_too = {"304": {"description": "Nothing has changed since the client's tag."}}
    if parameters:
        told["parameters"] = parameters
    if row.body is not None:
        told["requestBody"] = {"required": row.body is not Raw.TEXT, "content": _content(row.body, of)}
    told["responses"] = (
        {
            str(status): {"description": _PHRASES[status]} | ({"content": _content(kind, of)} if kind else {})
            for status, kind in row.answers.items()
        }
        | told_too
        | {"default": {"description": "Not done; the text says why.", "content": _SAID}}
    )
    if row.right is None:
        told["security"] = [{}]
    else:
        told["description"] = f"For {those_with(row.right)}."
        reads = row.method == "GET"
        told["security"] = [
            {"cookie": []} if reads else {"cookie": [], "csrf": []},
            {"bearer": []},
            *([{"basic": []}] if reads else []),
        ]
    return told


def _content(kind: Content, of: dict[Any, Any]) -> dict[str, Any]:
    if isinstance(kind, type):
        return {"application/json": {"schema": of[kind]}}
    assert kind is not None
    if kind is Raw.FORM:
        return {kind.value: {"schema": _FORM}}
    if kind is Raw.BYTES:
        return {kind.value: {}}
    return {kind.value: {"schema": {"type": "object" if kind is Raw.JSON else "string"}}}
