"""One revision file: its bytes in, its identifiers out. Nothing of it is ever imported or run.

Two ways lead to the identifiers. The fast one is a strict grammar for the top of a file (comments,
docstring, imports, plain assignments) over the bytes, taken only when nothing below could bind
one of the four names again. All else goes through `ast`, with names of top-level constants,
adjacent strings and tuples folded. What neither can tell is *computed*, and said to be.
"""

import ast
import contextlib
import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from migdoctor.graph import Broken, Revision, Trouble

FIELDS = ("revision", "down_revision", "branch_labels", "depends_on")

_BLANK = rb"[ \t\f]*(?:#[^\n]*)?\n"
_END = rb"[ \t]*(?:#[^\n]*)?\n"
_TEXT = rb"""(?:"[^"\\\n]*"|'[^'\\\n]*')"""
_DOC = (
    rb'(?:"""(?P<doc>[^"\\]*+(?:"(?!"")[^"\\]*+)*+)"""'
    rb"|'''(?P<doc1>[^'\\]*+(?:'(?!'')[^'\\]*+)*+)'''"
    rb'|"(?P<doc2>[^"\\\n]*)")'
)
_IMPORT = rb"(?:from|import)[ \t]+[\w., \t]+(?:\([\w, \t\n]*\))?" + _END
_VALUE = rb"(?:None|" + _TEXT + rb"|[(\[][ \t\n]*(?:" + _TEXT + rb"[ \t\n]*,?[ \t\n]*)*+[)\]])"
_TYPED = rb"[ \t]*(?::[\w\[\], \t.|]+)?=[ \t]*"
_OTHER = rb"(?!(?:(?:down_)?revision|branch_labels|depends_on)\b)[A-Za-z_]\w*" + (
    _TYPED + _VALUE + _END
)
_MORE = rb"(?:" + _BLANK + rb"|" + _OTHER + rb")*+"
_FIELD = rb"(?:" + _MORE + rb"%s" + _TYPED + rb"(" + _VALUE + rb")" + _END + rb")"
_HEAD = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:" + _BLANK + rb")*+(?:[rRuU]?" + _DOC + _END + rb")?"
    rb"(?:" + _BLANK + rb"|" + _IMPORT + rb"|" + _OTHER + rb")*+"
    rb"(?P<at>revision)" + _TYPED + rb"(" + _TEXT + rb")" + _END
    + _FIELD.replace(b"%s", b"down_revision")
    + _FIELD.replace(b"%s", b"branch_labels") + b"?"
    + _FIELD.replace(b"%s", b"depends_on") + b"?"
)  # fmt: skip
# Below the head nothing but functions without parameters, so that nothing binds a name but their
# names. (A form feed sets the indentation back to nothing.)
_FUNCTIONS = re.compile(
    rb"(?:\n|[ \t]++(?!\f)[^\n]*\n|#[^\n]*\n"
    rb"|def[ \t]+(?!(?:(?:down_)?revision|branch_labels|depends_on)\b)\w+\(\)"
    rb"(?:[ \t]*->[ \t]*None)?:[ \t]*(?:#[^\n]*)?\n)*+\Z"
)
_COOKIE = re.compile(rb"coding[:=][ \t]*([-\w.]+)")
_STAR = re.compile(rb"\bimport[\s(\\]*\*")
# What could bind a module's name without naming it; `revision` covers `down_revision`.
_REBINDING = (
    *(b"revision", b"branch_labels", b"depends_on"),
    *(b"globals", b"locals(", b"vars(", b"exec(", b"eval(", b"setattr", b"__dict__"),
)
_SALVAGE = re.compile(rb"^revision[ \t]*(?::[^=\n]*)?=[ \t]*[\"']([^\"'\n]+)[\"']", re.MULTILINE)
_LEGACY = re.compile(r"([a-f0-9]+)\.py$")  # alembic.script.base._legacy_rev
_SYNTAX = (SyntaxError, ValueError, RecursionError, MemoryError)

Outcome = tuple[Revision | None, Broken | None]


def parse(data: bytes, path: Path, compiled: bool = False) -> Outcome:
    """What the bytes of the file at `path` say: (revision, trouble), either may be None, not both.

    `compiled` says that Python has compiled these very bytes before, so that their syntax need not
    be looked at again. Warnings of the compiler are the caller's to silence. Raises nothing.
    """
    head = _fast_head(data)
    if head is None:
        return _slow(data, path)
    revision = _revision(head, data, path)
    if not compiled and (why := _syntax_error(data, path)) is not None:
        return revision, why
    return revision, None


class _Head(NamedTuple):
    values: tuple[Any, ...]  # in the order of FIELDS
    line: int
    message: str


def _fast_head(data: bytes) -> _Head | None:
    """The identifiers where the top of the file is plain beyond doubt, else None."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
        if b"\r" in data:
            return None
    if data[-1:] != b"\n":
        data += b"\n"
    found = _HEAD.match(data)
    if found is None or b"\0" in data or _foreign_encoding(data):
        return None
    if not _FUNCTIONS.match(data, found.end()) and _may_bind(data[found.end() :]):
        return None
    doc, doc1, doc2, _, *texts = found.groups()
    try:
        values = tuple([None if t is None or t == b"None" else _literal(t) for t in texts])
    except _SYNTAX:
        return None
    document = (doc or doc1 or doc2 or b"").decode("utf-8", "replace")
    line = data.count(b"\n", 0, found.start("at")) + 1
    return _Head(values, line, _first_line(document))


def _may_bind(rest: bytes) -> bool:
    """One of the four names may be bound again in what follows the head."""
    for word in _REBINDING:
        if word in rest:
            return True
    return b"import" in rest and _STAR.search(rest) is not None


def _foreign_encoding(data: bytes) -> bool:
    """A PEP 263 cookie in the first two lines that names anything but UTF-8."""
    if b"coding" not in data[:400]:
        return False
    cookie = _COOKIE.search(data[: data.find(b"\n", data.find(b"\n") + 1)])
    return cookie is not None and cookie[1].lower() not in (b"utf-8", b"utf8", b"ascii")


def _literal(value: bytes) -> Any:
    """A text or a bracket of texts; ASCII alone, so that no encoding can matter."""
    if value[0] in b"\"'":
        return value[1:-1].decode("ascii")
    return ast.literal_eval(value.decode("ascii"))


def _first_line(document: str) -> str:
    return document.strip().partition("\n")[0].strip()


def _revision(head: _Head, data: bytes, path: Path) -> Revision:
    id, down, labels, depends_on = head.values
    return Revision(
        id=id,
        down=_texts(down),
        depends_on=_texts(depends_on),
        labels=_texts(labels),
        path=path,
        line=head.line,
        message=head.message,
        sha=hashlib.sha256(data).hexdigest(),
    )


def _texts(value: Any) -> tuple[str, ...]:
    """A field as alembic's `to_tuple` takes it. Raises TypeError for anything but texts."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, tuple | list | set) and all(isinstance(v, str) for v in value):
        return tuple(value)
    raise TypeError(value)


# --- broken files -------------------------------------------------------------------------------


def _syntax_error(data: bytes, path: Path) -> Broken | None:
    """The reason why Python cannot compile these bytes, None where it can.

    The symbol table is the cheapest pass that parses everything (a quarter of `ast`).
    """
    import symtable

    try:
        symtable.symtable(data, str(path), "exec")  # type: ignore[arg-type]  # takes bytes too
    except _SYNTAX as error:
        return _broken(error, data, path)
    return None


def _broken(error: BaseException, data: bytes, path: Path) -> Broken:
    kind: Trouble = "syntax"
    line = getattr(error, "lineno", None) or None
    text = str(getattr(error, "msg", None) or error or type(error).__name__)
    conflict = re.search(rb"^(?:<{7}|>{7}|\|{7})(?: |$)|^={7}\r?$", data, re.MULTILINE)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        kind, line, text = "encoding", None, "it is saved as UTF-16; Python reads UTF-8"
    elif b"\0" in data:
        kind, line, text = "binary", None, "it holds NUL bytes and is no Python source"
    elif conflict is not None:
        line = data.count(b"\n", 0, conflict.start()) + 1
        text = "a merge conflict was left in it"
    elif "codec can't decode" in text or "encoding" in text:
        kind = "encoding"
    return Broken(path=path, line=line, kind=kind, text=text, id=_salvaged(data))


def _salvaged(data: bytes) -> str | None:
    """The id of a file that cannot be parsed, where exactly one line at column 0 gives one."""
    found = set(_SALVAGE.findall(data))
    return found.pop().decode("utf-8", "replace") if len(found) == 1 else None


# --- the slow way -------------------------------------------------------------------------------


def _slow(data: bytes, path: Path) -> Outcome:
    try:
        tree = ast.parse(data)
        document = ast.get_docstring(tree, clean=False) or ""
    except _SYNTAX as error:
        return None, _broken(error, data, path)
    module = _Module(tree)
    if "revision" not in module.nodes and (legacy := _LEGACY.match(path.name)):
        module.bind("revision", ast.Constant(legacy[1], lineno=1))
    for field in ("revision", "down_revision"):
        if field not in module.nodes:
            text = f"it has no `{field}`, so alembic cannot load it"
            return None, module.trouble(path, "missing", None, text)
    for field in (f for f in FIELDS if f in module.nodes):
        if field in module.known and not _fits(field, module.known[field]):
            return None, module.trouble(path, "missing", field, "which is no text")
    computed = [f for f in FIELDS if f in module.nodes and f not in module.known]
    broken = module.trouble(path, "dynamic", computed[0], "which is computed") if computed else None
    if any(field in computed for field in ("revision", "down_revision")):
        return None, broken
    known = {**module.known, "branch_labels": module.labels()}
    head = _Head(
        tuple(known.get(field) for field in FIELDS),
        module.nodes["revision"].lineno,
        _first_line(document),
    )
    return _revision(head, data, path), broken


def _fits(field: str, value: Any) -> bool:
    """The value is of a type that alembic can use."""
    try:
        _texts(value)
    except TypeError:
        return False
    return field != "revision" or isinstance(value, str)


class _Unknown(Exception):
    """The value of an expression cannot be told without running it."""


class _Module:
    """The names that a module binds at its top level, in order; `known` where they are constants.

    `nodes` holds what bound a name last. A name bound in a branch, a loop, by import, `del`,
    `global` or through `globals()` is in `nodes` and not in `known`, until it is bound plainly.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.known: dict[str, Any] = {}
        self.nodes: dict[str, ast.expr | ast.stmt] = {}
        for statement in tree.body:
            for node in _same_scope(statement):
                self._forget(_bound(node), statement)
            for name, value in _plain(statement):
                self.bind(name, value)
        for node in ast.walk(tree):
            if isinstance(node, ast.Global):
                self._forget(node.names, node)
        for node in _run_on_import(tree):
            if isinstance(node, ast.expr) and _may_rebind(node):
                self._forget(FIELDS, node)

    def bind(self, name: str, value: ast.expr) -> None:
        self._forget([name], value)
        with contextlib.suppress(_Unknown):
            self.known[name] = self.fold(value)

    def _forget(self, names: Iterable[str], because: ast.expr | ast.stmt) -> None:
        for name in names:
            self.nodes[name] = because
            self.known.pop(name, None)

    def fold(self, node: ast.expr) -> Any:
        """The constant that an expression stands for. Raises _Unknown."""
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name) if name in self.known:
                return self.known[name]
            case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
                return tuple(self.fold(part) for part in parts)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                both: list[Any] = [self.fold(left), self.fold(right)]
                if all(isinstance(b, str) for b in both) or all(isinstance(b, tuple) for b in both):
                    return both[0] + both[1]
            case ast.JoinedStr(values=parts):
                return "".join(str(self.fold(part)) for part in parts)
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                return self.fold(value)
        raise _Unknown

    def labels(self) -> tuple[str, ...]:
        """The branch labels; the source text stands for one that is computed."""
        if "branch_labels" in self.known or "branch_labels" not in self.nodes:
            return _texts(self.known.get("branch_labels"))
        node = self.nodes["branch_labels"]
        parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
        texts = []
        for part in parts:
            known = self.fold(part) if isinstance(part, ast.Constant) else None
            texts.append(known if isinstance(known, str) else ast.unparse(part))
        return tuple(texts)

    def trouble(self, path: Path, kind: Trouble, field: str | None, text: str) -> Broken:
        line, id = None, self.known.get("revision")
        if field is not None:
            line = self.nodes[field].lineno
            source = ast.unparse(self.nodes[field]).partition("\n")[0]
            text = f"`{field}` is given by `{source[:80]}`, {text}"
        known = id if isinstance(id, str) else None
        return Broken(path=path, line=line, kind=kind, text=text, id=known)


def _plain(statement: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """(name, value) of assignments to plain names, also in parallel (`a, b = "x", "y"`)."""
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                if isinstance(target, ast.Name):
                    yield target.id, value
                elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                    names = [t.id for t in target.elts if isinstance(t, ast.Name)]
                    if len(names) == len(target.elts) == len(value.elts):
                        yield from zip(names, value.elts, strict=True)


_FUNCTIONS_OF = (ast.FunctionDef, ast.AsyncFunctionDef)
_LOCAL = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def _same_scope(statement: ast.stmt) -> Iterator[ast.AST]:
    """The nodes of a top-level statement whose names are the module's own."""
    stack: list[ast.AST] = [statement]
    while stack:
        yield (node := stack.pop())
        if isinstance(node, (*_FUNCTIONS_OF, ast.ClassDef, *_LOCAL)):
            # only `:=` binds outside of a comprehension, and so it does in a decorator
            inner = (n.target for n in _heads(node) if isinstance(n, ast.NamedExpr))
            stack.extend(inner)
        else:
            stack.extend(ast.iter_child_nodes(node))


def _heads(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a definition that run where it stands: what is outside the body of a function,
    and all of a class or a comprehension."""
    stack = [node]
    while stack:
        here = stack.pop()
        body = {id(part) for part in here.body} if isinstance(here, _FUNCTIONS_OF) else ()
        inner = [child for child in ast.iter_child_nodes(here) if id(child) not in body]
        yield from inner
        stack.extend(inner)


def _run_on_import(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes that run when the module is loaded: those in functions only where the module names
    one of its own functions outside of them, and so may call it."""
    nodes = list(_heads(tree))
    own = {node.name for node in nodes if isinstance(node, _FUNCTIONS_OF)}
    if any(isinstance(node, ast.Name) and node.id in own for node in nodes):
        nodes = list(ast.walk(tree))
    # reading from globals() is harmless
    read = {
        id(node.value)
        for node in nodes
        if (isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load))
        or (isinstance(node, ast.Attribute) and node.attr in ("get", "items", "keys", "values"))
    }
    yield from (n for n in nodes if not (isinstance(n, ast.Call) and id(n) in read))


def _bound(node: ast.AST) -> Iterable[str]:
    """The names that one node binds or unbinds in its scope."""
    match node:
        case ast.AnnAssign(target=ast.Name(), value=None):
            return ()
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            return (name,)
        case ast.ImportFrom(names=[ast.alias(name="*")]):
            return FIELDS
        case ast.alias(name=name, asname=asname):
            return ((asname or name).partition(".")[0],)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return (name,)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            return (name,)
        case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            return (name,)
    return ()


def _may_rebind(node: ast.AST) -> bool:
    """What can bind a module's name without naming it, or from outside."""
    match node:
        case ast.Call(func=ast.Name(id="globals" | "vars" | "locals"), args=[]):
            return True
        case ast.Name(id="exec" | "eval" | "setattr", ctx=ast.Load()):
            return True
        case ast.Attribute(attr="__dict__"):
            return True
        case ast.Attribute(attr=attr, ctx=ast.Store() | ast.Del()):
            return attr in FIELDS
    return False
