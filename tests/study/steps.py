"""The operations that a random revision may have, as lines of code and what they do.

They are drawn on a model of what the revision finds, so that each is a valid one.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

WIDER = {  # what a column's type may be changed to
    "sa.Integer()": "sa.BigInteger()",
    "sa.String(40)": "sa.String(80)",
    "sa.String(80)": "sa.Text()",
    "sa.Date()": "sa.DateTime()",
    "sa.Numeric(8, 2)": "sa.Numeric(12, 4)",
}
TYPES = (*WIDER, "sa.Float()", "sa.Boolean()")
DEFAULTS = {"sa.Integer()": "7", "sa.BigInteger()": "8", "sa.Float()": "0.5"}


@dataclass
class Column:
    type: str
    nullable: bool = True
    default: str | None = None

    def code(self, name: str, indexed: bool = False) -> str:
        more = f", server_default={self.default!r}" if self.default else ""
        more += ", index=True" if indexed else ""
        return f"sa.Column({name!r}, {self.type}, nullable={self.nullable}{more})"


@dataclass
class Table:
    name: str
    columns: dict[str, Column] = field(default_factory=dict)
    indexes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    uniques: dict[str, tuple[str, ...]] = field(default_factory=dict)
    views: dict[str, tuple[str, ...]] = field(default_factory=dict)
    linked: tuple[str, ...] = ()  # own columns that are foreign keys
    children: set[str] = field(default_factory=set)
    filled: bool = False

    @property
    def used(self) -> set[str]:
        """Columns that something else is made of."""
        groups = (*self.indexes.values(), *self.uniques.values(), *self.views.values())
        return {column for group in (*groups, self.linked) for column in group}


@dataclass
class Model:
    """What a revision finds. Tables by a key that a rename does not change."""

    tables: dict[str, Table] = field(default_factory=dict)
    enums: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """Lines of an upgrade function, what they do, and what they work on in which way."""

    code: str
    effect: Callable[[Model], None] = lambda _model: None
    claims: tuple[tuple[str, str], ...] = ()


class Steps:
    """Draws operations; `dice` is the only source of chance."""

    def __init__(self, dialect: str, dice: random.Random) -> None:
        self.sqlite, self.dice = dialect == "sqlite", dice
        self.names = 0
        more = [] if self.sqlite else [(3, self.enum), (2, self.label)]
        self.kinds = [
            (20, self.create_table), (20, self.add_column), (16, self.create_index),
            (6, self.unique), (6, self.retype), (5, self.nullable), (3, self.redefault),
            (5, self.drop_index), (2, self.drop_unique), (4, self.drop_column),
            (3, self.rename_column), (2, self.rename_table), (2, self.drop_table),
            (4, self.view), (2, self.drop_view), (6, self.data), *more,
        ]  # fmt: skip

    def name(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"

    def any(self, model: Model, fits: Callable[[Table], object]) -> tuple[str, Table] | None:
        found = [(key, table) for key, table in model.tables.items() if fits(table)]
        return self.dice.choice(found) if found else None

    def some(self, table: Table) -> tuple[str, ...]:
        """One or two columns."""
        names = sorted(table.columns)
        return tuple(self.dice.sample(names, min(len(names), self.dice.choice((1, 1, 2)))))

    def column(self) -> Column:
        kind = self.dice.choice(TYPES)
        default = DEFAULTS.get(kind) if self.dice.random() < 0.5 else None
        return Column(kind, not (default and self.dice.random() < 0.5), default)

    def in_batch(self, table: Table, *lines: str) -> str:
        """Lines on `batch`: in batch mode on SQLite, sometimes with one column more."""
        return "\n    ".join((f"with op.batch_alter_table({table.name!r}) as batch:", *lines))

    def create_table(self, model: Model) -> Step:
        name = self.name("t")
        made = Table(name)
        lines = [f"op.create_table({name!r}, sa.Column('id', sa.Integer(), primary_key=True),"]
        for number in range(self.dice.randint(1, 4)):
            label, column = self.name("c"), self.column()
            made.columns[label] = column
            # Not two of them: SQLAlchemy keeps them in a set, and would send them in any order.
            indexed = number == 0 and self.dice.random() < 0.6
            if indexed:
                made.indexes[f"ix_{name}_{label}"] = (label,)
            lines.append(f"    {column.code(label, indexed)},")
        claims = [(name, "add")]
        parent = None
        if self.dice.random() < 0.3 and (parent := self.any(model, lambda _t: True)):
            link = self.name("c")
            made.columns[link] = Column("sa.Integer()")
            made.linked = (link,)
            claims.append((parent[0], "view"))
            lines.append(
                f"    sa.Column({link!r}, sa.Integer(), "
                f"sa.ForeignKey('{parent[1].name}.id', name={self.name('fk')!r})),"
            )
        if self.dice.random() < 0.25:
            unique = self.name("uq")
            made.uniques[unique] = self.some(made)
            lines.append(f"    sa.UniqueConstraint(*{made.uniques[unique]!r}, name={unique!r}),")
        if self.dice.random() < 0.1:
            enum = self.name("e")
            made.columns[self.name("c")] = Column(f"sa.Enum('a', 'b', name={enum!r})")
            lines.append(f"    {made.columns[f'c{self.names}'].code(f'c{self.names}')},")

        def effect(model: Model) -> None:
            model.tables[name] = _copy(made)
            if parent:
                model.tables[parent[0]].children.add(name)

        return Step("\n".join(lines) + ")", effect, tuple(claims))

    def add_column(self, model: Model) -> Step | None:
        if not (found := self.any(model, lambda _t: True)):
            return None
        (key, table), name, column = found, self.name("c"), self.column()
        code = f"op.add_column({table.name!r}, {column.code(name)})"
        if self.dice.random() < 0.15:
            column = Column("sa.Integer()")
            code = f"op.execute('ALTER TABLE {table.name} ADD COLUMN {name} INTEGER')"

        def effect(model: Model) -> None:
            model.tables[key].columns[name] = Column(column.type, column.nullable, column.default)

        return Step(code, effect, ((key, "add"),))

    def create_index(self, model: Model) -> Step | None:
        if not (found := self.any(model, lambda t: t.columns)):
            return None
        (key, table), name = found, self.name("ix")
        columns = self.some(table)

        def effect(model: Model) -> None:
            model.tables[key].indexes[name] = columns

        code = f"op.create_index({name!r}, {table.name!r}, {list(columns)!r})"
        return Step(code, effect, ((key, "add"),))

    def drop_index(self, model: Model) -> Step | None:
        if not (found := self.any(model, lambda t: t.indexes)):
            return None
        (key, table), name = found, self.dice.choice(sorted(found[1].indexes))

        def effect(model: Model) -> None:
            del model.tables[key].indexes[name]

        code = f"op.drop_index({name!r}, table_name={table.name!r})"
        return Step(code, effect, ((key, "alter"),))

    def unique(self, model: Model) -> Step | None:
        found = self.any(model, lambda t: t.columns and not t.filled and not t.views)
        if not found:
            return None
        (key, table), name, columns = found, self.name("uq"), self.some(found[1])
        if any({*columns} == {*others} for others in table.uniques.values()):
            return None  # reflection on SQLite tells only one of the two

        def effect(model: Model) -> None:
            model.tables[key].uniques[name] = columns

        inner = f"batch.create_unique_constraint({name!r}, {list(columns)!r})"
        outer = f"op.create_unique_constraint({name!r}, {table.name!r}, {list(columns)!r})"
        code = self.in_batch(table, inner) if self.sqlite else outer
        return Step(code, effect, ((key, "alter"),))

    def drop_unique(self, model: Model) -> Step | None:
        if not (found := self.any(model, lambda t: t.uniques and not t.views)):
            return None
        (key, table), name = found, self.dice.choice(sorted(found[1].uniques))

        def effect(model: Model) -> None:
            del model.tables[key].uniques[name]

        inner = f"batch.drop_constraint({name!r}, type_='unique')"
        code = self.in_batch(table, inner)
        return Step(code, effect, ((key, "alter"),))

    def altered(
        self,
        model: Model,
        fits: Callable[[Table, str], object],
        told: Callable[[Column], tuple[str, Column]],
    ) -> Step | None:
        """ALTER COLUMN of a column that fits; `told` gives the arguments and the new column."""
        found = self.any(model, lambda t: not t.views and any(fits(t, name) for name in t.columns))
        if not found:
            return None
        key, table = found
        name = self.dice.choice([n for n in sorted(table.columns) if fits(table, n)])
        old = table.columns[name]
        arguments, column = told(old)
        known = f"existing_type={old.type}"
        if "nullable" not in arguments:
            known += f", existing_nullable={old.nullable}"
        lines = [f"batch.alter_column({name!r}, {arguments}, {known})"]
        extra = self.name("c") if self.dice.random() < 0.25 else ""
        if extra:
            lines.append(f"batch.add_column(sa.Column({extra!r}, sa.Integer()))")

        def effect(model: Model) -> None:
            columns = model.tables[key].columns
            columns[name] = Column(column.type, column.nullable, column.default)
            if extra:
                columns[extra] = Column("sa.Integer()")

        return Step(self.in_batch(table, *lines), effect, ((key, "alter"),))

    def retype(self, model: Model) -> Step | None:
        def told(old: Column) -> tuple[str, Column]:
            wider = WIDER[old.type]
            return f"type_={wider}", Column(wider, old.nullable, old.default)

        free = lambda t, name: t.columns[name].type in WIDER and name not in t.linked  # noqa: E731  one line says it
        return self.altered(model, free, told)

    def nullable(self, model: Model) -> Step | None:
        def told(old: Column) -> tuple[str, Column]:
            return f"nullable={not old.nullable}", Column(old.type, not old.nullable, old.default)

        return self.altered(model, lambda t, _name: not t.filled, told)

    def redefault(self, model: Model) -> Step | None:
        def told(old: Column) -> tuple[str, Column]:
            default = None if old.default else DEFAULTS[old.type]
            return f"server_default={default!r}", Column(old.type, old.nullable, default)

        free = lambda t, name: t.columns[name].type in DEFAULTS and name not in t.linked  # noqa: E731  one line says it
        return self.altered(model, free, told)

    def drop_column(self, model: Model) -> Step | None:
        found = self.any(model, lambda t: t.columns.keys() - t.used and not t.views)
        if not found:
            return None
        key, table = found
        name = self.dice.choice(sorted(table.columns.keys() - table.used))

        def effect(model: Model) -> None:
            del model.tables[key].columns[name]

        code = self.in_batch(table, f"batch.drop_column({name!r})")
        if self.dice.random() < 0.3:
            code = f"op.execute('ALTER TABLE {table.name} DROP COLUMN {name}')"
        return Step(code, effect, ((key, "reshape"),))

    def rename_column(self, model: Model) -> Step | None:
        if not (found := self.any(model, lambda t: t.columns)):
            return None
        (key, table), new = found, self.name("c")
        old = self.dice.choice(sorted(table.columns))

        def effect(model: Model) -> None:
            table = model.tables[key]
            table.columns[new] = table.columns.pop(old)
            table.linked = tuple(new if c == old else c for c in table.linked)
            for group in (table.indexes, table.uniques, table.views):
                for name, columns in group.items():
                    group[name] = tuple(new if c == old else c for c in columns)

        code = f"op.execute('ALTER TABLE {table.name} RENAME COLUMN {old} TO {new}')"
        if not table.views and self.dice.random() < 0.5:
            inner = (
                f"batch.alter_column({old!r}, new_column_name={new!r}, "
                f"existing_type={table.columns[old].type}, "
                f"existing_nullable={table.columns[old].nullable})"
            )
            code = self.in_batch(table, inner)
        return Step(code, effect, ((key, "reshape"),))

    def rename_table(self, model: Model) -> Step | None:
        if not (found := self.any(model, lambda _t: True)):
            return None
        (key, table), new = found, self.name("t")

        def effect(model: Model) -> None:
            model.tables[key].name = new

        claims = ((key, "reshape"), *((child, "alter") for child in sorted(table.children)))
        return Step(f"op.rename_table({table.name!r}, {new!r})", effect, claims)

    def drop_table(self, model: Model) -> Step | None:
        found = self.any(model, lambda t: not t.children and not t.views)
        if not found or len(model.tables) < 3:
            return None
        key, table = found

        def effect(model: Model) -> None:
            del model.tables[key]
            for other in model.tables.values():
                other.children.discard(key)

        return Step(f"op.drop_table({table.name!r})", effect, ((key, "reshape"),))

    def view(self, model: Model) -> Step | None:
        if not (found := self.any(model, lambda t: t.columns)):
            return None
        (key, table), name, columns = found, self.name("v"), self.some(found[1])

        def effect(model: Model) -> None:
            model.tables[key].views[name] = columns

        text = f"CREATE VIEW {name} AS SELECT id, {', '.join(columns)} FROM {table.name}"
        return Step(f"op.execute({text!r})", effect, ((key, "view"),))

    def drop_view(self, model: Model) -> Step | None:
        if not (found := self.any(model, lambda t: t.views)):
            return None
        key, name = found[0], self.dice.choice(sorted(found[1].views))

        def effect(model: Model) -> None:
            del model.tables[key].views[name]

        return Step(f"op.execute('DROP VIEW {name}')", effect, ((key, "alter"),))

    def enum(self, model: Model) -> Step | None:
        """A type of its own and a column of it (PostgreSQL)."""
        if not (found := self.any(model, lambda _t: True)):
            return None
        (key, table), enum, name = found, self.name("e"), self.name("c")

        def effect(model: Model) -> None:
            model.enums[enum] = 2
            model.tables[key].columns[name] = Column(f"postgresql.ENUM(name={enum!r})")

        kind = f"postgresql.ENUM(name={enum!r}, create_type=False)"
        code = (
            f"op.execute(\"CREATE TYPE {enum} AS ENUM ('low', 'high')\")\n"
            f"op.add_column({table.name!r}, sa.Column({name!r}, {kind}))"
        )
        return Step(code, effect, ((key, "add"),))

    def label(self, model: Model) -> Step | None:
        if not model.enums:
            return None
        enum, label = self.dice.choice(sorted(model.enums)), self.name("l")
        return Step(
            f"op.execute(\"ALTER TYPE {enum} ADD VALUE '{label}'\")", claims=((enum, "alter"),)
        )

    def data(self, model: Model) -> Step | None:
        """Rows: put in where nothing forbids it, else changed."""
        if not (found := self.any(model, lambda t: t.columns)):
            return None
        key, table = found
        if table.uniques or any(not c.nullable for c in table.columns.values()):
            column = self.dice.choice(sorted(table.columns))
            text = f"UPDATE {table.name} SET {column} = {column}"
            return Step(f"op.execute({text!r})", claims=((key, "view"),))

        def effect(model: Model) -> None:
            model.tables[key].filled = True

        row = self.dice.randrange(10**6)
        code = f"op.bulk_insert(sa.table({table.name!r}, sa.column('id')), [{{'id': {row}}}])"
        return Step(code, effect, ((key, "view"),))


def _copy(table: Table) -> Table:
    columns = {n: Column(c.type, c.nullable, c.default) for n, c in table.columns.items()}
    groups = (dict(table.indexes), dict(table.uniques), dict(table.views))
    return Table(table.name, columns, *groups, table.linked, set(table.children), table.filled)
