"""The journal of applied runs: one file per run, one JSON line per event, fsynced as it goes.

It lies in `$MIGDOCTOR_STATE`, else `$XDG_STATE_HOME/migdoctor`, else `~/.local/state/migdoctor`,
readable by its owner only: saved rows and file contents may be confidential. No URL with a
password is ever written to it.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from migdoctor.errors import Refused, UsageError
from migdoctor.model import Step
from migdoctor.plan import Plan, step_from_json, step_to_json


def folder() -> Path:
    """Where journals lie; not created here."""
    if state := os.environ.get("MIGDOCTOR_STATE"):
        return Path(state)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "migdoctor"


class Journal:
    """Writes the events of one run. Every event is on disk before the call returns."""

    def __init__(self, plan: Plan, target: str) -> None:
        """Begin a run of `plan` on `target` (masked address). Refused when nothing can be kept."""
        now = time.time()
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
        self.run = f"{stamp}-{plan.id[:4]}{int(now * 1000) % 1000:03d}"
        path = folder() / f"{self.run}.jsonl"
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise Refused(
                f"The journal cannot be written to {path.parent}: {error.strerror}.",
                "Set MIGDOCTOR_STATE to a folder that can be written; nothing was changed.",
            ) from error
        self._file = os.fdopen(descriptor, "w")
        self._write(
            "begin", run=self.run, target=target, plan=plan.id, durable=dict(plan.durable), at=now
        )

    def before(self, number: int, step: Step) -> None:
        self._write("before", number=number, step=step_to_json(step))

    def after(self, number: int) -> None:
        self._write("after", number=number)

    def committed(self) -> None:
        """All steps noted by `after` so far are in the database for good."""
        self._write("committed")

    def rolled_back(self) -> None:
        """The steps since the last `committed` are undone."""
        self._write("rolled_back")

    def end(self, error: str | None) -> None:
        self._write("end", error=error)

    def _write(self, event: str, **data: object) -> None:
        self._file.write(json.dumps({"event": event, **data}) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a journal tells of one run. `done` are the steps that stayed, in order applied.

    `doubtful` is the step that was begun and of which nothing more is known: the process died.
    """

    run: str
    target: str
    durable: Mapping[str, str]
    done: tuple[Step, ...]
    doubtful: tuple[Step, ...]
    undone: bool
    finished: bool


def read(run: str | None) -> Run:
    """The run of that name, the latest one for None. UsageError when there is none."""
    paths = sorted(folder().glob("*.jsonl")) if folder().is_dir() else []
    if run is not None:
        paths = [p for p in paths if p.stem == run]
    if not paths:
        which = f"no run {run}" if run else "no applied run"
        raise UsageError(f"There is {which} in {folder()}.", "Runs are kept where they were made.")
    return _replay(paths[-1])


def mark_undone(run: str) -> None:
    """Note in its journal that a run was taken back."""
    with (folder() / f"{run}.jsonl").open("a") as file:
        file.write(json.dumps({"event": "undone", "at": time.time()}) + "\n")


def _replay(path: Path) -> Run:
    head: dict[str, Any] = {}
    begun: dict[int, Step] = {}
    ended: list[int] = []
    kept: list[int] = []
    undone = finished = False
    for line in path.read_text().splitlines():
        try:
            event = json.loads(line)
        except ValueError:  # the line that was being written when the process died
            break
        match event["event"]:
            case "begin":
                head = event
            case "before":
                begun[event["number"]] = step_from_json(event["step"])
            case "after":
                ended.append(event["number"])
            case "committed":
                kept += [n for n in ended if n not in kept]
            case "rolled_back":
                for number in [n for n in begun if n not in kept]:
                    del begun[number]
                ended = list(kept)
            case "end":
                finished = True
            case "undone":
                undone = True
    return Run(
        run=head["run"],
        target=head["target"],
        durable=head["durable"],
        done=tuple(begun[n] for n in kept),
        doubtful=tuple(step for n, step in begun.items() if n not in kept),
        undone=undone,
        finished=finished,
    )
