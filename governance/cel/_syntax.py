"""The syntax tree of a condition: read what cel-cpp serializes, walk it, and make absent values null."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from governance.cel._descriptors import MODEL_PACKAGE, Schema
from governance.cel._shapes import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cel_expr_python import cel

Expr: TypeAlias = Any
"""A `cel.expr.Expr` under the names below; its class is made at run time, so it has no static type."""

GIVEN_SUFFIX: Final = "__given"
_URL: Final = "type.googleapis.com/cel.expr."
_NULL_ON_ABSENCE: Final = frozenset({Kind.MODEL, Kind.INSTANT, Kind.SPAN})

# The parts of cel.expr.CheckedExpr and ParsedExpr that are read here, under names of our own: field names do
# not travel, and fields left out survive a round trip. "*" marks repeated fields.
_LAYOUT: Final[dict[str, dict[str, str]]] = {
    "Checked": {"references": "2* Reference", "types": "3* Typed", "expr": "4 Expr", "source": "5 Source"},
    "Parsed": {"expr": "2 Expr", "source": "3 Source"},
    "Reference": {"key": "1 int64", "value": "2 Target"},
    "Target": {"name": "1 string", "overloads": "3* string"},
    "Typed": {"key": "1 int64", "value": "2 Type"},
    "Type": {"dyn": "1 Empty", "message": "9 string"},
    "Empty": {},
    "Source": {"positions": "4* Position"},
    "Position": {"key": "1 int64", "value": "2 int32"},
    "Expr": {
        "id": "2 int64",
        "const": "3 Const |",
        "ident": "4 Ident |",
        "select": "5 Select |",
        "call": "6 Call |",
        "list": "7 List |",
        "struct": "8 Struct |",
        "fold": "9 Fold |",
    },
    "Const": {
        "null": "1 int32 |",
        "bool": "2 bool |",
        "int": "3 int64 |",
        "uint": "4 uint64 |",
        "double": "5 double |",
        "string": "6 string |",
        "bytes": "7 bytes |",
    },
    "Ident": {"name": "1 string"},
    "Select": {"operand": "1 Expr", "field": "2 string", "test_only": "3 bool"},
    "Call": {"target": "1 Expr", "function": "2 string", "args": "3* Expr"},
    "List": {"elements": "1* Expr"},
    "Struct": {"name": "1 string", "entries": "2* Entry"},
    "Entry": {"key": "3 Expr", "value": "4 Expr"},
    "Fold": {
        "iter_var": "1 string",
        "iter_range": "2 Expr",
        "accu_var": "3 string",
        "accu_init": "4 Expr",
        "loop_condition": "5 Expr",
        "loop_step": "6 Expr",
        "result": "7 Expr",
        "iter_var2": "8 string",
    },
}


class TooDeepError(Exception):
    """A condition is nested more deeply than protobuf is willing to read."""


@cache
def _factory(name: str) -> Callable[..., Expr]:
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"tutti.syntax.{name}"))


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    proto = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="syntax.proto", package="tutti.syntax", syntax="proto3")
    for name, layout in _LAYOUT.items():
        message = file.message_type.add(name=name)
        for key, line in layout.items():
            number, kind, *alternative = line.split()
            field = message.field.add(name=key, number=int(number.rstrip("*")))
            field.label = proto.LABEL_REPEATED if number.endswith("*") else proto.LABEL_OPTIONAL
            if kind in _LAYOUT:
                field.type = proto.TYPE_MESSAGE
                field.type_name = f".tutti.syntax.{kind}"
            else:
                field.type = getattr(proto, f"TYPE_{kind.upper()}")
            if alternative:
                field.oneof_index = 0
        if any(line.endswith("|") for line in layout.values()):
            message.oneof_decl.add(name="kind")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def _read(name: str, data: bytes) -> Expr:
    message = _factory(name)()
    message.MergeFromString(data)
    return message


def _copy(node: Expr) -> Expr:
    return _read("Expr", node.SerializeToString())


@dataclass(frozen=True, slots=True)
class Tree:
    """One condition as a tree.

    Attributes:
        root: The outermost expression, a `cel.expr.Expr` under the names above.
        checked: The whole `CheckedExpr`, or None when only the syntax is right.
        offsets: Expression id to offset in the text, in characters from 0.
        types: Expression id to its checked type; empty when unchecked.
    """

    root: Expr
    checked: Any | None
    offsets: dict[int, int]
    types: dict[int, Any]

    @classmethod
    def of(cls, expression: cel.Expression) -> Tree:
        """Read the tree of a compiled expression.

        Raises:
            TooDeepError: The tree is nested too deeply.
        """
        try:
            envelope = any_pb2.Any.FromString(expression.serialize())
            checked = envelope.type_url == f"{_URL}CheckedExpr"
            whole = _read("Checked" if checked else "Parsed", envelope.value)
        except DecodeError as error:
            raise TooDeepError from error
        offsets = {entry.key: entry.value for entry in whole.source.positions}
        types = {entry.key: entry.value for entry in whole.types} if checked else {}
        return cls(whole.expr, whole if checked else None, offsets, types)

    def spell_out_absence(self, schema: Schema) -> bytes | None:
        """Make every read of an absent group of fields, time or optional variable yield null.

        Protobuf reads an absent message as one full of defaults: the epoch for a time, 0 for a number in an
        absent group. A rule could then pass on a value nobody gave. Each such read `a.b` becomes
        `has(a.b) ? a.b : null`, and using null where a value is needed is an evaluation error.

        Returns:
            The serialized expression to run instead, or None when nothing can be absent.
        """
        writer = _AbsenceWriter(self, schema)
        writer.visit(self.root, frozenset())
        if not writer.changed or self.checked is None:
            return None
        envelope = any_pb2.Any(type_url=f"{_URL}CheckedExpr", value=self.checked.SerializeToString())
        return envelope.SerializeToString()


def children(node: Expr) -> Iterator[Expr]:
    """Yield the direct parts of an expression except for the body of a fold, which has its own scope."""
    kind = kind_of(node)
    if kind == "select":
        yield node.select.operand
    elif kind == "call":
        if node.call.HasField("target"):
            yield node.call.target
        yield from node.call.args
    elif kind == "list":
        yield from node.list.elements
    elif kind == "struct":
        for entry in node.struct.entries:
            if entry.HasField("key"):
                yield entry.key
            yield entry.value


def kind_of(node: Expr) -> str:
    """Return which sort of expression a node is: const, ident, select, call, list, struct or fold."""
    return node.WhichOneof("kind") or ""


class _AbsenceWriter:
    def __init__(self, tree: Tree, schema: Schema) -> None:
        self._tree = tree
        self._schema = schema
        self._next_id = max([*tree.offsets, *tree.types, 0]) + 1
        self.changed = False

    def visit(self, node: Expr, local: frozenset[str]) -> None:
        """Rewrite a node in place; `local` are the names bound by enclosing macros."""
        if node.HasField("fold"):
            fold = node.fold
            self.visit(fold.iter_range, local)
            self.visit(fold.accu_init, local)
            inner = local | {fold.iter_var, fold.iter_var2, fold.accu_var}
            for part in (fold.loop_condition, fold.loop_step, fold.result):
                self.visit(part, inner)
            return
        plain = _copy(node) if self._may_be_absent(node, local) else None
        for child in children(node):
            self.visit(child, local)
        if plain is not None:
            self._guard(node, plain)

    def _may_be_absent(self, node: Expr, local: frozenset[str]) -> bool:
        if node.HasField("ident"):
            shape = self._schema.variables.get(node.ident.name)
            return shape is not None and shape.optional and node.ident.name not in local
        if not node.HasField("select") or node.select.test_only:
            return False
        owner = self._tree.types.get(node.select.operand.id)
        name = "" if owner is None else owner.message.removeprefix(f"{MODEL_PACKAGE}.")
        if owner is None or name == owner.message:
            return False
        shape = self._schema.fields(name)[node.select.field]
        return shape.optional and shape.kind in _NULL_ON_ABSENCE

    def _guard(self, node: Expr, plain: Expr) -> None:
        # The plain copy keeps its unguarded operand: where has() is true the path to it exists, and copying
        # the guarded one would double the tree at every step.
        present = _copy(node)
        present.id = self._new_id()
        if node.HasField("ident"):
            present.ident.name += GIVEN_SUFFIX
            self._refer(present.id, present.ident.name)
        else:
            present.select.test_only = True
        nothing = _factory("Expr")(id=self._new_id())
        nothing.const.null = 0
        node.Clear()
        node.id = self._new_id()
        node.call.function = "_?_:_"
        node.call.args.extend([present, plain, nothing])
        self._refer(node.id, "", "conditional")
        self.changed = True

    def _refer(self, key: int, name: str, *overloads: str) -> None:
        if self._tree.checked is not None:
            reference = self._tree.checked.references.add(key=key)
            reference.value.name = name
            reference.value.overloads.extend(overloads)

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id
