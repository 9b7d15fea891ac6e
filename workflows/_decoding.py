"""Reading messages at the edge: whatever a sender puts into a payload, no workflow task fails.

The engine decodes typed handler arguments itself, and then a wrong type drops the message with a log
line and a wrong number of arguments fails the task for ever. So handlers take any number of plain
values, and this module turns them into events or into a refusal that is recorded. What is not even
JSON arrives as a `RawValue`, by courtesy of `workflows._plugin`.
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from temporalio.common import RawValue

from domain import Event, Observation, Observed, Refused

_Model = TypeVar("_Model", bound=BaseModel)
_OBSERVATION: TypeAdapter[Observation] = TypeAdapter(Observation)
_OBSERVATIONS: TypeAdapter[list[Observation]] = TypeAdapter(list[Observation])


REFUSALS_LISTED = 20
"""Bad items of one batch that are refused one by one; a flood of them must not become the account's story."""


class UnreadableMessageError(Exception):
    """A message that does not have the shape of its kind; the text says what is wrong, and where."""


def read_model(model: type[_Model], arguments: tuple[object, ...]) -> _Model:
    """Read the one argument of a message as a model.

    Raises:
        UnreadableMessageError: there is not exactly one argument, or it does not fit the model.
    """
    try:
        return model.model_validate(_only(arguments))
    except ValidationError as error:
        raise UnreadableMessageError(explain(error)) from None
    except Exception as error:  # noqa: BLE001 - a value that trips a validator must not fail a task
        msg = f"cannot be read ({type(error).__name__})"
        raise UnreadableMessageError(msg) from None


def read_observations(arguments: tuple[object, ...]) -> list[Event]:
    """Read an `observe` batch: one observation or a list; a bad item is refused, the others count."""
    try:
        value = _only(arguments)
    except UnreadableMessageError as error:
        return [Refused(what="signal", why=str(error))]
    items = value if isinstance(value, list) else [value]
    try:
        return [Observed(observation=item) for item in _OBSERVATIONS.validate_python(items)]
    except Exception:  # noqa: BLE001 - whatever is wrong with one item, the others count
        return _read_one_by_one(items)


def explain(error: ValidationError) -> str:
    """Say in one line what does not fit, and where; never repeat the value, it may be personal."""
    problems = [
        f"{'.'.join(str(part) for part in p['loc']) or 'message'}: {p['msg']}" for p in error.errors()
    ]
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""  # noqa: PLR2004 - three are readable
    return "; ".join(problems[:3])[:1_500] + more


def _read_one_by_one(items: list[object]) -> list[Event]:
    events: list[Event] = []
    refused = 0
    for number, item in enumerate(items):
        try:
            events.append(Observed(observation=_OBSERVATION.validate_python(item)))
        except Exception as error:  # noqa: BLE001 - see above
            refused += 1
            why = explain(error) if isinstance(error, ValidationError) else type(error).__name__
            if refused <= REFUSALS_LISTED:
                events.append(Refused(what="signal", why=f"item {number}: {why}"))
    if refused > REFUSALS_LISTED:
        events.append(
            Refused(what="signal", why=f"and {refused - REFUSALS_LISTED} more items of the same batch")
        )
    return events


def _only(arguments: tuple[object, ...]) -> object:
    if len(arguments) != 1:
        msg = f"takes exactly one argument; found {len(arguments)}"
        raise UnreadableMessageError(msg)
    if isinstance(arguments[0], RawValue):
        msg = "payload cannot be decoded; send JSON"
        raise UnreadableMessageError(msg)
    return arguments[0]
