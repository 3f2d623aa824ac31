"""Compiled revision files whose source is gone (incident 33), read without running them."""

import hashlib
import importlib.util
import marshal
import re
from pathlib import Path
from types import CodeType
from typing import Any

from migdoctor.graph import Bytecode, Revision

_DOCUMENT = re.compile(rb"Revision ID: ([\w.]+)[ \t]*\r?\n(?:Revises:[ \t]*([\w., \t]*)\r?\n)?")


def look(path: Path, loaded: bool) -> tuple[Bytecode, Revision | None]:
    """What a .pyc says. The second part is the whole revision, where the code is of our Python.

    Another Python's bytecode cannot be unmarshalled; the template's docstring is then asked.
    Raises OSError.
    """
    data = path.read_bytes()
    sha = hashlib.sha256(data).hexdigest()
    values = _constants(data)
    id, down = values.get("revision"), values.get("down_revision")
    if not isinstance(id, str):
        found = _DOCUMENT.search(data)
        id = found[1].decode() if found else None
        down = tuple(re.findall(r"[\w.]+", (found[2] or b"").decode())) if found else ()
    code = Bytecode(path=path, id=id, down=_texts(down), loaded=loaded, sha256=sha)
    if "revision" not in values or "down_revision" not in values or id is None:
        return code, None
    return code, Revision(
        id=id,
        down=code.down,
        depends_on=_texts(values.get("depends_on")),
        labels=_texts(values.get("branch_labels")),
        path=path,
        line=1,
        message=str(values.get("__doc__") or "").strip().partition("\n")[0],
        sha=sha,
    )


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(v for v in value or () if isinstance(v, str))


def _constants(data: bytes) -> dict[str, Any]:
    """Names that the module's code binds to constants; {} where it is not ours or is damaged."""
    import dis

    if data[:4] != importlib.util.MAGIC_NUMBER:
        return {}
    try:
        code = marshal.loads(data[16:])
    except (EOFError, ValueError, TypeError):
        return {}
    if not isinstance(code, CodeType):
        return {}
    values: dict[str, Any] = {}
    constant: list[Any] = []
    for step in dis.get_instructions(code):
        if step.opname == "STORE_NAME" and constant:
            values[step.argval] = constant[0]
        elif step.opname == "STORE_NAME":
            values.pop(step.argval, None)
        constant = [step.argval] if step.opname in ("LOAD_CONST", "RETURN_CONST") else []
    return values
