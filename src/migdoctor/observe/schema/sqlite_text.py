"""The stored text of SQLite objects, taken apart: what the pragmas do not tell.

CHECK, COLLATE, AUTOINCREMENT, generated columns and the names of constraints exist in the text of
CREATE TABLE only. The text is split into tokens; nothing is evaluated.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*(?:\n|$)|/\*.*?(?:\*/|$))
      | (?P<text>[xX]?'(?:[^']|'')*')
      | (?P<name>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
      | (?P<word>[^\W\d][\w$]*)
      | (?P<number>(?:\d[\w]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<sign>\|\||<<|>>|<=|>=|==|!=|<>|->>|->|.)""",
    re.X | re.S,
)
_CONSTRAINT_STARTS = {"constraint", "primary", "unique", "check", "foreign"}
_COLUMN_STARTS = {
    *("constraint", "primary", "not", "null", "unique", "check", "default"),
    *("collate", "references", "generated", "as"),
}


class Token(NamedTuple):
    """One token. `text` is its normal form: names unquoted, everything but literals lower-case."""

    kind: str
    text: str
    raw: str


@dataclass(frozen=True, slots=True)
class Constraint:
    """kind as in FactKey, name "" where it has none, and its definition in normal form."""

    kind: str
    name: str
    detail: str


@dataclass(slots=True)
class Column:
    """A column's name as written, its collation, and what generates it."""

    name: str
    collation: str = ""
    generated: str = ""


@dataclass(slots=True)
class Table:
    """What the text of one CREATE TABLE says. `options` are autoincrement, strict..."""

    columns: list[Column] = field(default_factory=list)
    constraints: list[Constraint] = field(default_factory=list)
    options: list[str] = field(default_factory=list)


def tokens(sql: str) -> list[Token]:
    """The tokens of a statement, without white space and comments."""
    return [t for match in _TOKEN.finditer(sql) if (t := _token(match))]


def _token(match: re.Match[str]) -> Token | None:
    kind, raw = match.lastgroup or "", match[0]
    if kind == "space":
        return None
    if kind == "name":
        quote = raw[-1]
        inner = raw[1:-1] if quote == "]" else raw[1:-1].replace(quote * 2, quote)
        return Token("name", inner.lower(), inner)
    return Token(kind, raw if kind == "text" else raw.lower(), raw)


def normal(parts: list[Token]) -> str:
    """Tokens as text, the same however the statement was quoted, cased and spaced."""
    text = ""
    for token in parts:
        tight = token.text in (",", ")", ".", ";") or text.endswith(("(", ".")) or not text
        text += token.text if tight else f" {token.text}"
    return text


def identifiers(sql: str) -> set[str]:
    """Every name and word of a statement, lower-case."""
    return {t.text for t in tokens(sql) if t.kind in ("name", "word")}


def body(sql: str, after: str) -> str:
    """The normal text behind the first word `after` outside parentheses (ON of an index...)."""
    parts = tokens(sql)
    for number, token in enumerate(parts):
        if token.kind == "word" and token.text == after:
            return normal(parts[number + 1 :])
    return normal(parts)


def is_virtual(sql: str) -> bool:
    return [t.text for t in tokens(sql[:60])[:2]] == ["create", "virtual"]


def table(sql: str) -> Table:
    """Columns, constraints and options of a CREATE TABLE statement (as SQLite stores it)."""
    parts = tokens(sql)
    made = Table()
    start = next((n for n, t in enumerate(parts) if t.text == "(" and t.kind == "sign"), None)
    if start is None or is_virtual(sql):
        return made
    end = _closing(parts, start)
    for item in _split(parts[start + 1 : end]):
        if item[0].kind == "word" and item[0].text in _CONSTRAINT_STARTS:
            made.constraints += _table_constraints(item)
        else:
            _column(item, made)
    made.options += [normal(option) for option in _split(parts[end + 1 :])]
    return made


def _closing(parts: list[Token], start: int) -> int:
    """Where the parenthesis that opens at `start` closes."""
    depth = 0
    for number in range(start, len(parts)):
        if parts[number].kind == "sign":
            depth += {"(": 1, ")": -1}.get(parts[number].text, 0)
            if depth == 0:
                return number
    return len(parts)


def _split(parts: list[Token]) -> Iterator[list[Token]]:
    """The items between commas that stand in no parenthesis."""
    item: list[Token] = []
    number = 0
    while number < len(parts):
        if parts[number].text == "(" and parts[number].kind == "sign":
            close = _closing(parts, number)
            item += parts[number : close + 1]
            number = close + 1
            continue
        if parts[number].text == "," and parts[number].kind == "sign":
            yield item
            item = []
        else:
            item.append(parts[number])
        number += 1
    if item:
        yield item


def _clauses(parts: list[Token], starts: set[str]) -> Iterator[list[Token]]:
    """Cut at every word of `starts` in no parenthesis; CONSTRAINT <name> stays with what follows.

    Not every such word begins a clause: NOT NULL and SET NULL, SET DEFAULT, NOT DEFERRABLE, the
    value of DEFAULT NULL, and GENERATED ALWAYS AS belong to what stands before.
    """
    clause: list[Token] = []
    number = 0
    while number < len(parts):
        token, last = parts[number], clause[-1].text if clause else ""
        following = parts[number + 1].text if number + 1 < len(parts) else ""
        named = len(clause) == 2 and clause[0].text == "constraint"
        cuts = token.kind == "word" and token.text in starts and clause and not named
        if token.text in ("null", "default", "as") and last in ("not", "set", "default", "always"):
            cuts = False
        if token.text == "not" and following == "deferrable":
            cuts = False
        if cuts:
            yield clause
            clause = []
        if token.text == "(" and token.kind == "sign":
            close = _closing(parts, number)
            clause += parts[number : close + 1]
            number = close + 1
            continue
        clause.append(token)
        number += 1
    if clause:
        yield clause


def _table_constraints(item: list[Token]) -> Iterator[Constraint]:
    """One table constraint, or several that no comma separates (SQLite allows that)."""
    for clause in _clauses(item, _CONSTRAINT_STARTS):
        name, rest = _named(clause)
        if made := _constraint(name, rest, ""):
            yield made


def _named(clause: list[Token]) -> tuple[str, list[Token]]:
    if clause[0].kind == "word" and clause[0].text == "constraint" and len(clause) > 1:
        return clause[1].raw, clause[2:]
    return "", clause


def _constraint(name: str, parts: list[Token], column: str) -> Constraint | None:
    """The constraint that a clause states, for one column where the clause stands behind it."""
    if not parts:
        return None
    first = parts[0].text
    own = f"({column})"
    if first == "primary":
        plain = [t for t in parts[2:] if t.text not in ("autoincrement", "asc")]
        return Constraint("primary_key", name, _joined(own if column else "", plain))
    if first == "unique":
        return Constraint("unique", name, _joined(own if column else "", parts[1:]))
    if first == "check":
        return Constraint("check", name, normal(parts[1:]))
    if first == "references":
        return Constraint("foreign_key", name, f"{own} {_reference(parts)}")
    if first == "foreign":
        at = next((n for n, t in enumerate(parts) if t.text == "references"), len(parts))
        return Constraint("foreign_key", name, f"{normal(parts[2:at])} {_reference(parts[at:])}")
    return None


def _joined(before: str, parts: list[Token]) -> str:
    return " ".join(p for p in (before, normal(parts)) if p)


def _reference(parts: list[Token]) -> str:
    """A REFERENCES clause without the words that only say the default."""
    text = normal(parts)
    text = re.sub(r" on (delete|update) no action", "", text)
    text = re.sub(r" not deferrable( initially (immediate|deferred))?| match simple", "", text)
    text = re.sub(r" deferrable initially immediate| deferrable(?! initially)", "", text)
    return re.sub(r"(references \S+) \(", r"\1(", text)


def _column(item: list[Token], made: Table) -> None:
    """One column definition: the column itself, and constraints that stand behind it."""
    column = Column(item[0].raw)
    made.columns.append(column)
    start = next(
        (n for n, t in enumerate(item[1:], 1) if t.kind == "word" and t.text in _COLUMN_STARTS),
        len(item),
    )
    for clause in _clauses(item[start:], _COLUMN_STARTS):
        name, rest = _named(clause)
        first = rest[0].text if rest else ""
        if first == "collate" and len(rest) > 1:
            column.collation = rest[1].text
        elif first in ("generated", "as"):
            words = [t for t in rest if t.text not in ("generated", "always")]
            column.generated = normal(words)
        elif found := _constraint(name, rest, item[0].text):
            made.constraints.append(found)
        if any(t.kind == "word" and t.text == "autoincrement" for t in rest):
            made.options.append("autoincrement")
