"""The OpenAPI document as one page for people: no script, nothing fetched from elsewhere."""

from __future__ import annotations

import html
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #888; --accent: #b4532a; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 2rem 1rem; }
h1 { margin: 0 } h2 { margin: 2.5rem 0 .5rem; text-transform: capitalize }
code, .path, .method { font: 14px/1.5 ui-monospace, monospace }
details { border-top: 1px solid var(--line); padding: .4rem 0 }
summary { cursor: pointer; display: flex; gap: .8rem; flex-wrap: wrap; align-items: baseline }
.method { color: var(--accent); font-weight: 700; width: 4.5rem } .path { font-weight: 600 }
.about { color: var(--soft) } table { border-collapse: collapse; margin: .5rem 0 1rem 1rem }
th, td { text-align: left; vertical-align: top; padding: .15rem 1rem .15rem 0 }
th { font-weight: 600; color: var(--soft) } a { color: inherit }
"""


_LARGEST = 2**63 - 1
"""A bound that says no more than the type."""


def page(document: dict[str, Any]) -> bytes:
    """HTML in UTF-8."""
    info = document["info"]
    intro = f"{_text(info['description'])} Version {_text(info['version'])}"
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width'>",
        f"<title>{_text(info['title'])} API</title><style>{_STYLE}</style>",
        f"<h1>{_text(info['title'])} API</h1>",
        f"<p>{intro}; <a href='/schema/openapi.json'>openapi.json</a></p>",
    ]
    for tag, operations in _by_tag(document).items():
        parts.append(f"<h2>{_text(tag)}</h2>")
        parts += [_operation(*entry) for entry in operations]
    parts += ["<h2>statuses</h2>", _statuses(document)]
    note = "<p>A field with ? may be missing.</p>"
    return "\n".join([*parts, "<h2>documents</h2>", note, *_documents(document)]).encode()


def _by_tag(document: dict[str, Any]) -> dict[str, list[tuple[str, str, dict[str, Any]]]]:
    groups: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation["tags"][0], []).append((method, path, operation))
    return groups


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = [
        (f"{entry['in']}: {entry['name']}", _shape(entry["schema"]))
        for entry in operation["parameters"]
    ]
    if "requestBody" in operation:
        rows.append(("body", _content(operation["requestBody"])))
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            rows.append((status, _content(response)))
    own = [status for status in operation["responses"] if status[0] in "345"]
    rows.append(("also", _text(", ".join(own))))
    return (
        f"<details><summary><span class=method>{method.upper()}</span>"
        f"<span class=path>{_text(path)}</span>"
        f"<span class=about>{_text(operation['summary'])}</span></summary>"
        f"<p>{_text(operation['description'].replace('`', ''))}</p>{_table(rows)}</details>"
    )


def _documents(document: dict[str, Any]) -> list[str]:
    parts = []
    for name, schema in sorted(document["components"]["schemas"].items()):
        required = schema.get("required", [])
        rows = [
            (field + ("" if field in required else "?"), _shape(shape))
            for field, shape in schema.get("properties", {}).items()
        ]
        body = _table(rows) if rows else f"<p><code>{_shape(schema)}</code></p>"
        parts.append(
            f"<details id='{_text(name)}'><summary><span class=path>{_text(name)}</span>"
            f"<span class=about>{_text(_first_line(schema))}</span></summary>"
            f"{body}</details>"
        )
    return parts


def _statuses(document: dict[str, Any]) -> str:
    """What each status means, said once. Every error has the body ErrorBody."""
    meanings = {
        status: response["description"]
        for methods in document["paths"].values()
        for operation in methods.values()
        for status, response in operation["responses"].items()
    }
    return _table([(status, _text(text)) for status, text in sorted(meanings.items())])


def _table(rows: list[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{_text(left)}<td>{right}" for left, right in rows)
    return f"<table>{cells}</table>"


def _content(part: dict[str, Any]) -> str:
    return "".join(
        f"{_shape(entry['schema'])}" if media == "application/json" else f"{_text(media)}"
        for media, entry in part.get("content", {}).items()
    )


def _shape(schema: dict[str, Any]) -> str:
    """A type in few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"<a href='#{name}'>{name}</a>"
    if "anyOf" in schema:
        return " | ".join(_shape(entry) for entry in schema["anyOf"])
    if "enum" in schema:
        return _text(" | ".join(_literal(value) for value in schema["enum"]))
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_shape(schema.get('items', {}))}"
    notes = [schema[name] for name in ("format", "description") if name in schema]
    if schema.get("maximum", _LARGEST) < _LARGEST:
        notes.insert(0, f"{schema.get('minimum', '')}…{schema['maximum']}")
    return _text(", ".join([kind, *map(str, notes)]))


def _literal(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value) or '""'


def _first_line(schema: dict[str, Any]) -> str:
    return str(schema.get("description", "")).partition("\n")[0].replace("`", "")


def _text(text: object) -> str:
    return html.escape(str(text), quote=True)
