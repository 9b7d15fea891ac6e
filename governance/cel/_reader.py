"""Reads a condition like the person who wrote it: what it asks for, and where it cannot be meant."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from governance.cel._descriptors import CHOICE_PACKAGE, Schema
from governance.cel._findings import Finding, closest
from governance.cel._shapes import Kind, Shape
from governance.cel._syntax import Expr, Tree, children, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_OPERATORS: Final[Mapping[str, str]] = {
    "_==_": "==",
    "_!=_": "!=",
    "_<_": "<",
    "_<=_": "<=",
    "_>_": ">",
    "_>=_": ">=",
    "_+_": "+",
    "_-_": "-",
    "_*_": "*",
    "_/_": "/",
    "_%_": "%",
    "@in": "in",
    "_&&_": "&&",
    "_||_": "||",
    "!_": "!",
    "-_": "-",
    "_?_:_": "?",
    "_[_]": "[",
}
_RESULTS: Final[Mapping[str, Shape]] = {
    **dict.fromkeys(("contains", "startsWith", "endsWith", "matches", "bool"), Shape(Kind.TRUTH)),
    **dict.fromkeys(("size", "int"), Shape(Kind.WHOLE)),
    **dict.fromkeys(
        ("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"),
        Shape(Kind.WHOLE),
    ),
    **dict.fromkeys(("getHours", "getMinutes", "getSeconds", "getMilliseconds"), Shape(Kind.WHOLE)),
    "double": Shape(Kind.DECIMAL),
    "string": Shape(Kind.TEXT),
    "timestamp": Shape(Kind.INSTANT),
    "duration": Shape(Kind.SPAN),
}
_REFUSED: Final[Mapping[str, str]] = {
    "dyn": "`dyn` would switch the checks off; it is not allowed here",
    "type": "`type` has no use here: the type of every value is known",
}
FUNCTIONS: Final = frozenset(_RESULTS) | {
    "has",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
    "uint",
    "bytes",
}
_CONSTANTS: Final[Mapping[str, Shape]] = {
    "null": Shape(Kind.NULL),
    "bool": Shape(Kind.TRUTH),
    "int": Shape(Kind.WHOLE),
    "double": Shape(Kind.DECIMAL),
    "string": Shape(Kind.TEXT),
}
_ORDERED: Final = frozenset({"_<_", "_<=_", "_>_", "_>=_"})
_SUMS: Final = frozenset({"_+_", "_-_", "_*_", "_/_", "_%_"})
_TIMES: Final = frozenset({Kind.INSTANT, Kind.SPAN})


Known = Shape | Finding | None
"""What is known of an expression: its shape, the mistake that hides it, or nothing."""


class Reader:
    """Walks a condition, collects mistakes and the names it reads."""

    def __init__(self, text: str, tree: Tree, schema: Schema) -> None:
        """Walk the whole tree.

        Args:
            text: The condition.
            tree: Its tree, checked or not.
            schema: What may be read.
        """
        self._text = text
        self._tree = tree
        self._schema = schema
        self.findings: list[Finding] = []
        self.reads: set[str] = set()
        self._shapes: dict[int, Known] = {}
        self.result = self._visit(tree.root, {})
        self._refuse_unchecked()

    def _refuse_unchecked(self) -> None:
        for key, checked in self._tree.types.items():
            if checked.HasField("dyn") and not self.findings and key in self._tree.offsets:
                message = "this mixes values of several types, so it cannot be checked"
                self._report(self._tree.offsets[key], 1, "wrong-type", message)

    def _report(
        self, offset: int, length: int, code: str, message: str, suggestion: str | None = None
    ) -> Finding:
        finding = Finding(offset, max(length, 1), code, message, suggestion, {offset})
        self.findings.append(finding)
        return finding

    def _offset(self, node: Expr) -> int:
        return self._tree.offsets.get(node.id, 0)

    def _visit(self, node: Expr, local: Mapping[str, Known]) -> Known:
        known = self._shapes[node.id] = self._look(node, local)
        return known

    def _look(self, node: Expr, local: Mapping[str, Known]) -> Known:
        match kind_of(node):
            case "const":
                return _CONSTANTS.get(node.const.WhichOneof("kind"))
            case "ident":
                return self._ident(node, local)
            case "select":
                return self._select(node, local)
            case "call":
                return self._call(node, local)
            case "list":
                return self._list(node, local)
            case "fold":
                return self._fold(node, local)
            case "struct":
                return self._struct(node, local)
        return None

    def _ident(self, node: Expr, local: Mapping[str, Known]) -> Known:
        name = node.ident.name.lstrip(".")
        if name in local:
            return local[name]
        if name in self._schema.variables:
            self.reads.add(name)
            return self._schema.variables[name]
        if name.startswith(f"{CHOICE_PACKAGE}."):
            # The checker has already replaced `Role.CHAMPION` by the full name of the member.
            return self._constant(name.split(".")[-2])
        offset = self._offset(node)
        if name in self._schema.choices:
            member = next(iter(self._schema.choices[name])).name
            message = f"`{name}` alone is not a value; write one of its names, such as `{name}.{member}`"
            return self._report(offset, len(name), "unknown-value", message)
        names = [*self._schema.variables, *self._schema.choices]
        return self._report(
            offset, len(name), "unknown-name", f"there is no `{name}` here", closest(name, names)
        )

    def _constant(self, name: str) -> Shape:
        source = self._schema.choices[name]
        return Shape(Kind.CHOICE, name=name, choices=tuple(member.name for member in source), source=source)

    def _select(self, node: Expr, local: Mapping[str, Known]) -> Known:
        operand, name = node.select.operand, node.select.field
        offset = self._offset(node)
        start = offset + 1 + len(self._text[offset + 1 :]) - len(self._text[offset + 1 :].lstrip())
        if not self._text.startswith(name, start):
            # For has() the position is that of the macro.
            start = max(self._text.find(f".{name}", offset) + 1, offset)
        enum = operand.ident.name if operand.HasField("ident") else ""
        if enum in self._schema.choices and enum not in local and enum not in self._schema.variables:
            shape = self._constant(enum)
            if name in shape.choices:
                return shape
            found = self._report(
                start, len(name), "unknown-value", f"{enum} has no value `{name}`", self._member(shape, name)
            )
            found.covers |= {offset, self._offset(operand)}
            return found
        owner = self._visit(operand, local)
        if isinstance(owner, Finding):
            owner.covers.add(offset)
            return owner
        if owner is None:
            return None
        known = self._field(owner, self._words(operand, owner), name, start)
        path = self._path(node)
        if isinstance(known, Finding):
            known.covers.add(offset)
        elif path is not None and path.split(".")[0] not in local:
            self.reads.discard(path.rpartition(".")[0])
            self.reads.add(path)
        return Shape(Kind.TRUTH) if node.select.test_only and isinstance(known, Shape) else known

    def _field(self, owner: Shape, words: str, name: str, start: int) -> Known:
        if owner.kind is Kind.MODEL:
            fields = self._schema.fields(owner.name)
            if name in fields:
                return fields[name]
            reason = self._schema.unavailable(owner.name).get(name)
            if reason is not None:
                message = f"{words}.{name} cannot be used in a condition: {reason}"
                return self._report(start, len(name), "unavailable-field", message)
            message = f"{words} has no field `{name}`"
            return self._report(start, len(name), "unknown-field", message, closest(name, fields))
        if owner.kind is Kind.TABLE and owner.key is not None:
            if owner.key.kind is Kind.TEXT:
                self._agree("_[_]", f"a key of {words}", owner.key, name, Shape(Kind.TEXT), start, name)
                return owner.item
            message = f"the keys of {words} are not text: look a value up with square brackets"
            return self._report(start, len(name), "wrong-type", message)
        message = f"{words} is {owner}; it has no field `{name}`"
        return self._report(start, len(name), "unknown-field", message)

    def _call(self, node: Expr, local: Mapping[str, Known]) -> Known:
        function, offset = node.call.function, self._offset(node)
        parts = list(children(node))
        shapes = [self._visit(part, local) for part in parts]
        if function not in _OPERATORS:
            return self._function(node, function, offset, parts, shapes)
        if any(shape is None or isinstance(shape, Finding) for shape in shapes):
            return (
                _first(shapes) if function == "_?_:_" else _RESULTS["bool"] if function in _TRUTHS else None
            )
        known = [shape for shape in shapes if isinstance(shape, Shape)]
        if function in {"_&&_", "_||_", "!_"}:
            for part, shape in zip(parts, known, strict=True):
                if shape.kind is not Kind.TRUTH:
                    message = (
                        f"{self._words(part, shape)} is {shape}; `{_OPERATORS[function]}` needs true or false"
                    )
                    found = self._report(*self._span(part), "wrong-type", message)
                    found.covers.add(offset)
            return Shape(Kind.TRUTH)
        if function == "_?_:_":
            return _first(known[1:])
        if function == "-_":
            return known[0]
        return self._binary(function, offset, parts, known)

    def _binary(self, function: str, offset: int, parts: list[Expr], shapes: list[Shape]) -> Known:
        (left, right), (a, b) = parts, shapes
        if function == "@in":
            return self._membership(offset, left, right, a, b)
        if function == "_[_]":
            if a.kind is Kind.TABLE and a.key is not None:
                start, _ = self._span(right)
                words = f"a key of {self._words(left, a)}"
                self._agree(function, words, a.key, self._literal(right), b, start, self._source(right))
            return a.item
        if Kind.CHOICE in {a.kind, b.kind} and function in _ORDERED | _SUMS:
            shape = a if a.kind is Kind.CHOICE else b
            listed = f"`in [{shape.name}.{shape.choices[0]}]`"
            message = f"{shape.name} values have no order; list the ones you mean: {listed}"
            return self._report(offset, len(_OPERATORS[function]), "wrong-type", message)
        if function in _SUMS and (a.kind in _TIMES or b.kind in _TIMES):
            return _time_sum(function, a, b)
        if a.kind is Kind.TEXT and self._literal(left) is not None:
            left, right, a, b = right, left, b, a
        start, _ = self._span(right)
        fits = self._agree(
            function, self._words(left, a), a, self._literal(right), b, start, self._source(right), offset
        )
        if function not in _SUMS:
            return Shape(Kind.TRUTH)
        return replace(a, optional=False, choices=()) if fits else None

    def _membership(self, offset: int, left: Expr, right: Expr, a: Shape, b: Shape) -> Known:
        words = self._words(left, a)
        if right.HasField("list"):
            for element in right.list.elements:
                shape = self._shapes.get(element.id)
                if isinstance(shape, Shape):
                    start, _ = self._span(element)
                    self._agree(
                        "@in", words, a, self._literal(element), shape, start, self._source(element), offset
                    )
        elif b.kind in {Kind.LIST, Kind.TABLE}:
            element_shape = b.key if b.kind is Kind.TABLE else b.item
            if element_shape is not None:
                start, _ = self._span(left)
                listed = f"an element of {self._words(right, b)}"
                source = self._source(left)
                self._agree("@in", listed, element_shape, self._literal(left), a, start, source, offset)
        return Shape(Kind.TRUTH)

    def _agree(  # noqa: PLR0913, PLR0917 -- one comparison has this many sides
        self,
        function: str,
        words: str,
        a: Shape,
        literal: str | None,
        b: Shape,
        start: int,
        source: str,
        offset: int | None = None,
    ) -> bool:
        """Report why the value named `words` of shape `a` can never meet the other one; True when it can."""
        found: Finding | None = None
        length, sign = len(source), _OPERATORS[function]
        if Kind.NULL in {a.kind, b.kind}:
            absent = b if a.kind is Kind.NULL else a
            if absent.optional or absent.kind is Kind.NULL:
                return True
            named = source if a.kind is Kind.NULL else words
            found = self._report(start, length, "wrong-type", f"{named} always has a value; it is never null")
        elif a.kind is not b.kind:
            suggestion = None
            if Kind.CHOICE in {a.kind, b.kind}:
                shape, other, named = (a, b, words) if a.kind is Kind.CHOICE else (b, a, source)
                message = f"{named} is {shape}; compare it with {shape.name}.NAME, not with {other}"
                meant = self._member(shape, literal) if literal is not None and shape is a else None
                suggestion = f"{shape.name}.{meant}" if meant else None
            elif {a.kind, b.kind} == {Kind.WHOLE, Kind.DECIMAL}:
                message = f"{words} is {a} and {source} is {b}"
                if re.fullmatch(r"-?\d+", source):
                    suggestion = f"{source}.0"
            else:
                message = f"{words} is {a} and {source} is {b}; `{sign}` cannot take them together"
            found = self._report(start, length, "wrong-type", message, suggestion)
        elif a.kind is Kind.CHOICE and a.name != b.name:
            message = f"{words} is {a} and {source} is {b}; they are never equal"
            found = self._report(start, length, "wrong-type", message)
        elif a.kind is Kind.TEXT and a.choices and literal is not None and literal not in a.choices:
            message = f'{words} is never "{literal}"; it is one of {", ".join(a.choices)}'
            meant = closest(literal, a.choices)
            found = self._report(start, length, "unknown-value", message, f'"{meant}"' if meant else None)
        if found is not None and offset is not None:
            found.covers.add(offset)
        return found is None

    def _function(self, node: Expr, name: str, offset: int, parts: list[Expr], shapes: list[Known]) -> Known:
        before = self._text[:offset].rstrip()
        start = len(before) - len(name) if before.endswith(name) else offset
        if name.startswith("@"):
            return None
        if name in _REFUSED:
            return self._report(start, len(name), "unsupported", _REFUSED[name])
        if name == "not":
            message = "`not` is not a sign that conditions know"
            found = self._report(start, len(name), "syntax", message, "!")
            found.covers.add(offset)
            return found
        if name not in FUNCTIONS:
            found = self._report(
                start, len(name), "unknown-function", f"there is no `{name}()`", closest(name, FUNCTIONS)
            )
            found.covers |= {offset} | {
                self._offset(part) for part in parts[:1] if node.call.HasField("target")
            }
            return found
        for part, shape in zip(parts, shapes, strict=True):
            if isinstance(shape, Shape) and shape.kind is Kind.CHOICE:
                message = (
                    f"{self._words(part, shape)} is {shape}; it can only be compared, not given to `{name}()`"
                )
                self._report(*self._span(part), "wrong-type", message).covers.add(offset)
        return _RESULTS.get(name)

    def _list(self, node: Expr, local: Mapping[str, Known]) -> Known:
        elements = [(part, self._visit(part, local)) for part in node.list.elements]
        known = [(part, shape) for part, shape in elements if isinstance(shape, Shape)]
        for part, shape in known[1:]:
            first_part, first = known[0]
            if shape.kind is not first.kind or shape.name != first.name:
                start, length = self._span(part)
                message = (
                    f"{self._source(part)} is {shape}, unlike {self._source(first_part)}, which is {first}"
                )
                literal = self._literal(part)
                meant = self._member(first, literal) if first.kind is Kind.CHOICE and literal else None
                suggestion = f"{first.name}.{meant}" if meant else None
                self._report(start, length, "wrong-type", message, suggestion)
        item = (
            replace(known[0][1], choices=() if known[0][1].kind is Kind.TEXT else known[0][1].choices)
            if known
            else None
        )
        return Shape(Kind.LIST, item=item)

    def _struct(self, node: Expr, local: Mapping[str, Known]) -> Known:
        if node.struct.name:
            message = "a condition can only read values, not make them"
            return self._report(self._offset(node), 1, "unsupported", message)
        for child in children(node):
            self._visit(child, local)
        return None

    def _fold(self, node: Expr, local: Mapping[str, Known]) -> Known:
        fold = node.fold
        source = self._visit(fold.iter_range, local)
        item: Known = None
        if isinstance(source, Shape):
            item = source.key if source.kind is Kind.TABLE else source.item
        elif isinstance(source, Finding):
            item = source
        self._visit(fold.accu_init, local)
        inner: dict[str, Known] = {**local, fold.accu_var: None, fold.iter_var: item}
        if fold.iter_var2:
            inner[fold.iter_var2] = source.item if isinstance(source, Shape) else source
        self._visit(fold.loop_condition, inner)
        step = self._visit(fold.loop_step, inner)
        self._visit(fold.result, inner)
        return step

    def _member(self, shape: Shape, word: str) -> str | None:
        by_value = {str(member.value): member.name for member in shape.source} if shape.source else {}
        meant = closest(word, {*shape.choices, *by_value})
        return by_value.get(meant, meant) if meant else None

    def _path(self, node: Expr) -> str | None:
        if node.HasField("ident"):
            name = str(node.ident.name)
            return ".".join(name.split(".")[-2:]) if name.startswith(f"{CHOICE_PACKAGE}.") else name
        if node.HasField("select"):
            path = self._path(node.select.operand)
            return None if path is None else f"{path}.{node.select.field}"
        return None

    def _words(self, node: Expr, shape: Shape) -> str:
        """How to name an expression in a sentence: as it was written if short, else by what it is."""
        return self._path(node) or self._literal_source(node) or f"this ({shape})"

    def _literal(self, node: Expr) -> str | None:
        if node.HasField("const") and node.const.WhichOneof("kind") == "string":
            return str(node.const.string)
        return None

    def _literal_source(self, node: Expr) -> str | None:
        if not node.HasField("const"):
            return None
        found = re.match(
            r'[rR]?"(?:\\.|[^"\\\n])*"|[rR]?\'(?:\\.|[^\'\\\n])*\'|-?[\w.]+', self._text[self._offset(node) :]
        )
        return found.group() if found else None

    def _source(self, node: Expr) -> str:
        start, length = self._span(node)
        return self._text[start : start + length]

    def _span(self, node: Expr) -> tuple[int, int]:
        """Offset and length of an expression's text; a call is marked by its operator."""
        offset = self._offset(node)
        literal = self._literal_source(node)
        if literal is not None:
            return offset, len(literal)
        if node.HasField("ident") and (found := re.match(r"[\w.]+", self._text[offset:])):
            return self._written_ident(offset, found.group())
        if node.HasField("select"):
            start, _ = self._span(node.select.operand)
            end = offset + 1 + len(self._text[offset + 1 :]) - len(self._text[offset + 1 :].lstrip())
            return start, max(end + len(node.select.field) - start, 1)
        return offset, len(_OPERATORS.get(node.call.function, "x")) if node.HasField("call") else 1

    def _written_ident(self, offset: int, word: str) -> tuple[int, int]:
        if not word.startswith("."):
            return offset, len(word)
        # A checked enum member is placed at its dot: take the name before it along.
        before = re.search(r"\w+\s*$", self._text[:offset])
        start = before.start() if before else offset
        return start, offset + len(word) - start


_TRUTHS: Final = _ORDERED | {"_==_", "_!=_", "@in", "_&&_", "_||_", "!_"}


def _first(shapes: Iterable[Known]) -> Known:
    return next((s for s in shapes if isinstance(s, Shape) and s.kind is not Kind.NULL), None)


def _time_sum(function: str, a: Shape, b: Shape) -> Known:
    kinds = (a.kind, b.kind)
    if kinds == (Kind.INSTANT, Kind.INSTANT) and function == "_-_":
        return Shape(Kind.SPAN)
    if set(kinds) <= _TIMES and function in {"_+_", "_-_"}:
        return Shape(Kind.INSTANT if Kind.INSTANT in kinds else Kind.SPAN)
    return None
