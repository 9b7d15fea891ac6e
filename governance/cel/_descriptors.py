"""Protobuf descriptors made from pydantic models and named tuples, so that CEL can check a condition."""

from __future__ import annotations

import collections.abc
import re
import types
import typing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from math import isnan
from typing import TYPE_CHECKING, Any, Final, Literal, Union

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    message_factory,
    timestamp_pb2,
    wrappers_pb2,
)
from pydantic import AwareDatetime, BaseModel, EmailStr

from governance.cel._shapes import (
    Annotation,
    Kind,
    Shape,
    UnavailableError,
    Value,
    VocabularyError,
    bare_type,
    origin_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from google.protobuf.message import Message

MODEL_PACKAGE: Final = "tutti.model"
CHOICE_PACKAGE: Final = "tutti.choice"
_WELL_KNOWN: Final = (wrappers_pb2, timestamp_pb2, duration_pb2)
_Field: Final = descriptor_pb2.FieldDescriptorProto


_PLAIN: Final[Mapping[Any, Kind]] = {
    bool: Kind.TRUTH,
    int: Kind.WHOLE,
    float: Kind.DECIMAL,
    Decimal: Kind.DECIMAL,
    str: Kind.TEXT,
    EmailStr: Kind.TEXT,
    datetime: Kind.INSTANT,
    AwareDatetime: Kind.INSTANT,
    timedelta: Kind.SPAN,
}
_LISTS: Final = (
    list,
    tuple,
    set,
    frozenset,
    collections.abc.Sequence,
    collections.abc.Set,
    collections.abc.Iterable,
)
_BARE: Final[Mapping[Kind, int]] = {
    Kind.TRUTH: _Field.TYPE_BOOL,
    Kind.WHOLE: _Field.TYPE_INT64,
    Kind.DECIMAL: _Field.TYPE_DOUBLE,
    Kind.TEXT: _Field.TYPE_STRING,
    # Enum numbers start at 0 in declaration order; they never leave one process.
    Kind.CHOICE: _Field.TYPE_ENUM,
}
_WRAPPERS: Final[Mapping[Kind, str]] = {
    Kind.TRUTH: "google.protobuf.BoolValue",
    Kind.WHOLE: "google.protobuf.Int64Value",
    Kind.DECIMAL: "google.protobuf.DoubleValue",
    Kind.TEXT: "google.protobuf.StringValue",
    Kind.CHOICE: "google.protobuf.Int64Value",
}
_TIMES: Final[Mapping[Kind, str]] = {
    Kind.INSTANT: "google.protobuf.Timestamp",
    Kind.SPAN: "google.protobuf.Duration",
}


@dataclass(slots=True)
class _Entry:
    """A model on its way to a message: its fields, and what had to be left out with the reason."""

    model: type
    fields: dict[str, Shape] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)


class Schema:
    """Models, enums and the messages made from them, in a descriptor pool of their own.

    Each instance has a private pool, so two of them with the same models do not meet.
    """

    def __init__(self, variables: Mapping[str, Annotation]) -> None:
        """Read the types and build the messages.

        Args:
            variables: Name of each variable and its type.

        Raises:
            VocabularyError: A variable's type cannot be expressed, or two different enums share a name.
        """
        self._entries: dict[str, _Entry] = {}
        self._names: dict[type, str] = {}
        self.choices: dict[str, type[Enum]] = {}
        self.variables: dict[str, Shape] = {}
        for name, annotation in variables.items():
            try:
                self.variables[name] = self._shape(annotation)
            except UnavailableError as error:
                message = f"variable {name!r}: {error}"
                raise VocabularyError(message) from error
        self.pool = self._build_pool()
        self._plans = {name: self._plan(name) for name in self._entries}
        self._converters = {name: self._for_variable(shape) for name, shape in self.variables.items()}

    def fields(self, message: str) -> Mapping[str, Shape]:
        """Return the fields of a message by name."""
        return self._entries[message].fields

    def unavailable(self, message: str) -> Mapping[str, str]:
        """Return the fields a condition cannot read, each with the reason."""
        return self._entries[message].unavailable

    def model(self, message: str) -> type:
        """Return the model a message was made from."""
        return self._entries[message].model

    def convert(self, name: str, value: Value) -> Value:
        """Turn a Python value into what CEL takes for a variable.

        Raises:
            ValueError, TypeError, AttributeError, KeyError: The value does not fit.
        """
        return self._converters[name](value)

    def _for_variable(self, shape: Shape) -> Callable[[Value], Value]:
        converter = self._converter(replace(shape, optional=False))
        if shape.kind is Kind.MODEL:
            return _of_class(self._entries[shape.name].model, shape, converter)
        if shape.optional and shape.kind in _WRAPPERS:
            wrapper = message_factory.GetMessageClass(self.pool.FindMessageTypeByName(_WRAPPERS[shape.kind]))
            return lambda value: wrapper(value=converter(value))
        return converter

    def _shape(self, annotation: Annotation) -> Shape:
        annotation = bare_type(annotation)
        origin, arguments = origin_of(annotation), typing.get_args(annotation)
        if origin in (Union, types.UnionType):
            return self._union(arguments)
        if origin is Literal:
            return self._literal(arguments)
        if isinstance(annotation, type) and issubclass(annotation, Enum):
            return self._choice(annotation)
        if annotation in _PLAIN:
            return Shape(_PLAIN[annotation])
        if isinstance(annotation, type) and origin is None:
            if issubclass(annotation, BaseModel) or _is_named_tuple(annotation):
                return Shape(Kind.MODEL, name=self._register(annotation))
            for base in (str, int, float):
                if issubclass(annotation, base):
                    return Shape(_PLAIN[base])
        if origin in _LISTS:
            return self._list(arguments)
        if origin in (dict, collections.abc.Mapping):
            return self._table(arguments)
        message = (
            f"values of type {getattr(annotation, '__name__', annotation)} have no counterpart in conditions"
        )
        raise UnavailableError(message)

    def _union(self, arguments: tuple[Any, ...]) -> Shape:
        shapes = [self._shape(argument) for argument in arguments if argument is not type(None)]
        first = shapes[0]
        if any(replace(shape, choices=()) != replace(first, choices=()) for shape in shapes):
            message = "it can be of several types"
            raise UnavailableError(message)
        optional = type(None) in arguments or any(shape.optional for shape in shapes)
        if optional and first.kind in {Kind.LIST, Kind.TABLE}:
            message = "a list or table that may be absent cannot be told from an empty one"
            raise UnavailableError(message)
        open_text = any(not shape.choices for shape in shapes)
        choices = () if open_text else tuple(dict.fromkeys(c for shape in shapes for c in shape.choices))
        return replace(first, optional=optional, choices=choices)

    def _literal(self, values: tuple[Any, ...]) -> Shape:
        shapes = [
            Shape(Kind.NULL)
            if value is None
            else Shape(Kind.TEXT, choices=(value,))
            if type(value) is str
            else self._shape(type(value))
            for value in values
        ]
        known = [shape for shape in shapes if shape.kind is not Kind.NULL]
        if not known or any(replace(shape, choices=()) != replace(known[0], choices=()) for shape in known):
            message = "it can be of several types"
            raise UnavailableError(message)
        choices = (
            known[0].choices if known[0].kind is Kind.CHOICE else tuple(c for s in known for c in s.choices)
        )
        return replace(known[0], choices=choices, optional=len(known) < len(shapes))

    def _choice(self, source: type[Enum]) -> Shape:
        if self.choices.setdefault(source.__name__, source) is not source:
            message = f"two different enums are called {source.__name__}"
            raise VocabularyError(message)
        return Shape(Kind.CHOICE, name=source.__name__, choices=tuple(m.name for m in source), source=source)

    def _register(self, model: type) -> str:
        if model in self._names:
            return self._names[model]
        base = name = re.sub(r"\W", "_", model.__name__)
        count = 1
        while name in self._entries:
            count += 1
            name = f"{base}_{count}"
        # Registered before its fields are read: a model may contain itself.
        self._names[model] = name
        entry = self._entries[name] = _Entry(model)
        for key, annotation in _annotations(model).items():
            try:
                entry.fields[key] = self._shape(annotation)
            except UnavailableError as error:
                entry.unavailable[key] = str(error)
        return name

    def _single(self, annotation: Annotation) -> Shape:
        shape = self._shape(annotation)
        if shape.optional or shape.kind in {Kind.LIST, Kind.TABLE}:
            message = "a list or table cannot hold lists, tables or absent values"
            raise UnavailableError(message)
        return shape

    def _list(self, arguments: tuple[Any, ...]) -> Shape:
        items = [argument for argument in arguments if argument is not Ellipsis]
        if len(set(items)) != 1:
            message = "its elements have different types"
            raise UnavailableError(message)
        return Shape(Kind.LIST, item=self._single(items[0]))

    def _table(self, arguments: tuple[Any, ...]) -> Shape:
        key = self._single(arguments[0])
        if key.kind not in {Kind.TEXT, Kind.WHOLE, Kind.TRUTH, Kind.CHOICE}:
            message = "the keys of a table must be text, whole numbers or names"
            raise UnavailableError(message)
        return Shape(Kind.TABLE, key=key, item=self._single(arguments[1]))

    def _build_pool(self) -> descriptor_pool.DescriptorPool:
        choices = descriptor_pb2.FileDescriptorProto(
            name="choice.proto", package=CHOICE_PACKAGE, syntax="proto2"
        )
        for name, source in self.choices.items():
            # Protobuf puts enum members beside their enum; a holder each keeps equal member names apart.
            enum = choices.message_type.add(name=name).enum_type.add(name=name)
            for number, member in enumerate(source):
                enum.value.add(name=member.name, number=number)
        # proto2 tracks presence of plain fields, so has() is true for 0 and "".
        models = descriptor_pb2.FileDescriptorProto(
            name="model.proto", package=MODEL_PACKAGE, syntax="proto2"
        )
        models.dependency.extend(["choice.proto", *(module.DESCRIPTOR.name for module in _WELL_KNOWN)])
        for name, entry in self._entries.items():
            message = models.message_type.add(name=name)
            for number, (key, shape) in enumerate(entry.fields.items(), start=1):
                _add_field(message, name, key, number, shape)
        pool = descriptor_pool.DescriptorPool()
        for module in _WELL_KNOWN:
            pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        pool.AddSerializedFile(choices.SerializeToString())
        pool.AddSerializedFile(models.SerializeToString())
        return pool

    def _plan(self, name: str) -> tuple[tuple[str, bool, Callable[[Value], Value]], ...]:
        shapes = self._entries[name].fields
        return tuple((key, shape.optional, self._converter(shape)) for key, shape in shapes.items())

    def _message(self, name: str) -> Callable[[Any], Message]:
        factory = message_factory.GetMessageClass(self.pool.FindMessageTypeByName(f"{MODEL_PACKAGE}.{name}"))

        def convert(instance: Value) -> Message:
            values: dict[str, Any] = {}
            for key, optional, converter in self._plans[name]:
                value = getattr(instance, key)
                if value is not None:
                    values[key] = converter(value)
                elif not optional:
                    # Protobuf would read the gap as 0 or "", which could let something through.
                    message = f"{name}.{key} has no value"
                    raise ValueError(message)
            return factory(**values)

        return convert

    def _converter(self, shape: Shape) -> Callable[[Value], Value]:
        if shape.kind is Kind.LIST and shape.item is not None:
            return _listing(self._converter(shape.item))
        if shape.kind is Kind.TABLE and shape.item is not None and shape.key is not None:
            key, item = self._converter(shape.key), self._converter(shape.item)
            return lambda table: {key(k): item(v) for k, v in table.items()}
        if shape.kind is Kind.MODEL:
            return self._message(shape.name)
        convert: Callable[[Value], Value] = _CHECKS.get(shape.kind, _same)
        if shape.kind is Kind.CHOICE and shape.source is not None:
            numbers = {member: number for number, member in enumerate(shape.source)}
            # Models with `use_enum_values` hold the value instead of the member.
            numbers |= {member.value: number for number, member in enumerate(shape.source)}
            convert = numbers.__getitem__
        if shape.optional and shape.kind in _WRAPPERS:
            return lambda value: {"value": convert(value)}
        return convert


def _add_field(  # noqa: PLR0913 -- the parts of one field of one message
    message: descriptor_pb2.DescriptorProto,
    owner: str,
    key: str,
    number: int,
    shape: Shape,
    *,
    many: bool = False,
) -> None:
    if shape.kind is Kind.LIST and shape.item is not None:
        _add_field(message, owner, key, number, shape.item, many=True)
        return
    proto = message.field.add(name=key, number=number)
    proto.label = _Field.LABEL_REPEATED if many or shape.kind is Kind.TABLE else _Field.LABEL_OPTIONAL
    proto.type = _Field.TYPE_MESSAGE
    if shape.kind is Kind.TABLE and shape.item is not None and shape.key is not None:
        # Protobuf insists on this spelling of the entry's name.
        entry = message.nested_type.add(name="".join(p[:1].upper() + p[1:] for p in key.split("_")) + "Entry")
        entry.options.map_entry = True
        as_key = Shape(Kind.WHOLE) if shape.key.kind is Kind.CHOICE else shape.key
        _add_field(entry, owner, "key", 1, as_key)
        _add_field(entry, owner, "value", 2, shape.item)
        proto.type_name = f".{MODEL_PACKAGE}.{owner}.{entry.name}"
    elif shape.kind is Kind.MODEL:
        proto.type_name = f".{MODEL_PACKAGE}.{shape.name}"
    elif shape.kind in _TIMES:
        proto.type_name = f".{_TIMES[shape.kind]}"
    elif shape.optional:
        proto.type_name = f".{_WRAPPERS[shape.kind]}"
    else:
        proto.type = typing.cast("Any", _BARE[shape.kind])
        if shape.kind is Kind.CHOICE:
            proto.type_name = f".{CHOICE_PACKAGE}.{shape.name}.{shape.name}"


def wrapper_name(kind: Kind) -> str | None:
    """Return the protobuf wrapper that lets a scalar be null, or None where the kind needs none."""
    return _WRAPPERS.get(kind)


def _is_named_tuple(annotation: type) -> bool:
    return issubclass(annotation, tuple) and hasattr(annotation, "_fields")


def _annotations(model: type) -> dict[str, Annotation]:
    """Return the types of the fields of a pydantic model or a named tuple by name."""
    if not issubclass(model, BaseModel):
        return typing.get_type_hints(model, include_extras=True)
    annotations: dict[str, Annotation] = {key: info.annotation for key, info in model.model_fields.items()}
    return annotations | {key: info.return_type for key, info in model.model_computed_fields.items()}


def _of_class(model: type, shape: Shape, convert: Callable[[Value], Value]) -> Callable[[Value], Value]:
    def checked(value: Value) -> Value:
        if not isinstance(value, model):
            message = f"expected {shape}, got {type(value).__name__}"
            raise TypeError(message)
        return convert(value)

    return checked


def _same(value: Value) -> Value:
    return value


def _decimal(value: Value) -> float:
    number = float(value)
    if isnan(number):
        # Every comparison with NaN is false, so a rule could be skipped without a trace.
        message = "a number is not a number (NaN)"
        raise ValueError(message)
    return number


def _instant(value: datetime) -> datetime:
    if value.utcoffset() is None:
        # Protobuf would take it for UTC in silence.
        message = f"the time {value.isoformat()} has no time zone"
        raise ValueError(message)
    return value


def _listing(convert: Callable[[Value], Value]) -> Callable[[Iterable[Any]], list[Any]]:
    def listing(values: Iterable[Any]) -> list[Any]:
        converted = [convert(value) for value in values]
        if isinstance(values, collections.abc.Set):
            # The order of a set differs between processes; conditions must not see that.
            converted.sort(key=_sort_key)
        return converted

    return listing


def _sort_key(value: Value) -> Value:
    return value.SerializeToString(deterministic=True) if hasattr(value, "SerializeToString") else value


_CHECKS: Final[Mapping[Kind, Callable[[Value], Value]]] = {Kind.DECIMAL: _decimal, Kind.INSTANT: _instant}
