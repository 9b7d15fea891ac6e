"""The JSON Schemas beside the documentation say what the code reads, and explain every field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from governance import load_document, schemas
from tests.governance.worlds import DEFAULT, DEMO, ROOT

COMMITTED = ROOT / "docs" / "schemas" / "policies"
FILES = [*sorted(DEFAULT.glob("*.yaml")), *sorted(DEMO.glob("*.yaml")), *sorted(DEFAULT.glob("*/*.yaml"))]
FIRST_LINE = re.compile(r"# yaml-language-server: \$schema=(\S+)")
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def complaints(value: object, schema: dict[str, Any], whole: dict[str, Any]) -> Iterator[str]:
    """Check the parts of JSON Schema that ours consist of."""
    if "$ref" in schema:
        yield from complaints(value, whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
        return
    if "anyOf" in schema:
        found = [list(complaints(value, each, whole)) for each in schema["anyOf"]]
        if all(found):
            yield min(found, key=len)[0]
        return
    kind = schema.get("type")
    if kind is not None and (
        not isinstance(value, TYPES[kind]) or (kind != "boolean" and isinstance(value, bool))
    ):
        yield f"{value!r} is no {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{value!r} is none of {schema['enum']}"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"{value!r} does not fit {schema['pattern']}"
    yield from inner_complaints(value, schema, whole)


def inner_complaints(value: object, schema: dict[str, Any], whole: dict[str, Any]) -> Iterator[str]:
    if isinstance(value, list):
        for inner in value:
            yield from complaints(inner, schema.get("items", {}), whole)
    if isinstance(value, dict):
        known, other = schema.get("properties", {}), schema.get("additionalProperties", True)
        yield from (f"{key} is missing" for key in schema.get("required", ()) if key not in value)
        for key, inner in value.items():
            if key not in known and other is False:
                yield f"{key} is unknown"
            else:
                yield from complaints(
                    inner, known.get(key) or (other if isinstance(other, dict) else {}), whole
                )


def schema_of(file: Path) -> dict[str, Any]:
    name = {"tests": "tests", "plays": "play", "content": "content"}.get(file.parent.name, file.stem)
    return schemas()[f"{name}.schema.json"]


def data_of(file: Path) -> object:
    content: object = load_document(file.name, file.read_bytes()).data
    return content


def test_the_committed_schemas_are_those_of_the_code() -> None:
    made = {name: json.dumps(each, indent=2, ensure_ascii=False) + "\n" for name, each in schemas().items()}
    kept = {path.name: path.read_text() for path in COMMITTED.iterdir()}

    assert kept == made, "run `tutti policy schema`"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_shipped_file_names_its_schema_and_fits_it(file: Path) -> None:
    named = FIRST_LINE.match(file.read_text())

    assert named is not None
    schema = (file.parent / named[1]).resolve()
    assert schema.parent == COMMITTED
    assert json.loads(schema.read_text()) == schema_of(file)
    assert list(complaints(data_of(file), schema_of(file), schema_of(file))) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("frequency.yaml", "limit: 1\n", "limit: one\n", "'one' is no integer"),
        ("frequency.yaml", "window: 14d", "window: fortnight", "does not fit"),
        ("frequency.yaml", "per: contact", "per: person", "is none of"),
        ("timing.yaml", 'from: "20:00"', 'from: "25:00"', "does not fit"),
        ("timing.yaml", "decision_window: 5s\n", "", "decision_window is missing"),
        ("authority.yaml", "max_value: ", "max_vale: ", "max_vale is unknown"),
        ("people.yaml", "{id: nurture,", "{id: nur ture,", "does not fit"),
    ],
)
def test_an_editor_is_told_what_is_wrong(name: str, old: str, new: str, words: str) -> None:
    text = (DEFAULT / name).read_text()
    assert old in text
    schema = schema_of(DEFAULT / name)

    found = list(complaints(load_document(name, text.replace(old, new, 1).encode()).data, schema, schema))

    assert any(words in each for each in found), found


def test_every_field_is_explained() -> None:
    silent = [
        f"{name}: {part or 'the file'}: {key}"
        for name, schema in schemas().items()
        for part, content in {"": schema, **schema.get("$defs", {})}.items()
        for key, field in content.get("properties", {}).items()
        if not field.get("description") and "$ref" not in field
    ]

    assert silent == []
    assert all(
        part.get("description")
        for schema in schemas().values()
        for part in [schema, *schema.get("$defs", {}).values()]
    )
