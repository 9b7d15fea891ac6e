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
from typing import TYPE_CHECKING, Final

from cel_expr_python import cel
from google.protobuf.message import EncodeError

from governance.cel._descriptors import MODEL_PACKAGE, Schema, wrapper_name
from governance.cel._findings import Finding
from governance.cel._reader import Reader
from governance.cel._shapes import Annotation, Kind, Shape, Value, VocabularyError
from governance.cel._syntax import GIVEN_SUFFIX, TooDeepError, Tree
from governance.cel._wording import KEYWORDS, reword, reword_failure

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


class EvaluationError(Exception):
    """A value is missing or a condition gave no answer; the caller must deny."""


class Bound:
    """Values of one context, converted once for all conditions of one vocabulary."""

    __slots__ = ("activation", "vocabulary")

    def __init__(self, vocabulary: Vocabulary, activation: cel.Activation) -> None:
        self.vocabulary = vocabulary
        self.activation = activation


class _Compiled:
    """A checked expression, its text and what it reads."""

    __slots__ = ("_expression", "_vocabulary", "reads", "text")

    def __init__(
        self, vocabulary: Vocabulary, text: str, expression: cel.Expression, reads: tuple[str, ...]
    ) -> None:
        self._vocabulary = vocabulary
        self._expression = expression
        self.text = text
        self.reads = reads

    def _evaluate(self, bound: Bound) -> object:
        if bound.vocabulary is not self._vocabulary:
            raise EvaluationError("the values were bound for another vocabulary")
        try:
            return self._expression.eval(bound.activation).value()
        except RuntimeError as error:
            # Only exhausted budgets are raised; every other failure is returned as a value.
            raise EvaluationError(f"`{self.text}` gave no answer: {reword_failure(str(error))}") from error


class Condition(_Compiled):
    """A compiled condition that is true or false.

    Attributes:
        text: The condition as written.
        reads: The variables and fields it reads, such as `contact.consent`, sorted.
    """

    __slots__ = ()

    def holds(self, bound: Bound) -> bool:
        """Tell whether the condition is true for these values.

        Raises:
            EvaluationError: It is neither true nor false, for instance because a value is absent.
        """
        value = self._evaluate(bound)
        # CEL returns an error as a value whose content is its text, and a text is truthy.
        if value is True or value is False:
            return bool(value)
        raise EvaluationError(f"`{self.text}` gave no answer: {reword_failure(str(value))}")


class Formula(_Compiled):
    """A compiled expression that is a number, such as a weight.

    Attributes:
        text: The expression as written.
        reads: The variables and fields it reads, sorted.
    """

    __slots__ = ()

    def value(self, bound: Bound) -> float:
        """Return the number for these values; whole numbers become floats.

        Raises:
            EvaluationError: It is not a number, for instance because a value is absent.
        """
        value = self._evaluate(bound)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value:  # noqa: PLR0124
            return float(value)
        raise EvaluationError(f"`{self.text}` gave no number: {reword_failure(str(value))}")


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
        expression, reads, kind = self._check(text)
        if kind not in {"BOOL", "wrapper(bool)"}:
            raise _single(text, "not-a-condition", "this is a value, not something that is true or false")
        return Condition(self, text, expression, reads)

    def compile_number(self, text: str) -> Formula:
        """Compile an expression that is a number, such as a weight.

        Raises:
            ConditionError: With every mistake found.
        """
        expression, reads, kind = self._check(text)
        if kind not in _NUMBERS:
            raise _single(text, "not-a-number", "this is not a number")
        return Formula(self, text, expression, reads)

    def bind(self, values: Mapping[str, Value]) -> Bound:
        """Convert the values of one context, once for all conditions.

        Args:
            values: A value for every variable; those that may be absent can be None or left out.

        Raises:
            EvaluationError: A value is missing, unknown or of the wrong type.
        """
        unknown = sorted(set(values) - set(self._schema.variables))
        if unknown:
            raise EvaluationError(f"there is no variable `{unknown[0]}`")
        data: dict[str, Value] = {}
        for name, shape in self._schema.variables.items():
            value = values.get(name)
            if shape.optional:
                data[name + GIVEN_SUFFIX] = value is not None
            if value is not None:
                data[name] = self._convert(name, shape, value)
            elif not shape.optional:
                raise EvaluationError(f"`{name}` has no value")
        return Bound(self, self._env.Activation(data))

    def _convert(self, name: str, shape: Shape, value: Value) -> Value:
        try:
            return self._schema.convert(shape, value)
        except (TypeError, ValueError, AttributeError, KeyError, OverflowError, EncodeError) as error:
            raise EvaluationError(f"`{name}` cannot be used: {error}") from error

    def _check(self, text: str) -> tuple[cel.Expression, tuple[str, ...], str]:
        if len(text) > MAX_LENGTH:
            message = f"a condition has at most {MAX_LENGTH} characters; this one has {len(text)}"
            raise _single(text, "too-long", message)
        try:
            return self._checked(text)
        except TooDeepError as error:
            raise _single(
                text, "too-long", "this is nested too deeply; split it into several conditions"
            ) from error

    def _checked(self, text: str) -> tuple[cel.Expression, tuple[str, ...], str]:
        try:
            expression = self._env.compile(text)
        except RuntimeError as error:
            raise ConditionError(text, self._explain(text, str(error))) from error
        tree = Tree.of(expression)
        reader = Reader(text, tree, self._schema)
        if reader.findings:
            raise ConditionError(text, _issues(text, reader.findings))
        kind = expression.return_type().name()
        rewritten = tree.spell_out_absence(self._schema)
        if rewritten is not None:
            try:
                expression = self._env.deserialize(rewritten)
            except RuntimeError as error:
                raise TooDeepError from error
        return expression, tuple(sorted(reader.reads)), kind

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
