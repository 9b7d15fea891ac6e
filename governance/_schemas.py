"""JSON Schemas of the policy files, so that editors complete, explain and check while somebody writes."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import BaseModel, BeforeValidator
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from domain import field_docs
from governance._cases import CasesFile
from governance._fields import TimeOfDay
from governance._outline import FOLDERS, file_model, file_names

if TYPE_CHECKING:
    from pydantic_core import core_schema

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

DURATION: Final = r"^[0-9]{1,9}(\.[0-9]{1,6})?(s|m|h|d)$"
TIME_OF_DAY: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"

_DURATION_TEXT: Final = "A length of time: 30s, 15m, 4h or 7d."
_TIME_TEXT: Final = 'A local time of day such as "20:00"; "24:00" is the end of the day.'

_MEANINGS: Final = {
    "AmbiguityEntry.disagreement_above": "0: all systems agree. 1: they could not differ more.",
    "AmbiguityEntry.id": "Name of the rule, unique over all files.",
    "ClaimEntry.id": "Name by which proposals claim it, unique over all files.",
    "ConfidenceBand.act_at": "From this confidence on the actor acts alone.",
    "ConfidenceBand.ask_at": "From this confidence on a person is asked; below it the proposal is dropped.",
    "FirstUseEntry.of": "templates: texts under content/. claims: what touches assert.",
    "GivenContact.opted_out": "Whether the person has objected to being contacted.",
    "GrantEntry.confidence": "How sure the actor must be of its own numbers, from 0 to 1.",
    "SegmentEntry.id": "Name by which approvers choose it, unique over all files.",
    "NoveltyEntry.level": "What it may do until then.",
    "accounts": "Ids of the accounts this is about.",
    "actions": "The actions this is about; [any], where it is allowed, means all.",
    "actor": "The actor this is about, as in people.yaml.",
    "actor_kind": "All actors of this kind: person, ai_agent or system.",
    "budgets": "How much of it in a rolling window, over all accounts; beyond that a person is asked.",
    "channel": "The channel, as in channels.yaml.",
    "channels": "The channels this is about, as in channels.yaml. Left out: all of them.",
    "confidence": "How sure something is, from 0 to 1.",
    "consent": "What is on record about the person's wish to be contacted.",
    "cost": "How much may be spent in the window.",
    "countries": "Two-letter country codes such as DE.",
    "country": "Two-letter country code such as DE.",
    "domain": "Domain of the company, such as acme.example.",
    "domains": "Domains of the companies this is about.",
    "expires": "The last day (UTC) on which this binds, such as 2027-12-31.",
    "first": "How many touches the actor makes with an action, over all accounts, before it is trusted.",
    "granted_by": "Login of the person who gave the grant.",
    "group": "The group of people.yaml that is asked.",
    "id": "Name of the rule, unique over all files. Decisions, tests and reports use it.",
    "intents": "What proposals are after, such as nurture.",
    "kind": "What sort it is.",
    "level": "How much the actor may do alone, from off to act_and_report.",
    "limit": "How many touches fit into the window.",
    "look_ahead": "Makes a proposal wait while a better one is scheduled; leave it out for no such wait.",
    "max_reach": "How many people one touch may reach before a person is asked.",
    "max_value": "Above this expected value a person is asked.",
    "media": "The media this is about: email, sms, call, message, post, web, ads or task.",
    "members": "Logins of the persons in the group.",
    "message": "What a person reads when the rule has spoken: one line, at most 160 characters.",
    "mode": "enforce: the rule binds. log_only: it is tried out and recorded, and does not bind.",
    "name": "Name by which the other files know it.",
    "novelty": "Until the actor has made some touches with an action, it may do less alone.",
    "on_expiry": "What silence means: suppress or deny, never a yes.",
    "other_systems": "How much systems are believed that are not listed, from 0 to 1.",
    "outcomes": "What came back on a touch.",
    "owner": "Login of the person who answers for it.",
    "per": "What is counted together, or over which time.",
    "percent": "A push in per cent: 55 means times 1.55, -20 means times 0.8.",
    "phone": "Telephone number, such as +4930123456.",
    "reason": "Why the rule exists, or the reason code that its decisions carry.",
    "regime": "opt_out: allowed until the person objects. opt_in: only with one of the permissions.",
    "reliability": "How much each system is believed, from 0 (never) to 1 (fully).",
    "review": "The day by which somebody looks at this again.",
    "source": "The law, contract or decision behind the rule.",
    "stage": "How far the account has come: target, aware, engaged, evaluating, closing or customer.",
    "starvation": "From which deferral on a proposal is shown as starving; it changes no decision.",
    "system": "The system that concluded it.",
    "task_queue": "Queue on which the channel's worker listens.",
    "then": "What happens when the rule matches.",
    "time_zone": "Time zone such as Europe/Berlin.",
    "times": "How many touches must have ended like that.",
    "title": "Job title.",
    "touches": "How many touches fit into the window.",
    "unknown_country": "Where a person may be if nobody knows: a day off in any of these counts.",
    "unknown_zone": "Where a person may be if nobody knows: all of these zones must be awake.",
    "urgency": "How much hurry there is, from 0 to 1.",
    "valid_until": "The last day (UTC) on which the grant holds.",
    "weight": "A factor of the score: 1.2 counts more, 0.5 counts half.",
    "when": "A condition in CEL, such as `account.tier == Tier.ONE`; docs/policies.md lists its names.",
    "window": "How far back is counted, at most 90d. The window rolls: it ends at this very moment.",
}
"""What fields mean whose model does not say so itself; a word means the same everywhere unless it is listed
for one model."""

_READ_TIME: Final = next(part.func for part in get_args(TimeOfDay) if isinstance(part, BeforeValidator))


class _Generator(GenerateJsonSchema):
    """Knows how durations, times of day and intervals are written in policy files."""

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> JsonSchemaValue:
        """Return the text form of a duration instead of ISO 8601's."""
        del schema
        return {"type": "string", "pattern": DURATION, "description": _DURATION_TEXT}

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        """Return the text form of a time of day, which is a number only once it is read."""
        if schema["function"]["function"] is _READ_TIME:
            return {"type": "string", "pattern": TIME_OF_DAY, "description": _TIME_TEXT}
        return super().function_before_schema(schema)


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of every file that people write, by its name.

    Returns:
        One for each policy file, such as `frequency.schema.json`, and those of the files in folders:
        `play.schema.json`, `content.schema.json` and `tests.schema.json`.
    """
    found = {file.replace(".yaml", ".schema.json"): schema_of(file_model(file)) for file in file_names()}
    found["play.schema.json"] = schema_of(FOLDERS["plays"])
    found["content.schema.json"] = schema_of(FOLDERS["content"])
    return {**found, "tests.schema.json": schema_of(CasesFile)}


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of a file that people write, every field explained.

    Args:
        model: What the file is read into.
    """
    schema = model.model_json_schema(by_alias=True, schema_generator=_Generator)
    for owner in _models(model, set()):
        part = schema if owner is model else schema.get("$defs", {}).get(owner.__name__)
        if part is not None:
            _explain(part, owner, schema.get("$defs", {}))
    summary = (inspect.getdoc(sys.modules[model.__module__]) or "").partition("\n")[0]
    return {"$schema": DIALECT, **schema, "description": summary}


def _explain(part: dict[str, Any], model: type[BaseModel], parts: Mapping[str, dict[str, Any]]) -> None:
    said = field_docs(model)
    for name, info in model.model_fields.items():
        key = info.alias or name
        field = part.get("properties", {}).get(key)
        if field is None:
            continue
        field.pop("title", None)
        words = said.get(name) or _MEANINGS.get(f"{model.__name__}.{key}") or _MEANINGS.get(key)
        words = _of_entries(field, parts) or words if name not in said else words
        if words:
            details = field.get("description")
            field["description"] = f"{words} {details}" if details and details != words else words
    part.pop("title", None)


def _of_entries(field: Mapping[str, Any], parts: Mapping[str, dict[str, Any]]) -> str | None:
    """Return what each entry is, for a list or table of entries that a model describes."""
    for inner in (field.get("items"), field.get("additionalProperties")):
        name = inner.get("$ref", "").rpartition("/")[2] if isinstance(inner, dict) else ""
        if parts.get(name, {}).get("type") == "object":
            return f"Each entry: {parts[name].get('description', '')}"
    return None


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
