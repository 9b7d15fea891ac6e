"""The compiler's own complaints, reworded for people who write policies rather than programs."""

from __future__ import annotations

import re
from typing import Final

from governance.cel._findings import Finding

KEYWORDS: Final = frozenset(
    {
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
    }
)
_WORDS: Final = {"and": "&&", "or": "||", "not": "!", "is": "==", "AND": "&&", "OR": "||", "NOT": "!"}
_SIGNS: Final = {"=": "==", "<>": "!=", "=<": "<=", "=>": ">=", "&": "&&", "|": "||"}
_KINDS: Final = {
    "string": "text",
    "int": "a whole number",
    "double": "a decimal number",
    "bool": "true or false",
    "null": "null",
    "google.protobuf.Timestamp": "a point in time",
    "google.protobuf.Duration": "a length of time",
}
_OVERLOAD: Final = re.compile(
    r"found no matching overload for '(?P<name>.+?)' applied to '\((?P<types>.*)\)'"
)
_UNKNOWN: Final = re.compile(r"undeclared reference to '(?P<name>[^']+)'")


def reword(text: str, offset: int, raw: str) -> Finding:
    """Turn one complaint of cel-cpp at an offset of the text into a finding."""
    if "recursion" in raw:
        return Finding(0, 1, "too-long", "this is nested too deeply; split it into several conditions")
    if raw.startswith("Syntax error") or "parsetree" in raw:
        return _syntax(text, offset, raw)
    if match := _OVERLOAD.match(raw):
        sign = match["name"].strip("_@").replace("_", "")
        called = text[:offset].rstrip()
        if called.endswith(sign) and sign.isalpha() and sign != "in":
            message = f"`{sign}()` cannot be used with these values"
            return Finding(len(called) - len(sign), len(sign), "wrong-type", message)
        if sign == "?:":
            return Finding(
                offset, 1, "wrong-type", "`?` needs true or false before it and two values of one type after"
            )
        kinds = " and ".join(_kind(name) for name in match["types"].split(", "))
        return Finding(offset, max(len(sign), 1), "wrong-type", f"`{sign}` cannot take {kinds} together")
    if match := _UNKNOWN.match(raw):
        name = match["name"]
        before = text[:offset].rstrip()
        if before.endswith(name):
            message = f"`{name}()` cannot be used with these values"
            return Finding(len(before) - len(name), len(name), "wrong-type", message)
        return Finding(offset, len(name), "unknown-name", f"there is no `{name}` here")
    if "invalid int literal" in raw:
        word = re.match(r"[\w.]+", text[offset:])
        return Finding(offset, len(word.group()) if word else 1, "wrong-type", "this number is too large")
    if raw.startswith("has()"):
        return Finding(offset, 1, "wrong-type", "`has()` needs a field, such as `has(contact.name)`")
    return Finding(offset, 1, "wrong-type", raw.split("\n", 1)[0].replace("'", "`"))


def reword_failure(raw: str) -> str:
    """Say why an evaluation gave no answer; the compiler's words follow in parentheses."""
    reasons = {
        "None": "a value it needs is absent",
        "null_type": "a value it needs is absent",
        "SELECT to non-message": "a value it needs is absent",
        "Key not found": "a table has no such key",
        "divide by zero": "it divides by zero",
        "Invalid timezone": "the time zone does not exist",
        "regular expression": "the search pattern is not valid",
        "index out of bounds": "a list is shorter than that",
        "budget exceeded": "it takes too many steps",
    }
    reason = next((words for sign, words in reasons.items() if sign.lower() in raw.lower()), "it failed")
    return f"{reason} ({raw})"


def _kind(name: str) -> str:
    name = re.sub(r"^wrapper\((.*)\)$", r"\1", name)
    if name.startswith("list("):
        return "a list"
    if name.startswith("map("):
        return "a table"
    return _KINDS.get(name, name.rpartition(".")[2])


def _syntax(text: str, offset: int, raw: str) -> Finding:
    # Positions in the middle of an operator: look at the whole sign or word around the caret.
    rest = text[offset:]
    word = re.match(r"\w+", rest)
    previous = re.search(r"(\w+)\s*$", text[:offset])
    if word and word.group() in _WORDS:
        return _replace(offset, word.group(), _WORDS[word.group()])
    if previous and previous.group(1) in _WORDS:
        return _replace(previous.start(1), previous.group(1), _WORDS[previous.group(1)])
    sign = re.search(r"[=<>&|!]*$", text[:offset])
    start = sign.start() if sign else offset
    signs = re.match(r"[=<>&|!]+", text[start:])
    if signs and signs.group() in _SIGNS:
        return _replace(start, signs.group(), _SIGNS[signs.group()])
    if signs and signs.group() == "===":
        return _replace(start, "===", "==")
    if not text.strip():
        return Finding(0, 1, "syntax", "the condition is empty")
    if "token recognition error" in raw and rest[:1] in {'"', "'"}:
        closed = rest.count(rest[0]) > 1
        message = (
            "this text has an unknown backslash code" if closed else "this text is not closed by a quote"
        )
        return Finding(offset, len(rest.split("\n", 1)[0]), "syntax", message)
    if offset >= len(text.rstrip()) or "parsetree" in raw:
        wanted = re.search(r"expecting '([^'])'$|missing '([^'])'", raw)
        missing = f": `{wanted.group(1) or wanted.group(2)}` is missing" if wanted else ""
        return Finding(offset, 1, "syntax", f"the condition ends too early{missing}")
    found = word.group() if word else rest[:1]
    return Finding(offset, max(len(found), 1), "syntax", f"`{found}` is not expected here")


def _replace(offset: int, found: str, meant: str) -> Finding:
    return Finding(offset, len(found), "syntax", f"`{found}` is not a sign that conditions know", meant)
