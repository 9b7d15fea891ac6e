"""Values in the form that needs no conversion: what Python compares as CEL would."""

from __future__ import annotations

from datetime import UTC, datetime
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Final

from governance.cel._shapes import Kind, Shape, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from governance.cel._descriptors import Schema

_Test = tuple[type | None, "Callable[[Value], bool] | None"]
"""The exact class of a plain value, None if no value is; and what else must be true of it."""
_PATTERNS: Final = 1_024
"""So many combinations of present and absent fields are remembered as right, for each model."""

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


def _is_a_number(value: float) -> bool:
    return value == value  # noqa: PLR0124 -- NaN alone differs from itself


def _fits(value: int) -> bool:
    return _SMALLEST <= value <= _LARGEST


def _is_utc(value: datetime) -> bool:
    # Python compares times of different zones in its own way where clocks are set back.
    return value.tzinfo is UTC


_SCALARS: Final[Mapping[Kind, _Test]] = {
    Kind.TEXT: (str, None),
    Kind.WHOLE: (int, _fits),
    Kind.DECIMAL: (float, _is_a_number),
    Kind.TRUTH: (bool, None),
    Kind.INSTANT: (datetime, _is_utc),
}


class PlainTest:
    """Tells whether the values of variables are plain: of exactly the declared types, complete and finite.

    Whatever is not plain goes through `Schema.convert`, which accepts more and says what is wrong with the
    rest. A plain value has been found to be what the model declares, also where nobody validated it.
    """

    def __init__(self, schema: Schema) -> None:
        """Prepare the tests of all variables of a schema."""
        self._schema = schema
        self._models: dict[str, Callable[[Value], bool]] = {}
        self._variables = tuple(
            (name, *self._test(shape), shape.kind is Kind.MODEL) for name, shape in schema.variables.items()
        )

    def passes(self, values: Mapping[str, Value], known: dict[int, tuple[Value, bool]]) -> bool:
        """Tell whether all values are plain.

        Args:
            values: The value of every variable; None where it is absent.
            known: What is known of models by their identity; what is found out is added.
        """
        plain = True
        for name, expected, further, of_model in self._variables:
            value = values[name]
            if value is None:
                continue
            if value.__class__ is not expected:
                plain = False
            elif of_model:
                # The test of a model is the same for every variable and vocabulary.
                entry = known.get(id(value))
                if entry is None:
                    entry = known[id(value)] = (value, self._holds(further, value))
                plain = plain and entry[1]
            elif further is not None:
                plain = plain and further(value)
        return plain

    @staticmethod
    def _holds(further: Callable[[Value], bool] | None, value: Value) -> bool:
        return further is None or further(value)

    def _later(self, name: str) -> Callable[[Value], bool]:
        def plain(instance: Value) -> bool:
            return self._models[name](instance)

        return plain

    def _test(self, shape: Shape) -> _Test:
        if shape.kind in _SCALARS:
            return _SCALARS[shape.kind]
        if shape.kind is Kind.CHOICE:
            return shape.source, None
        if shape.kind is Kind.MODEL:
            return self._schema.model(shape.name), self._model(shape.name)
        if shape.kind is Kind.LIST and shape.item is not None:
            return tuple, _each(*self._test(shape.item))
        return None, None

    def _model(self, name: str) -> Callable[[Value], bool]:
        if name not in self._models:
            # Registered before its fields are looked at: a model may contain itself.
            self._models[name] = self._later(name)
            tests = [(key, shape, *self._test(shape)) for key, shape in self._schema.fields(name).items()]
            self._models[name] = _fields(self._schema.model(name), tests)
        return self._models[name]


def _fields(
    model: type,
    tests: list[tuple[str, Shape, type | None, Callable[[Value], bool] | None]],
) -> Callable[[Value], bool]:
    """Return the test of a model from the tests of its fields."""
    read = _reader(model, [key for key, *_ in tests])
    deeper = tuple((place, further) for place, (*_, further) in enumerate(tests) if further is not None)
    right: set[tuple[type, ...]] = set()

    def fits(classes: tuple[type, ...]) -> bool:
        return all(
            found is expected or (shape.optional and found is NoneType)
            for found, (_, shape, expected, _) in zip(classes, tests, strict=True)
        )

    def plain(instance: Value) -> bool:
        try:
            values = read(instance)
        except AttributeError:
            return False
        classes = tuple(map(type, values))
        if classes not in right:
            if not fits(classes):
                return False
            if len(right) < _PATTERNS:
                right.add(classes)
        for place, further in deeper:
            value = values[place]
            if value is not None and not further(value):
                return False
        return True

    return plain


def _reader(model: type, keys: list[str]) -> Callable[[Value], tuple[Value, ...]]:
    """Return what yields the values of all fields in the order of the keys."""
    if list(getattr(model, "_fields", ())) == keys:
        return tuple  # A named tuple is its values.
    if len(keys) > 1:
        return attrgetter(*keys)
    return lambda instance: tuple(getattr(instance, key) for key in keys)


def _each(expected: type | None, further: Callable[[Value], bool] | None) -> Callable[[Value], bool]:
    def plain(values: tuple[Value, ...]) -> bool:
        return all(value.__class__ is expected and (further is None or further(value)) for value in values)

    return plain
