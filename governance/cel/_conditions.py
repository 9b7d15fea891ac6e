"""Conditions in CEL, checked against pydantic models before they run.

Values keep their meaning: text is text, `int` and `float` do not mix (write `1000.0`), times carry a zone.
An enum is compared with its member by name, `contact.role == Role.CHAMPION`; a text in its place, a member
of another enum and a misspelt member are errors when the condition is compiled. A `Literal` of texts is
written as text, `proposal.channel == "email"`, and a text it can never be is an error too.

A value that is absent is `null`. Using it where a value is needed is an `EvaluationError`, so guard it with
`x != null && ...`. Comparing it with `==` or `!=` is an answer: `null` differs from every value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from cel_expr_python import cel
from google.protobuf.message import EncodeError

from governance.cel._compiled import Bound, Condition, EvaluationError, Formula, Recall
from governance.cel._descriptors import MODEL_PACKAGE, Schema, wrapper_name
from governance.cel._findings import Finding
from governance.cel._plain import PlainTest
from governance.cel._python import Quick, translate
from governance.cel._reader import Reader
from governance.cel._shapes import Annotation, Kind, Shape, Value, VocabularyError
from governance.cel._syntax import GIVEN_SUFFIX, TooDeepError, Tree
from governance.cel._wording import KEYWORDS, reword

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "MAX_LENGTH",
    "Bound",
    "Condition",
    "ConditionError",
    "EvaluationError",
    "Formula",
    "Issue",
    "Recall",
    "Vocabulary",
    "VocabularyError",
]

MAX_LENGTH: Final = 4_000
"""Longest condition in characters."""

_REPORT: Final = re.compile(
    r"ERROR: <input>:(-?\d+):(-?\d+): (.*?)(?=\n \||\nERROR: |\s*\[[A-Z_]+\]$)", re.DOTALL
)
_NUMBERS: Final = frozenset({"INT", "DOUBLE", "wrapper(int)", "wrapper(double)"})
_TYPES: Final[Mapping[Kind, cel.Type]] = {
    Kind.TEXT: cel.Type.STRING,
    Kind.WHOLE: cel.Type.INT,
    Kind.DECIMAL: cel.Type.DOUBLE,
    Kind.TRUTH: cel.Type.BOOL,
    Kind.INSTANT: cel.Type.TIMESTAMP,
    Kind.SPAN: cel.Type.DURATION,
    Kind.CHOICE: cel.Type.INT,
}


@dataclass(frozen=True, slots=True)
class Issue:
    """One mistake in a condition.

    Attributes:
        line: Line within the condition, from 1.
        column: Column within that line in characters, from 1.
        length: How many characters are meant, at least 1.
        code: Stable name: `syntax`, `unknown-name`, `unknown-field`, `unavailable-field`, `unknown-value`,
            `unknown-function`, `wrong-type`, `not-a-condition`, `not-a-number`, `unsupported` or `too-long`.
        message: One sentence without full stop.
        suggestion: What to write instead of the marked text, if that can be guessed.
    """

    line: int
    column: int
    length: int
    code: str
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        """Line, column, sentence and guess in one line."""
        hint = f"; did you mean `{self.suggestion}`?" if self.suggestion else ""
        return f"{self.line}:{self.column}: {self.message}{hint}"


class ConditionError(Exception):
    """A condition does not compile; `issues` holds every mistake in the order of the text."""

    def __init__(self, text: str, issues: tuple[Issue, ...]) -> None:
        super().__init__("\n".join(str(issue) for issue in issues))
        self.text = text
        self.issues = issues


class _Checked(NamedTuple):
    """An expression found to be right, what it reads, the name of its type, and its Python form."""

    expression: cel.Expression
    reads: tuple[str, ...]
    kind: str
    quick: Quick | None


class Vocabulary:
    """The names conditions may use, with their types.

    Instances are independent, immutable and may be shared between threads.
    """

    def __init__(self, variables: Mapping[str, Annotation]) -> None:
        """Build the vocabulary.

        Args:
            variables: Name and type of each variable: a pydantic model, `str`, `int`, `float`, `bool`,
                `datetime`, `timedelta`, an enum, lists and dictionaries of these, each also `| None`.
                Fields of other types are left out and conditions that read them are told why.

        Raises:
            VocabularyError: A name or type cannot be offered to conditions.
        """
        for name in variables:
            if not name.isidentifier() or name in KEYWORDS or name.endswith(GIVEN_SUFFIX):
                raise VocabularyError(f"{name!r} cannot name a variable")
        self._schema = Schema(variables)
        clash = sorted(set(variables) & set(self._schema.choices))
        if clash:
            raise VocabularyError(f"{clash[0]!r} names a variable and an enum")
        self._plain = PlainTest(self._schema)
        self._names = frozenset(self._schema.variables)
        self._required = [name for name, shape in self._schema.variables.items() if not shape.optional]
        declared: dict[str, cel.Type] = {}
        for name, shape in self._schema.variables.items():
            declared[name] = _type(shape)
            if shape.optional:
                declared[name + GIVEN_SUFFIX] = cel.Type.BOOL
        names = [f"tutti.choice.{name}.{name}" for name in self._schema.choices]
        self._env = cel.NewEnv(
            descriptor_pool=self._schema.pool,
            variables=declared,
            container=cel.ExpressionContainer("", abbreviations=names),
        )

    def compile(self, text: str) -> Condition:
        """Compile a condition that is true or false.

        Raises:
            ConditionError: With every mistake found.
        """
        checked = self._check(text)
        if checked.kind not in {"BOOL", "wrapper(bool)"}:
            raise _single(text, "not-a-condition", "this is a value, not something that is true or false")
        return Condition(self, text, checked.expression, checked.reads, checked.quick)

    def compile_number(self, text: str) -> Formula:
        """Compile an expression that is a number, such as a weight.

        Raises:
            ConditionError: With every mistake found.
        """
        checked = self._check(text)
        if checked.kind not in _NUMBERS:
            raise _single(text, "not-a-number", "this is not a number")
        return Formula(self, text, checked.expression, checked.reads)

    def bind(self, values: Mapping[str, Value], recall: Recall | None = None) -> Bound:
        """Take the values of one context, once for all conditions.

        Args:
            values: A value for every variable; those that may be absent can be None or left out. They must
                not change while they are bound.
            recall: What is already known of values that other contexts share with this one.

        Raises:
            EvaluationError: A value is missing, unknown or of the wrong type.
        """
        if not self._names.issuperset(values):
            unknown = min(values.keys() - self._names)
            raise EvaluationError(f"there is no variable `{unknown}`")
        taken = {name: values.get(name) for name in self._schema.variables}
        for name in self._required:
            if taken[name] is None:
                raise EvaluationError(f"`{name}` has no value")
        recall = recall if recall is not None else Recall()
        plain = self._plain.passes(taken, recall.plain)
        bound = Bound(self, taken, plain=plain, recall=recall)
        if not plain:
            # Now, so that whoever binds learns what cannot be used.
            self.activate(taken, recall)
        return bound

    def activate(self, values: Mapping[str, Value], recall: Recall) -> cel.Activation:
        """Convert the values of all variables to what CEL takes.

        Raises:
            EvaluationError: A value cannot be converted.
        """
        data: dict[str, Value] = {}
        for name, shape in self._schema.variables.items():
            value = values[name]
            if shape.optional:
                data[name + GIVEN_SUFFIX] = value is not None
            if value is not None:
                data[name] = self._convert(name, value, recall)
        return self._env.Activation(data)

    def _convert(self, name: str, value: Value, recall: Recall) -> Value:
        key = (self, name, id(value))
        known = recall.messages.get(key)
        if known is not None:
            return known[1]
        try:
            message = self._schema.convert(name, value)
        except (TypeError, ValueError, AttributeError, KeyError, OverflowError, EncodeError) as error:
            raise EvaluationError(f"`{name}` cannot be used: {error}") from error
        recall.messages[key] = (value, message)
        return message

    def _check(self, text: str) -> _Checked:
        if len(text) > MAX_LENGTH:
            message = f"a condition has at most {MAX_LENGTH} characters; this one has {len(text)}"
            raise _single(text, "too-long", message)
        try:
            return self._checked(text)
        except TooDeepError as error:
            raise _single(
                text, "too-long", "this is nested too deeply; split it into several conditions"
            ) from error

    def _checked(self, text: str) -> _Checked:
        try:
            expression = self._env.compile(text)
        except RuntimeError as error:
            raise ConditionError(text, self._explain(text, str(error))) from error
        tree = Tree.of(expression)
        reader = Reader(text, tree, self._schema)
        if reader.findings:
            raise ConditionError(text, _issues(text, reader.findings))
        kind = expression.return_type().name()
        quick = translate(tree, self._schema)
        rewritten = tree.spell_out_absence(self._schema)
        if rewritten is not None:
            try:
                expression = self._env.deserialize(rewritten)
            except RuntimeError as error:
                raise TooDeepError from error
        return _Checked(expression, tuple(sorted(reader.reads)), kind, quick)

    def _explain(self, text: str, raw: str) -> tuple[Issue, ...]:
        try:
            findings = Reader(
                text, Tree.of(self._env.compile(text, disable_check=True)), self._schema
            ).findings
        except RuntimeError:
            findings = []
        covered = {offset for finding in findings for offset in finding.covers}
        starts = _line_starts(text)
        for line, column, message in _REPORT.findall(raw):
            placed = int(line) > 0
            offset = starts[int(line) - 1] + int(column) - 1 if placed else 0
            echo = bool(findings) and (not placed or "*error*" in message)
            if offset not in covered and not echo:
                findings.append(reword(text, offset, message))
        if not findings:
            findings = [reword(text, 0, raw)]
        syntax = sorted((f for f in findings if f.code == "syntax"), key=lambda f: f.offset)
        # What follows the first syntax error is mostly its echo.
        return _issues(text, [f for f in findings if f.code != "syntax"] + syntax[:1])


def _type(shape: Shape) -> cel.Type:
    if shape.kind is Kind.LIST and shape.item is not None:
        return cel.Type.List(_type(shape.item))
    if shape.kind is Kind.TABLE and shape.item is not None and shape.key is not None:
        return cel.Type.Map(_type(shape.key), _type(shape.item))
    if shape.kind is Kind.MODEL:
        return cel.Type(f"{MODEL_PACKAGE}.{shape.name}")
    wrapper = wrapper_name(shape.kind) if shape.optional else None
    return cel.Type(wrapper) if wrapper else _TYPES[shape.kind]


def _line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\n", text))]


def _issues(text: str, findings: list[Finding]) -> tuple[Issue, ...]:
    unique: dict[tuple[int, str], Finding] = {}
    for finding in sorted(findings, key=lambda f: f.offset):
        unique.setdefault((finding.offset, finding.code), finding)
    issues = []
    for finding in unique.values():
        before = text[: finding.offset]
        line, column = before.count("\n") + 1, finding.offset - (before.rfind("\n") + 1) + 1
        issues.append(Issue(line, column, finding.length, finding.code, finding.message, finding.suggestion))
    return tuple(issues)


def _single(text: str, code: str, message: str) -> ConditionError:
    first = text.split("\n", 1)[0].rstrip()
    return ConditionError(text, (Issue(1, 1, max(min(len(first), 80), 1), code, message),))
