"""Random alembic projects, as real files: branches, merges, and every revision can really run.

Concurrent branches may work on the same table as long as their work commutes: what one of them
reshapes, no other touches.
"""

import random
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.study.steps import Model, Step, Steps

ENV = '''\
"""With STUDY_STOP=n the connection is gone before statement n + 1 that changes anything."""

import os
import re

from alembic import context
from sqlalchemy import create_engine, event, pool

engine = create_engine(os.environ["STUDY_URL"], poolclass=pool.NullPool)
if os.environ.get("STUDY_STOP"):
    left = int(os.environ["STUDY_STOP"])
    if engine.dialect.name == "postgresql":  # else a failed revision leaves nothing there
        engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    @event.listens_for(engine, "before_cursor_execute")
    def lose(_connection, _cursor, statement, *_more):
        global left
        writes = re.match(r"\\s*(create|alter|drop|insert|update|delete)\\b", statement, re.I)
        if writes and "alembic_version" not in statement:
            if left == 0:
                raise RuntimeError("the connection is lost")
            left -= 1


with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
'''
# Which works on one table commute, in whatever order two branches run.
COMMUTE = {
    ("add", "add"), ("add", "view"), ("add", "alter"), ("view", "add"), ("view", "view"),
    ("alter", "add"),
}  # fmt: skip


@dataclass
class Draft:
    id: str
    down: tuple[str, ...]
    before: frozenset[str]  # all ancestors
    steps: list[Step] = field(default_factory=list)


class Drawing:
    """One history being drawn; `dice` is its only source of chance."""

    def __init__(self, dialect: str, dice: random.Random) -> None:
        self.steps, self.dice = Steps(dialect, dice), dice
        self.drafts: list[Draft] = []

    def draw(self, length: int) -> list[Draft]:
        heads: list[str] = []
        for number in range(length):
            down = self.parents(heads)
            known = {d.id: d for d in self.drafts}
            before = frozenset(down).union(*(known[id].before for id in down))
            draft = Draft(f"r{number:02}", down, before)
            heads[:] = [head for head in heads if head not in down] + [draft.id]
            self.fill(draft)
            self.drafts.append(draft)
        return self.drafts

    def parents(self, heads: list[str]) -> tuple[str, ...]:
        if not heads:
            return ()
        chance = self.dice.random()
        if len(heads) > 1 and chance < 0.3:
            return tuple(heads[:2])
        if chance > 0.88:
            return (self.dice.choice(self.drafts).id,)
        return (self.dice.choice(heads),)

    def fill(self, draft: Draft) -> None:
        """One to five operations; most merges have none, and a few revisions only change rows.

        The first one makes the tables that the project began with.
        """
        chance = self.dice.random()
        if len(draft.down) > 1 and chance < 0.7:
            return
        kinds = [(1, self.steps.data)] if chance < 0.08 else self.steps.kinds
        size = self.dice.randint(1, 5)
        if not draft.before:
            kinds, size = [(1, self.steps.create_table)], self.dice.randint(3, 5)
        model = Model()
        for other in self.drafts:
            if other.id in draft.before:
                for step in other.steps:
                    step.effect(model)
        for _ in range(200):
            if len(draft.steps) == size:
                break
            (kind,) = self.dice.choices([k for _, k in kinds], [w for w, _ in kinds])
            drawn = kind(model)
            if drawn and all(self.free(draft, *claim) for claim in drawn.claims):
                drawn.effect(model)
                draft.steps.append(drawn)

    def free(self, draft: Draft, key: str, way: str) -> bool:
        """Whether no concurrent revision works on the table in a way that does not commute."""
        return all(
            other.id in draft.before or key != taken or (way, how) in COMMUTE
            for other in self.drafts
            for step in other.steps
            for taken, how in step.claims
        )


# --- files --------------------------------------------------------------------------------------


def write(folder: Path, drafts: Iterable[Draft]) -> Path:
    """The project of a history in a new folder."""
    versions = folder / "migrations" / "versions"
    versions.mkdir(parents=True)
    (folder / "migrations" / "env.py").write_text(ENV)
    (folder / "alembic.ini").write_text(
        "[alembic]\nscript_location = %(here)s/migrations\nprepend_sys_path = .\n"
        "path_separator = os\n"
    )
    for draft in drafts:
        (versions / f"{draft.id}.py").write_text("\n".join(_lines(draft)))
    return folder


def _lines(draft: Draft) -> Iterator[str]:
    down: object = draft.down if len(draft.down) > 1 else next(iter(draft.down), None)
    yield "from alembic import op\nimport sqlalchemy as sa"
    yield "from sqlalchemy.dialects import postgresql\n"
    yield f"revision = {draft.id!r}\ndown_revision = {down!r}\n\n\ndef upgrade():"
    yield textwrap.indent("\n".join(s.code for s in draft.steps) or "pass", "    ")
    yield "\n\ndef downgrade():\n    raise NotImplementedError\n"
