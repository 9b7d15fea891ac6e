"""Conditions as Python: the plain part of the language, answered without the CEL library.

Most conditions compare a few fields with constants. Python does that an order of magnitude faster than the
way through protobuf and CEL. CEL stays the judge: a condition with anything beyond this part has no Python
form, and where the Python form finds no answer (a value is absent) CEL is asked, which also says why.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final, TypeAlias

from governance.cel._descriptors import CHOICE_PACKAGE, Schema
from governance.cel._shapes import Kind, Shape, Value
from governance.cel._syntax import Expr, Tree, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Quick: TypeAlias = "Callable[[Mapping[str, Value]], object]"
"""Takes the plain values of all variables, None where one is absent, and returns True or False.

It raises one of `NO_ANSWER` where a value it needs is absent.
"""

NO_ANSWER: Final = (TypeError, AttributeError, ArithmeticError)
"""What the Python form raises where it finds no answer."""

_Part = tuple[ast.expr, Shape]
_TRUTH: Final = Shape(Kind.TRUTH)
_CONSTANTS: Final[Mapping[str, Kind]] = {
    "null": Kind.NULL,
    "bool": Kind.TRUTH,
    "int": Kind.WHOLE,
    "double": Kind.DECIMAL,
    "string": Kind.TEXT,
}
_EQUALITY: Final[Mapping[str, tuple[ast.cmpop, ast.cmpop]]] = {
    "_==_": (ast.Eq(), ast.Is()),
    "_!=_": (ast.NotEq(), ast.IsNot()),
}
_ORDER: Final[Mapping[str, ast.cmpop]] = {
    "_<_": ast.Lt(),
    "_<=_": ast.LtE(),
    "_>_": ast.Gt(),
    "_>=_": ast.GtE(),
}
# Whole numbers are left out: CEL refuses to overflow, Python never does.
_SUMS: Final[Mapping[str, ast.operator]] = {
    "_+_": ast.Add(),
    "_-_": ast.Sub(),
    "_*_": ast.Mult(),
    "_/_": ast.Div(),
}
_TEXT_TESTS: Final[Mapping[str, str]] = {
    "startsWith": "startswith",
    "endsWith": "endswith",
    "contains": "__contains__",
}
_COMPARABLE: Final = frozenset({Kind.TEXT, Kind.WHOLE, Kind.DECIMAL, Kind.TRUTH, Kind.INSTANT, Kind.CHOICE})
_ORDERED: Final = frozenset({Kind.TEXT, Kind.WHOLE, Kind.DECIMAL, Kind.INSTANT})


class _BeyondError(Exception):
    """The condition uses something that only CEL answers."""


def translate(tree: Tree, schema: Schema) -> Quick | None:
    """Return the Python form of a checked condition; None if it uses what only CEL answers.

    Args:
        tree: The tree as it was checked, before absence is spelled out.
        schema: The variables it reads.
    """
    translator = _Translator(schema)
    arguments = ast.arguments([], [ast.arg("values")], None, [], [], None, [])
    try:
        whole = ast.Expression(ast.Lambda(arguments, translator.truth(tree.root)))
        code = compile(ast.fix_missing_locations(whole), "<condition>", "eval")
    except (_BeyondError, RecursionError):
        return None
    names: dict[str, object] = {"__builtins__": {}, "len": len, **translator.constants}
    # A tree made here, over names that the schema knows: no text from a policy file is run.
    quick: Quick = eval(code, names)  # noqa: S307
    return quick


class _Translator:
    """Turns a tree into Python, part by part."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self.constants: dict[str, object] = {}

    def truth(self, node: Expr) -> ast.expr:
        """Return a part that is true or false, and never absent."""
        part, shape = self._part(node)
        if shape.kind is not Kind.TRUTH or shape.optional:
            raise _BeyondError
        return part

    def _part(self, node: Expr) -> _Part:
        match kind_of(node):
            case "const":
                return self._const(node)
            case "ident":
                return self._ident(node.ident.name.lstrip("."))
            case "select":
                return self._select(node)
            case "call":
                return self._call(node)
        raise _BeyondError

    def _const(self, node: Expr) -> _Part:
        name = node.const.WhichOneof("kind")
        if name not in _CONSTANTS:
            raise _BeyondError
        return ast.Constant(None if name == "null" else getattr(node.const, name)), Shape(_CONSTANTS[name])

    def _ident(self, name: str) -> _Part:
        if name.startswith(f"{CHOICE_PACKAGE}."):
            *_, choice, member = name.split(".")
            source = self._schema.choices[choice]
            return self._constant(source[member]), Shape(Kind.CHOICE, name=choice)
        shape = self._schema.variables[name]
        return ast.Subscript(ast.Name("values", ast.Load()), ast.Constant(name), ast.Load()), shape

    def _constant(self, value: object) -> ast.expr:
        name = f"constant_{len(self.constants)}"
        self.constants[name] = value
        return ast.Name(name, ast.Load())

    def _select(self, node: Expr) -> _Part:
        owner, shape = self._part(node.select.operand)
        if shape.kind is not Kind.MODEL:
            raise _BeyondError
        field = self._schema.fields(shape.name)[node.select.field]
        read = ast.Attribute(owner, node.select.field, ast.Load())
        if not node.select.test_only:
            return read, field
        if field.kind in {Kind.LIST, Kind.TABLE}:
            raise _BeyondError
        return ast.Compare(read, [ast.IsNot()], [ast.Constant(None)]), _TRUTH

    def _call(self, node: Expr) -> _Part:
        function, arguments = node.call.function, list(node.call.args)
        if node.call.HasField("target"):
            return self._text_test(function, node.call.target, arguments)
        match function:
            case "_&&_" | "_||_":
                operator = ast.And() if function == "_&&_" else ast.Or()
                return ast.BoolOp(operator, [self.truth(part) for part in arguments]), _TRUTH
            case "!_":
                return ast.UnaryOp(ast.Not(), self.truth(arguments[0])), _TRUTH
            case "_?_:_":
                return self._either(*arguments)
            case "@in":
                return self._membership(*arguments), _TRUTH
            case "size":
                return self._size(arguments[0])
        if len(arguments) != 2:  # noqa: PLR2004 -- what is left has two sides
            raise _BeyondError
        return self._binary(function, self._part(arguments[0]), self._part(arguments[1]))

    def _binary(self, function: str, left: _Part, right: _Part) -> _Part:
        (one, a), (other, b) = left, right
        if function in _EQUALITY and Kind.NULL in {a.kind, b.kind}:
            value, shape = (one, a) if b.kind is Kind.NULL else (other, b)
            if shape.kind not in _COMPARABLE | {Kind.MODEL}:
                raise _BeyondError
            return ast.Compare(value, [_EQUALITY[function][1]], [ast.Constant(None)]), _TRUTH
        if not _same_type(a, b):
            raise _BeyondError
        if function in _EQUALITY and a.kind in _COMPARABLE:
            return ast.Compare(one, [_EQUALITY[function][0]], [other]), _TRUTH
        if function in _ORDER and a.kind in _ORDERED:
            return ast.Compare(one, [_ORDER[function]], [other]), _TRUTH
        if function in _SUMS and a.kind is Kind.DECIMAL:
            return ast.BinOp(one, _SUMS[function], other), Shape(Kind.DECIMAL)
        raise _BeyondError

    def _either(self, test: Expr, first: Expr, second: Expr) -> _Part:
        condition = self.truth(test)
        (one, a), (other, b) = self._part(first), self._part(second)
        if not _same_type(a, b) or a.kind not in _COMPARABLE:
            raise _BeyondError
        optional = a.optional or b.optional
        return ast.IfExp(condition, one, other), Shape(a.kind, optional=optional, name=a.name)

    def _membership(self, element: Expr, container: Expr) -> ast.expr:
        value, shape = self._part(element)
        if shape.kind not in _COMPARABLE:
            raise _BeyondError
        if container.HasField("list"):
            values = ast.Tuple([self._fixed(each, shape) for each in container.list.elements], ast.Load())
            return ast.Compare(value, [ast.In()], [values])
        listed, several = self._part(container)
        if several.kind is not Kind.LIST or several.item is None or not _same_type(several.item, shape):
            raise _BeyondError
        return ast.Compare(value, [ast.In()], [listed])

    def _fixed(self, node: Expr, shape: Shape) -> ast.expr:
        """Return a constant of the same type as a shape."""
        part, own = self._part(node)
        if not _same_type(own, shape) or not isinstance(part, (ast.Constant, ast.Name)):
            raise _BeyondError
        return part

    def _size(self, node: Expr) -> _Part:
        part, shape = self._part(node)
        if shape.kind not in {Kind.TEXT, Kind.LIST}:
            raise _BeyondError
        return ast.Call(ast.Name("len", ast.Load()), [part], []), Shape(Kind.WHOLE)

    def _text_test(self, function: str, target: Expr, arguments: list[Expr]) -> _Part:
        if function == "size":
            return self._size(target)
        if function not in _TEXT_TESTS or len(arguments) != 1:
            raise _BeyondError
        (one, a), (other, b) = self._part(target), self._part(arguments[0])
        if a.kind is not Kind.TEXT or b.kind is not Kind.TEXT:
            raise _BeyondError
        return ast.Call(ast.Attribute(one, _TEXT_TESTS[function], ast.Load()), [other], []), _TRUTH


def _same_type(one: Shape, other: Shape) -> bool:
    return one.kind is other.kind and one.name == other.name
