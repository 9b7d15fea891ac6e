"""The contract of a channel as JSON Schema, and what a change of it would break."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from domain import Outcome, Recall, Recalled, Receipt, Touch, field_docs

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


@cache
def contract_models() -> dict[str, type[BaseModel]]:
    """Return every shape that channels of other teams read or write, by the name of its schema."""
    from gateway.handovers import HandoverAnswer, HandoverProblem, HandoverQuestion, HandoverReport

    return {
        "touch": Touch,
        "receipt": Receipt,
        "recall": Recall,
        "recalled": Recalled,
        "outcome": Outcome,
        "handover-question": HandoverQuestion,
        "handover-answer": HandoverAnswer,
        "handover-report": HandoverReport,
        "handover-problem": HandoverProblem,
    }


def contract_schemas() -> dict[str, Schema]:
    """Return the published schemas, by file name such as `touch.schema.json`."""
    return {f"{name}.schema.json": contract_schema(model) for name, model in contract_models().items()}


def contract_schema(model: type[BaseModel]) -> Schema:
    """Return the JSON Schema of one shape, every field explained in the words of its source.

    Args:
        model: The shape.
    """
    schema = model.model_json_schema()
    parts = schema.get("$defs", {})
    for owner in _models(model, set()):
        part = schema if owner is model else parts[owner.__name__]
        part.pop("title", None)
        part["description"] = inspect.cleandoc(owner.__doc__ or "")
        for name, words in field_docs(owner).items():
            field = part.get("properties", {}).get(name)
            if field is not None:
                field["description"] = words
    for part in (schema, *parts.values()):
        for field in part.get("properties", {}).values():
            field.pop("title", None)
    return {"$schema": DIALECT, "title": model.__name__, **schema}


def written(schema: Schema) -> str:
    """Return a schema as the text of its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def breaks_in(folder: Path) -> list[str]:
    """Compare the schemas of a folder with those of this code.

    Returns:
        A sentence for everything that would stop working; nothing for a folder without schemas.

    Raises:
        OSError, ValueError: A file cannot be read, or is no JSON.
    """
    found: list[str] = []
    for name, schema in contract_schemas().items():
        file = folder / name
        if file.exists():
            promised = json.loads(file.read_text(encoding="utf-8"))
            found += [f"{name}: {each}" for each in breaks(promised, schema)]
    return found


def breaks(promised: Schema, new: Schema) -> list[str]:
    """Tell what would stop working if a schema were replaced.

    Args:
        promised: The schema that teams have built for.
        new: What is to replace it.

    Returns:
        A sentence for each removed field, newly required field, narrowed type and changed word list. A new
        field that may be left out breaks nothing.
    """
    return list(_breaks(promised, new, "", promised, new))


def _breaks(old: Schema, new: Schema, at: str, promised: Schema, whole: Schema) -> Iterator[str]:
    old, new = _resolved(old, promised), _resolved(new, whole)
    before, after = old.get("properties", {}), new.get("properties", {})
    for name, field in before.items():
        where = f"{at}.{name}" if at else name
        if name not in after:
            yield f"the field {where} is gone: workers that read or write it stop working"
            continue
        yield from _breaks(field, after[name], where, promised, whole)
    for name in new.get("required", ()):
        if name not in old.get("required", ()):
            where = f"{at}.{name}" if at else name
            yield f"the field {where} is newly required: whoever leaves it out today is refused tomorrow"
    if before and old.get("additionalProperties", True) and not new.get("additionalProperties", True):
        yield f"{at or 'the whole'} no longer takes unknown fields: a later sender would be refused"
    yield from _narrowed(old, new, at, promised, whole)


def _narrowed(old: Schema, new: Schema, at: str, promised: Schema, whole: Schema) -> Iterator[str]:
    lost = _types(old, promised) - _types(new, whole)
    if lost:
        yield f"{at} is no longer {' or '.join(sorted(lost))}: values that are right today are refused"
    gained = _types(new, whole) - _types(old, promised)
    if gained and _types(old, promised):
        yield f"{at} may now be {' or '.join(sorted(gained))}: workers that read it do not expect that"
    gone = set(old.get("enum", ())) - set(new.get("enum", ())) if "enum" in old else set()
    if gone:
        yield f"{at} no longer knows {', '.join(sorted(gone))}: workers that say it are refused"
    for key in ("pattern", "format"):
        if new.get(key) is not None and new.get(key) != old.get(key):
            yield f"{at} has another {key}: values that are right today may be refused"
    for key in ("maxLength", "maximum", "maxProperties"):
        if key in new and new[key] < old.get(key, float("inf")):
            yield f"{at} is shorter or smaller at most ({key} {new[key]}): values that fit today are refused"
    if new.get("minLength", 0) > old.get("minLength", 0):
        yield f"{at} is longer at least ({new['minLength']}): values that fit today are refused"
    yield from _alternatives(old, new, at, promised, whole)


def _alternatives(old: Schema, new: Schema, at: str, promised: Schema, whole: Schema) -> Iterator[str]:
    """Compare what stands behind `anyOf`, where an optional field has its shape beside `null`."""
    for shape in old.get("anyOf", ()):
        kind = _types(shape, promised)
        match = next((other for other in new.get("anyOf", ()) if _types(other, whole) == kind), None)
        if match is not None:
            yield from _breaks(shape, match, at, promised, whole)


def _types(schema: Schema, whole: Schema) -> frozenset[str]:
    schema = _resolved(schema, whole)
    inner = [_types(shape, whole) for shape in schema.get("anyOf", ())]
    own = {schema["type"]} if "type" in schema else set()
    return frozenset(own).union(*inner)


def _resolved(schema: Schema, whole: Schema) -> Schema:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return {**whole.get("$defs", {})[name], **schema} if name else schema


def _models(annotation: object, seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """Yield a model and every model its fields are made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation in seen:
            return
        seen.add(annotation)
        yield annotation
        for info in annotation.model_fields.values():
            yield from _models(info.annotation, seen)
    for inner in getattr(annotation, "__args__", ()):
        yield from _models(inner, seen)
