"""What templates may say: every name must exist, and nothing in them may loop, call or load."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from jinja2 import TemplateSyntaxError, nodes

from governance.cel._findings import closest
from governance.content._templates import FILTERS, NAMES, PLACEHOLDER, TESTS, environment

_SMALL: Final = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Getattr,
    nodes.Const,
    nodes.Filter,
    nodes.Test,
    nodes.If,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Concat,
    nodes.Keyword,
)
"""All that templates consist of: what is not here could run long, grow without bound or reach outside."""

_TAGS: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{[{%].*", re.DOTALL)
_WHAT: Final[Mapping[type[nodes.Node], str]] = {
    nodes.For: "a loop",
    nodes.Call: "a call",
    nodes.Include: "an include",
    nodes.Import: "an import",
    nodes.FromImport: "an import",
    nodes.Extends: "a base template",
    nodes.Block: "a block",
    nodes.Macro: "a macro",
    nodes.Assign: "a variable of its own",
    nodes.Getitem: "brackets",
}


@dataclass(frozen=True, slots=True)
class Flaw:
    """One mistake in a template: where it is within the text, both from 1, and what is wrong."""

    line: int
    column: int
    length: int
    code: str
    message: str
    suggestion: str | None = None


def check(source: str) -> tuple[frozenset[str], tuple[Flaw, ...]]:
    """Return the names a template uses, such as `account.name`, and every mistake in it."""
    reader = _Reader(source)
    try:
        reader.visit(environment(escape=False).parse(source))
        if not reader.flaws:
            environment(escape=False).from_string(source)
    except TemplateSyntaxError as error:
        message = f"this is no template: {(error.message or 'it cannot be read').rstrip('.')}"
        return frozenset(), (_at(source, error.lineno, r"\{[{%#]", "syntax", message),)
    except (RecursionError, SyntaxError, ValueError, MemoryError):
        message = "this is no template: it is nested too deeply, or has a number that is too long"
        return frozenset(), (_at(source, 1, r"\{[{%#]", "syntax", message),)
    unique = {(flaw.line, flaw.column, flaw.message): flaw for flaw in reader.flaws}
    return frozenset(reader.names), tuple(unique[key] for key in sorted(unique))


class _Reader:
    def __init__(self, source: str) -> None:
        self.source = source
        self.names: set[str] = set()
        self.flaws: list[Flaw] = []

    def visit(self, node: nodes.Node) -> None:
        if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
            self._dotted(node, node.node.name)
            return
        if isinstance(node, nodes.Name):
            self._bare(node)
        elif isinstance(node, nodes.Getattr):
            self._flaw(node, rf"\.\s*{re.escape(node.attr)}\b", "unknown-name", "only names have parts here")
        elif not isinstance(node, _SMALL):
            self._refuse(node)
            return
        elif isinstance(node, nodes.Filter):
            self._filtered(node)
        elif isinstance(node, nodes.Test) and node.name not in TESTS:
            self._unknown(node, node.name, "test", TESTS)
        for child in node.iter_child_nodes():
            self.visit(child)

    def _filtered(self, node: nodes.Filter) -> None:
        if node.name not in FILTERS:
            self._unknown(node, node.name, "filter", FILTERS)
        if any(inner.name == PLACEHOLDER for inner in node.find_all(nodes.Name)):
            message = f"`{PLACEHOLDER}` is filled in later, so no filter can be used on it"
            self._flaw(node, rf"\b{PLACEHOLDER}\b", "not-allowed", message)

    def _dotted(self, node: nodes.Getattr, owner: str) -> None:
        fields = NAMES.get(owner)
        if fields is None:
            self._unknown(node, owner, "name", NAMES)
        elif node.attr in fields:
            self.names.add(f"{owner}.{node.attr}")
        elif not fields:
            self._flaw(node, rf"\b{owner}\s*\.", "unknown-name", f"`{owner}` has no parts")
        else:
            guess = closest(node.attr, fields)
            pattern = rf"(?<=\.){re.escape(node.attr)}\b"
            self._flaw(node, pattern, "unknown-name", f"`{owner}` has no `{node.attr}`", guess)

    def _bare(self, node: nodes.Name) -> None:
        fields = NAMES.get(node.name)
        if fields is None:
            self._unknown(node, node.name, "name", NAMES)
        elif fields:
            pattern = rf"\b{node.name}\b(?!\s*\.)"
            some = f"{node.name}.{'name' if 'name' in fields else min(fields)}"
            self._flaw(
                node, pattern, "unknown-name", f"`{node.name}` is no text; write one of its parts", some
            )
        else:
            self.names.add(node.name)

    def _unknown(self, node: nodes.Node, name: str, what: str, known: Iterable[str]) -> None:
        listed = sorted(known)
        guess = closest(name, listed)
        pattern = rf"(?<![\w.]){re.escape(name)}\b"
        self._flaw(node, pattern, "unknown-name", f"templates have no {what} `{name}`", guess)

    def _refuse(self, node: nodes.Node) -> None:
        what = _WHAT.get(type(node), "this")
        self._flaw(
            node, r"\{[{%]", "not-allowed", f"templates only show names and choose; {what} is not for them"
        )

    def _flaw(
        self, node: nodes.Node, pattern: str, code: str, message: str, suggestion: str | None = None
    ) -> None:
        self.flaws.append(_at(self.source, node.lineno, pattern, code, message, suggestion))


def _at(  # noqa: PLR0913, PLR0917 - a flaw has these parts
    source: str, line: int, pattern: str, code: str, message: str, suggestion: str | None = None
) -> Flaw:
    """Place a flaw: the parser tells the line only, so the spot is what it speaks of, from that line on."""
    start = sum(len(each) + 1 for each in source.split("\n")[: line - 1])
    found = None
    for tag in _TAGS.finditer(source):
        if tag.end() > start:
            found = re.compile(pattern).search(source, max(tag.start(), start), tag.end())
            if found is not None:
                break
    offset, length = (found.start(), found.end() - found.start()) if found is not None else (start, 1)
    before = source[:offset]
    return Flaw(
        before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1, length, code, message, suggestion
    )
