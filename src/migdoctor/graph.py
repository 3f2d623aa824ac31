"""The revision graph as plain values: what the files say, and what follows from it."""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

Trouble = Literal["syntax", "encoding", "binary", "missing", "dynamic", "unreadable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One revision file, read without running it. `line` is that of the `revision =` assignment.

    `sha` is the hex SHA-256 of the file's bytes, `message` the first line of its docstring.
    """

    id: str
    down: tuple[str, ...]
    depends_on: tuple[str, ...]
    labels: tuple[str, ...]
    path: Path
    line: int
    message: str
    sha: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A file in a version location that could not be read as a revision, and why.

    kind "dynamic": identifiers are computed (MD212); every other kind is MD201. "missing" are
    identifiers that are not there or of a wrong type. `id` is the revision that the file most
    probably is, None where that cannot be told. A file whose head is sound but whose body is not
    stands among `History.revisions` too, and so does one where only the labels are computed.
    """

    path: Path
    line: int | None
    kind: Trouble
    text: str
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytecode:
    """A compiled file without its source (incident 33). `id` is the revision inside, if readable.

    `loaded` says that alembic loads it, which it does only with `sourceless = true`; such a
    revision is among `History.revisions` as well. A .pyc beside the sources is otherwise ignored.
    """

    path: Path
    id: str | None
    down: tuple[str, ...]
    loaded: bool
    sha256: str


@dataclass(frozen=True, kw_only=True)
class History:
    """All revision files of a project. Never raises on a sick graph: sickness is a fact here.

    `revisions` are in the order alembic reads them. `absent` are version locations that do not
    exist (alembic passes over them in silence). Of two files with one id the last one read counts,
    as in alembic; `alembic heads` then lists the shadowed file as one more head, `heads` does not.
    """

    revisions: tuple[Revision, ...]
    broken: tuple[Broken, ...] = ()
    bytecode: tuple[Bytecode, ...] = ()
    loaded_twice: tuple[tuple[Path, Path], ...] = ()
    absent: tuple[Path, ...] = ()

    # --- the nodes

    @cached_property
    def by_id(self) -> Mapping[str, Revision]:
        """The revision that alembic would run for each id, in reading order."""
        return {r.id: r for r in self.revisions}

    @cached_property
    def twins(self) -> Mapping[str, tuple[Revision, ...]]:
        """Every id that several files claim, with all of them; the last one counts."""
        files: dict[str, list[Revision]] = {}
        for revision in self.revisions:
            files.setdefault(revision.id, []).append(revision)
        return {id: tuple(same) for id, same in files.items() if len(same) > 1}

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """Branch label -> the revision that declares it (the first one, where several do)."""
        owners: dict[str, str] = {}
        for revision in self.by_id.values():
            for label in revision.labels:
                owners.setdefault(label, revision.id)
        return owners

    @cached_property
    def trustworthy(self) -> bool:
        """The graph is whole: every file that alembic loads is in it, every location is there.

        False means that an id which seems to be unknown may be that of an unread file.
        """
        read = {r.path for r in self.revisions}
        return not self.absent and all(b.path in read for b in self.broken)

    @cached_property
    def unread(self) -> Mapping[str, Broken]:
        """Ids that only a broken file has: not in the graph, and yet not missing."""
        return {b.id: b for b in self.broken if b.id is not None and b.id not in self.by_id}

    # --- the edges

    @cached_property
    def children(self) -> Mapping[str, tuple[str, ...]]:
        """For every id the revisions that name it as down_revision."""
        return self._turned({id: r.down for id, r in self.by_id.items()})

    @cached_property
    def followers(self) -> Mapping[str, tuple[str, ...]]:
        """For every id the revisions that name it as down_revision or in depends_on."""
        return self._turned(self.parents)

    @cached_property
    def parents(self) -> Mapping[str, tuple[str, ...]]:
        """For every id what must run before it: down_revision, then depends_on; known ids only."""
        known = self.by_id
        return {
            id: tuple(
                dict.fromkeys(
                    [p for p in r.down if p in known]
                    + [d for d in map(self.dependency, r.depends_on) if d is not None]
                )
            )
            for id, r in known.items()
        }

    def dependency(self, name: str) -> str | None:
        """The id that an entry of depends_on means: an exact id or a branch label, as in alembic.

        When it loads files alembic accepts neither partial ids nor `label@head`
        (`RevisionMap._add_depends_on`); they end in a KeyError.
        """
        return name if name in self.by_id else self.labels.get(name)

    def _turned(self, edges: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        turned: dict[str, list[str]] = {id: [] for id in self.by_id}
        for id, targets in edges.items():
            for target in dict.fromkeys(targets):
                if target in turned:
                    turned[target].append(id)
        return {id: tuple(sources) for id, sources in turned.items()}

    # --- ends

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """Revisions that are nobody's down_revision, as `alembic heads` means it."""
        return tuple(id for id, children in self.children.items() if not children)

    @cached_property
    def bases(self) -> tuple[str, ...]:
        """Revisions without a down_revision."""
        return tuple(id for id, r in self.by_id.items() if not r.down)

    @cached_property
    def rival_bases(self) -> tuple[str, ...]:
        """Bases that nothing tells apart; labelled ones and ones with depends_on are by design."""
        bases = [b for b in self.bases if not self.by_id[b].depends_on]
        sets = [self.labelled(b) for b in bases]
        return tuple(b for b, labels in zip(bases, sets, strict=True) if sets.count(labels) > 1)

    @cached_property
    def implied(self) -> tuple[str, ...]:
        """Heads that another revision depends on: applying that one removes their row."""
        return tuple(id for id in self.heads if self.followers[id])

    @cached_property
    def unlabelled_heads(self) -> tuple[str, ...]:
        """Heads that a merge would join: not implied, and not the only head of a labelled branch.

        Two heads of one labelled branch are no design; templates write `branch_labels = "None"`.
        """
        heads = [id for id in self.heads if not self.followers[id]]
        branches = [self.labelled(id) for id in heads]
        return tuple(
            id
            for id, branch in zip(heads, branches, strict=True)
            if not branch or branches.count(branch) > 1
        )

    # --- sickness

    @cached_property
    def missing_parents(self) -> tuple[tuple[Revision, str], ...]:
        """(revision, its down_revision that no file has); alembic dies of it with a KeyError."""
        known = self.by_id.keys() | self.unread.keys()
        return tuple((r, p) for r in self.by_id.values() for p in r.down if p not in known)

    @cached_property
    def missing_dependencies(self) -> tuple[tuple[Revision, str], ...]:
        """(revision, its depends_on that is neither an id nor a branch label)."""
        return tuple(
            (r, d)
            for r in self.by_id.values()
            for d in r.depends_on
            if self.dependency(d) is None and d not in self.unread
        )

    @cached_property
    def cycles(self) -> tuple[tuple[str, ...], ...]:
        """Knots of revisions that come before themselves (incident 25), dependency loops too.

        Each is a strongly connected component in the order of a walk from child to parent.
        """
        return tuple(self._walked(knot) for knot in _knots(self.parents))

    def _walked(self, knot: frozenset[str]) -> tuple[str, ...]:
        here, walk = min(knot), dict[str, None]()
        while here not in walk:
            walk[here] = None
            here = next((p for p in self.parents[here] if p in knot and p not in walk), here)
        return (*walk, *sorted(knot - walk.keys()))

    # --- questions

    @cached_property
    def topological(self) -> tuple[str, ...]:
        """Every id after all its parents, in reading order where free; cycles are left out."""
        waiting = {id: len(parents) for id, parents in self.parents.items()}
        ready = deque(id for id, count in waiting.items() if not count)
        order = []
        while ready:
            order.append(id := ready.popleft())
            for follower in self.followers[id]:
                waiting[follower] -= 1
                if not waiting[follower]:
                    ready.append(follower)
        return tuple(order)

    def closure(self, ids: Iterable[str]) -> frozenset[str]:
        """The known ones of `ids` and everything that must have run before them."""
        return _reached((id for id in ids if id in self.by_id), self.parents)

    def ancestors(self, id: str) -> frozenset[str]:
        """Everything that must have run before `id`, by down_revision and depends_on; not `id`."""
        return self.closure((id,)) - {id}

    def lineage(self, id: str) -> frozenset[str]:
        """Ancestors through down_revision alone (where alembic sees an overlap); not `id`."""
        lines = {i: tuple(p for p in r.down if p in self.by_id) for i, r in self.by_id.items()}
        return (_reached((id,), lines) if id in lines else frozenset()) - {id}

    def path_to_heads(self, from_ids: Iterable[str]) -> tuple[str, ...]:
        """The revisions that `upgrade heads` would still run after `from_ids`, in a valid order."""
        done = self.closure(from_ids)
        return tuple(id for id in self.topological if id not in done)

    def labelled(self, id: str) -> frozenset[str]:
        """The labels of the branch that a revision is on, as alembic hands them up and down."""
        return self._labelled.get(id, frozenset())

    def resolve(self, text: str) -> str | None:
        """The revision that alembic would take `text` for: id, label, or unambiguous beginning."""
        if text in self.by_id or not text:
            return text or None
        if text in self.labels:
            return self.labels[text]
        names = (n for n in (*self.by_id, *self.labels) if len(n) > 3 and n.startswith(text))
        first, second = next(names, None), next(names, None)
        return self.dependency(first) if first is not None and second is None else None

    def meant_by(self, text: str) -> tuple[str, str] | None:
        """The id that somebody may have meant by an unknown one, and why; None without a likeness.

        First a file whose name is or begins with the text (incident 24), then a unique beginning,
        then likeness of spelling.
        """
        import difflib  # only for sick histories

        bare = text.removesuffix(".py").lower()
        for revision in self.revisions:
            if bare and bare in (revision.path.stem.lower(), revision.path.name.lower()):
                return revision.id, f"'{text}' is the name of its file"
        if (found := self.resolve(text.strip())) is not None:
            return found, f"'{text}' is short for it"
        ids = {id.lower(): id for id in self.by_id}
        for near in difflib.get_close_matches(bare.strip(), ids, n=1, cutoff=0.75):
            return ids[near], "it is spelled nearly the same"
        return None

    def fingerprint(self) -> str:
        """Hex digest that changes with any file that counts."""
        digest = hashlib.sha256()
        parts = [f"{r.id}\x1f{r.sha}" for r in self.revisions]
        parts += [f"{b.path}\x1f{b.kind}\x1f{b.text}" for b in self.broken]
        parts += [f"{b.path}\x1f{b.sha256}" for b in self.bytecode if b.loaded]
        for part in sorted(parts):
            digest.update(part.encode("utf-8", "surrogateescape") + b"\x1e")
        return digest.hexdigest()[:16]

    # --- labels

    @cached_property
    def _labelled(self) -> Mapping[str, frozenset[str]]:
        """Labels go to all descendants, and below where the branch is a plain line up to its tip.

        So does alembic's `_add_branches`. A set is shared along a line: linear in the revisions.
        """
        if not self.labels:
            return {}
        found: dict[str, frozenset[str]] = {}
        for id in dict.fromkeys((*self.topological, *self.by_id)):
            revision = self.by_id[id]
            sets = [found[p] for p in revision.down if found.get(p)] + [frozenset(revision.labels)]
            distinct = [s for s in dict.fromkeys(sets) if s]
            found[id] = distinct[0] if len(distinct) == 1 else frozenset().union(*distinct)
        plain: set[str] = set()
        for id in reversed(self.topological):
            above = self.children[id]
            if self._plain(id) and (not above or above[0] in plain):
                plain.add(id)
        for id in (i for i in reversed(self.topological) if i in plain):
            for parent in self.by_id[id].down:
                if parent in plain and not found[id] <= found[parent]:
                    found[parent] = found[parent] | found[id]
        return found

    def _plain(self, id: str) -> bool:
        """Neither a branch point (dependencies counted) nor a merge."""
        return len(self.followers[id]) < 2 and len(self.by_id[id].down) < 2


def _reached(start: Iterable[str], edges: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """What can be walked to from `start`, itself included; linear."""
    stack = list(start)
    seen = set(stack)
    while stack:
        for target in edges[stack.pop()]:
            if target not in seen:
                seen.add(target)
                stack.append(target)
    return frozenset(seen)


def _knots(edges: Mapping[str, tuple[str, ...]]) -> Iterator[frozenset[str]]:
    """Strongly connected components that hold a cycle (Tarjan 1972, without recursion)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    held: dict[str, None] = {}
    for root in edges:
        walk = [] if root in number else [(root, iter(edges[root]))]
        while walk:
            node, targets = walk[-1]
            if node not in number:
                number[node] = low[node] = len(number)
                held[node] = None
            for target in targets:
                if target not in number:
                    walk.append((target, iter(edges[target])))
                    break
                if target in held:
                    low[node] = min(low[node], number[target])
            else:
                walk.pop()
                if walk:
                    low[walk[-1][0]] = min(low[walk[-1][0]], low[node])
                if low[node] == number[node]:
                    knot = set()
                    while node not in knot:
                        knot.add(held.popitem()[0])
                    if len(knot) > 1 or node in edges[node]:
                        yield frozenset(knot)
