"""Compiled conditions, and the values they are asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from governance.cel._python import NO_ANSWER, Quick
from governance.cel._shapes import Value
from governance.cel._wording import reword_failure

if TYPE_CHECKING:
    from cel_expr_python import cel

    from governance.cel._conditions import Vocabulary


_SHOWN: Final = 120
"""Characters of an expression that a message shows."""


class EvaluationError(Exception):
    """A value is missing or a condition gave no answer; the caller must deny."""


class Recall:
    """What is already known of values that several contexts share, such as all candidates of one ruling.

    Bindings made with the same one test, convert and judge a shared value once. It keeps every value it
    knows something about, so it should not outlive their common purpose.
    """

    __slots__ = ("answers", "messages", "plain")

    def __init__(self) -> None:
        # An identity says something as long as its value lives: so each entry holds its values.
        self.plain: dict[int, tuple[Value, bool]] = {}
        self.messages: dict[tuple[Vocabulary, str, int], tuple[Value, Value]] = {}
        self.answers: dict[tuple[_Compiled, tuple[int, ...]], tuple[tuple[Value, ...], object]] = {}


class Bound:
    """Values of one context; converted when the first condition needs more than Python.

    Attributes:
        vocabulary: Whose variables they are.
        values: The value of every variable; None where it is absent.
        plain_for: The vocabulary once more if Python may compare the values as they are, else None.
        recall: What is known of them.
    """

    __slots__ = ("_activation", "plain_for", "recall", "values", "vocabulary")

    def __init__(
        self, vocabulary: Vocabulary, values: dict[str, Value], *, plain: bool, recall: Recall
    ) -> None:
        self.vocabulary = vocabulary
        self.values = values
        self.plain_for = vocabulary if plain else None
        self.recall = recall
        self._activation: cel.Activation | None = None

    @property
    def activation(self) -> cel.Activation:
        """The values as CEL takes them.

        Raises:
            EvaluationError: A value cannot be converted.
        """
        if self._activation is None:
            self._activation = self.vocabulary.activate(self.values, self.recall)
        return self._activation


class _Compiled:
    """A checked expression, its text and what it reads."""

    __slots__ = ("_expression", "_variables", "_vocabulary", "reads", "text")

    def __init__(
        self, vocabulary: Vocabulary, text: str, expression: cel.Expression, reads: tuple[str, ...]
    ) -> None:
        self._vocabulary = vocabulary
        self._expression = expression
        self._variables = tuple(sorted({path.split(".", 1)[0] for path in reads}))
        self.text = text
        self.reads = reads

    @property
    def shown(self) -> str:
        """The expression for a message, cut short where what follows it would be lost."""
        return self.text if len(self.text) <= _SHOWN else f"{self.text[: _SHOWN - 1]}…"

    def _evaluate(self, bound: Bound) -> object:
        """Return what CEL answers; it is asked once for the same values."""
        if bound.vocabulary is not self._vocabulary:
            raise EvaluationError("the values were bound for another vocabulary")
        read = tuple(bound.values[name] for name in self._variables)
        key = (self, tuple(id(value) for value in read))
        known = bound.recall.answers.get(key)
        if known is None:
            known = bound.recall.answers[key] = (read, self._ask(bound))
        return known[1]

    def _ask(self, bound: Bound) -> object:
        try:
            return self._expression.eval(bound.activation).value()
        except RuntimeError as error:
            # Only exhausted budgets are raised; every other failure is returned as a value, and so is this.
            return str(error)


class Condition(_Compiled):
    """A compiled condition that is true or false.

    Attributes:
        text: The condition as written.
        reads: The variables and fields it reads, such as `contact.consent`, sorted.
        quick: Its Python form, for plain values; None if it needs CEL.
    """

    __slots__ = ("quick",)

    def __init__(
        self,
        vocabulary: Vocabulary,
        text: str,
        expression: cel.Expression,
        reads: tuple[str, ...],
        quick: Quick | None,
    ) -> None:
        super().__init__(vocabulary, text, expression, reads)
        self.quick = quick

    def holds(self, bound: Bound) -> bool:
        """Tell whether the condition is true for these values.

        Raises:
            EvaluationError: It is neither true nor false, for instance because a value is absent.
        """
        if self.quick is not None and bound.plain_for is self._vocabulary:
            try:
                answer = self.quick(bound.values)
            except NO_ANSWER:
                pass  # CEL knows why, or lets the other side of an `||` decide.
            else:
                if answer is True or answer is False:
                    return bool(answer)
        return self.asked(bound)

    def asked(self, bound: Bound) -> bool:
        """Tell what CEL says, whether or not there is a Python form.

        Raises:
            EvaluationError: It is neither true nor false.
        """
        value = self._evaluate(bound)
        # CEL returns an error as a value whose content is its text, and a text is truthy.
        if value is True or value is False:
            return bool(value)
        raise EvaluationError(f"`{self.shown}` gave no answer: {reword_failure(str(value))}")


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
        raise EvaluationError(f"`{self.shown}` gave no number: {reword_failure(str(value))}")
