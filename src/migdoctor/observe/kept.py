"""Answers on disk that were dear to find, each under a name made of what it depends on.

A file that cannot be read, that somebody else may have written, or that is not what its name says,
is no file.
"""

import contextlib
import json
import os
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_KEEP = 64  # files of one kind; the oldest go first
_MOST = 64 << 20  # bytes of one unpacked answer; more is none of ours


def folder() -> Path:
    """Where the files are: $MIGDOCTOR_CACHE, else below $XDG_CACHE_HOME or ~/.cache."""
    if named := os.environ.get("MIGDOCTOR_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "migdoctor"


def load(name: str) -> dict[str, Any] | None:
    """What was saved as that name (`<key>.<kind>`), None where there is nothing to be trusted."""
    try:
        path = folder() / name
        status = path.stat()
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            return None  # somebody else may have written it
        unpack = zlib.decompressobj()
        text = unpack.decompress(path.read_bytes(), _MOST)
        if not unpack.eof:
            return None
        values = json.loads(text)
        return dict(values) if values["key"] == name else None
    except (OSError, ValueError, zlib.error, KeyError, TypeError, RuntimeError):
        return None


def save(name: str, values: Mapping[str, Any]) -> None:
    """Keep an answer; a folder that cannot be written to is no harm."""
    with contextlib.suppress(OSError, RuntimeError):
        place = folder()
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        packed = zlib.compress(json.dumps({**values, "key": name}).encode(), 1)
        descriptor, part = tempfile.mkstemp(dir=place, prefix=".part-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(packed)
            Path(part).replace(place / name)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
        _thin(place, Path(name).suffix)


def _thin(place: Path, kind: str) -> None:
    files = sorted(place.glob(f"*{kind}"), key=lambda p: p.stat().st_mtime, reverse=True)
    for old in files[_KEEP:]:
        old.unlink(missing_ok=True)
