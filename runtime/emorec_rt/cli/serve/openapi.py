"""The description of the interface, as OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

from emorec_rt import __version__

_ERROR = {"$ref": "#/components/schemas/Error"}


def description(token: bool) -> dict[str, Any]:
    """The whole document.

    Args:
        token: Whether uploads need one.
    """
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "emorec",
            "version": __version__,
            "description": "Emotions over time from video with sound. Uploads are answered with a JSON "
            "object a line, as they are made; the last line has `done`, or `error`.",
        },
        "paths": {
            "/health": {"get": _simple("Whether the server works", "#/components/schemas/Health")},
            "/rows": {"post": _upload("rows", "A row for each frame, or for each interval", _EVERY)},
            "/segments": {"post": _upload("segments", "A segment for each run of one label", _MIN_SEGMENT)},
        },
        "components": {"schemas": _SCHEMAS},
    }
    if token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path in ("/rows", "/segments"):
            document["paths"][path]["post"]["security"] = [{"token": []}]
    return document


_EVERY = {
    "name": "every",
    "in": "query",
    "description": "Length of the interval of a row in seconds; without it a row for each frame",
    "schema": {"type": "number", "minimum": 0.001, "maximum": 86400},
}
_MIN_SEGMENT = {
    "name": "min_segment",
    "in": "query",
    "description": "Shortest segment in seconds",
    "schema": {"type": "number", "minimum": 0, "maximum": 3600, "default": 0.5},
}
_NAME = {
    "name": "name",
    "in": "query",
    "description": "Name of the video, which rows carry; nothing of that name is opened",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[A-Za-z0-9._ -]+$"},
}
_REFUSALS = {
    "400": "The upload ended before its end",
    "401": "The token is missing",
    "403": "The request comes from a page of another server, or by another name",
    "408": "The upload took too long",
    "413": "The upload is too large",
    "422": "The query is wrong, or the upload can't be read as video or sound",
    "503": "All places are taken, or the machine lacks room; come again",
}


def _upload(name: str, summary: str, parameter: dict[str, Any]) -> dict[str, Any]:
    lines = {"schema": {"type": "string", "description": f"A line each: {name}, then done or error"}}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [_NAME, parameter],
        "requestBody": {
            "required": True,
            "description": "The media file as it is",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
        "responses": {
            "200": {"description": summary, "content": {"application/x-ndjson": lines}},
            **{
                status: {"description": text, "content": {"application/json": {"schema": _ERROR}}}
                for status, text in _REFUSALS.items()
            },
        },
    }


def _simple(summary: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": schema}}}
    refusal = {"description": _REFUSALS["403"], "content": {"application/json": {"schema": _ERROR}}}
    return {
        "operationId": "health",
        "summary": summary,
        "responses": {"200": {"description": summary, "content": content}, "403": refusal},
    }


_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_SCHEMAS: dict[str, Any] = {
    "Error": {"type": "object", "required": ["error"], "properties": {"error": _TEXT}},
    "Health": {
        "type": "object",
        "required": ["status", "version", "backend", "labels", "notice", "running", "places"],
        "properties": {
            "status": {"const": "ok"},
            "version": _TEXT,
            "backend": _TEXT,
            "labels": {"type": "array", "items": _TEXT},
            "notice": _TEXT,
            "running": _COUNT,
            "places": _COUNT,
        },
    },
    "Row": {
        "type": "object",
        "required": ["video", "frame", "time_seconds", "label", "probabilities", "face", "sound", "box"],
        "properties": {
            "video": _TEXT,
            "frame": _COUNT,
            "time_seconds": {"type": "number"},
            "label": {"type": ["string", "null"]},
            "probabilities": {"type": "object", "additionalProperties": {"type": "number"}},
            "face": {"type": "boolean"},
            "sound": {"type": "boolean"},
            "box": {"type": ["array", "null"], "items": {"type": "number"}},
        },
    },
    "Segment": {
        "type": "object",
        "required": ["start_seconds", "end_seconds", "person", "label", "mean_score"],
        "properties": {
            "start_seconds": {"type": "number"},
            "end_seconds": {"type": "number"},
            "person": {"type": ["integer", "null"]},
            "label": _TEXT,
            "mean_score": {"type": "number"},
        },
    },
}
