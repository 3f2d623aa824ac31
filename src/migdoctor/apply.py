"""apply: the only module that writes to a target. What was printed is what is run.

Order: guard lock, look again, refuse if anything moved, then the steps, each journalled before
and after. Statements run in one transaction as far as the engine allows; a failure rolls it back
and restores the files.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, assert_never

from migdoctor.connect import Session, StatementFailed, open_writing
from migdoctor.cures.sessions import is_passing
from migdoctor.errors import DoctorError, Refused
from migdoctor.journal import Journal, Run, mark_undone
from migdoctor.model import EditFile, Hazard, MoveFile, Sql, Stamp, Step, stamp_statements
from migdoctor.observe.look import observe
from migdoctor.plan import Outcome, Rehearsal
from migdoctor.target import Target

GUARD_KEY = 0x6D6967646F63  # "migdoc": one doctor at a time per PostgreSQL database
GUARD_WAIT = 5.0  # seconds
LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL manual, appendix A
TRIES = 3


class Recorder(Protocol):
    """What the step runner tells its journal; see `journal.Journal`."""

    def before(self, number: int, step: Step) -> None: ...
    def after(self, number: int) -> None: ...
    def committed(self) -> None: ...
    def rolled_back(self) -> None: ...


class Unrecorded:
    """The recorder of a rehearsal or an undo: nothing is kept."""

    def before(self, number: int, step: Step) -> None: ...
    def after(self, number: int) -> None: ...
    def committed(self) -> None: ...
    def rolled_back(self) -> None: ...


class StepFailed(DoctorError):
    """A step did not find what it needs, or did not change exactly what it said it would."""

    exit_code = 5


def apply(rehearsal: Rehearsal, target: Target, allow: frozenset[Hazard]) -> Outcome:
    """Run a rehearsed plan on the live target.

    Raises Refused, with nothing written, when a hazard is not allowed, the rehearsal failed,
    another doctor or writer holds the lock, or the target is not what the plan was made for.
    """
    plan = rehearsal.plan
    if not rehearsal.passed:
        raise Refused(
            f"The rehearsal failed: {rehearsal.why}",
            "Nothing was changed; read what it shows, or cure fewer things with --only.",
        )
    if lacking := sorted(set(plan.hazards) - allow):
        raise Refused(
            f"The plan needs consent by name: {', '.join(lacking)}.",
            f"If that is what you want, add --allow {','.join(lacking)}.",
        )
    with _guarded(target, plan.steps) as session:
        if not all(is_passing(step) for step in plan.steps):
            _refuse_moved(plan.durable, observe(target, passing=False).durable())
        with Journal(plan, target.address.masked if target.address else "no database") as journal:
            outcome = run_steps(session, plan.steps, journal, run=journal.run)
            journal.end(outcome.error)
            return outcome


def undo(run: Run, target: Target) -> tuple[Step, ...]:
    """Take back a run. Returns the steps taken back, newest first.

    Raises Refused, with nothing changed, when a step cannot be taken back or its result is no
    longer what the run left behind.
    """
    if run.undone:
        raise Refused(f"Run {run.run} was taken back before.", "There is nothing left to undo.")
    steps = (*run.done, *_really_done(run, target))
    if steps and all(is_passing(step) for step in steps):
        raise Refused(
            f"Run {run.run} only ended what others were running; nothing can be taken back.",
            "Start again what was cancelled, when its way is free.",
        )
    inverse = [back for step in reversed(steps) for back in _inverse(step)]
    with _guarded(target, inverse) as session:
        outcome = run_steps(session, inverse, Unrecorded(), run=None)
    if outcome.error:
        raise Refused(
            f"Run {run.run} cannot be taken back: {outcome.error}",
            "Nothing was changed; something else has changed since the run.",
        )
    mark_undone(run.run)
    return tuple(reversed(steps))


def _really_done(run: Run, target: Target) -> tuple[Step, ...]:
    """The steps of a run that died before it could say whether they were committed.

    They count as done unless the database is exactly as it was before the run.
    """
    if not run.doubtful:
        return ()
    now = observe(target, passing=False).durable()
    return () if now == run.durable else run.doubtful


def _inverse(step: Step) -> list[Step]:
    match step:
        case Sql():
            if step.undo is None:
                raise Refused(
                    f"This statement cannot be taken back: {step.run}",
                    "It was applied with IRREVERSIBLE allowed; restore from a backup.",
                )
            return [
                Sql(run=sql, undo=None, touches=step.touches, in_transaction=step.in_transaction)
                for sql in step.undo
            ]
        case Stamp():
            return [Stamp(table=step.table, before=step.after, after=step.before)]
        case EditFile():
            return [EditFile(path=step.path, before=step.after, after=step.before)]
        case MoveFile():
            return [MoveFile(path=step.to, to=step.path, sha256=step.sha256)]
        case _:
            assert_never(step)


# --- under the lock -----------------------------------------------------------------------------


@contextmanager
def _guarded(target: Target, steps: Sequence[Step]) -> Iterator[Session | None]:
    """A writing session that holds the guard lock, None when no step touches the database.

    SQLite: BEGIN IMMEDIATE, which is the transaction of the steps as well. PostgreSQL: an
    advisory lock of the session, waited for a few seconds. Always released.
    """
    if not any(isinstance(step, Sql | Stamp) for step in steps):
        yield None
        return
    if target.address is None:
        raise target.no_address or Refused("There is no database to write to.", "Name it: --url.")
    with open_writing(target.address) as session:
        if session.dialect == "sqlite":
            _begin_alone(session)
        else:
            _lock_out_other_doctors(session)
        try:
            yield session
        finally:
            session.rollback()  # no effect after a commit; a refusal must leave nothing open


def _begin_alone(session: Session) -> None:
    try:
        session.begin()
    except StatementFailed as error:
        raise Refused(
            f"The database cannot be written to now: {error.message}",
            "Find who is writing with `migdoctor diagnose --select MD1`, then try again.",
        ) from error


def _lock_out_other_doctors(session: Session) -> None:
    deadline = time.monotonic() + GUARD_WAIT
    while not session.query(f"SELECT pg_try_advisory_lock({GUARD_KEY})")[0][0]:
        if time.monotonic() > deadline:
            raise Refused(
                "Another migdoctor is at work on this database (it holds the guard lock).",
                "Wait for it to finish, then run `migdoctor diagnose` again.",
            )
        time.sleep(0.2)


def _refuse_moved(planned: Mapping[str, str], now: Mapping[str, str]) -> None:
    moved = [
        f"{part}: {planned.get(part)} -> {value}"
        for part, value in now.items()
        if planned.get(part) != value
    ]
    if moved:
        raise Refused(
            "The plan is stale, something moved since it was made: " + "; ".join(moved) + ".",
            "Nothing was changed; make a new plan with `migdoctor fix`.",
        )


# --- the step runner, used on copies and on the live target -------------------------------------


def run_steps(
    session: Session | None,
    steps: Sequence[Step],
    recorder: Recorder,
    run: str | None,
    place: Callable[[Path], Path] = lambda path: path,
) -> Outcome:
    """Run steps in order; on failure roll back all that can be rolled back.

    A lock that PostgreSQL does not grant in time rolls everything back and is tried again, three
    times in all, as long as nothing is committed. `place` says where a file really is (a copy
    during rehearsal).
    """
    for attempt in range(TRIES):
        runner = _Runner(session, recorder, place)
        outcome = runner.run(steps, run)
        if not (runner.lock_missed and not outcome.done and attempt + 1 < TRIES):
            break
        time.sleep(0.5 * (attempt + 1))
    return outcome


class _Runner:
    """One attempt at a list of steps: which transaction is open, what to take back."""

    def __init__(
        self, session: Session | None, recorder: Recorder, place: Callable[[Path], Path]
    ) -> None:
        self.session = session
        self.recorder = recorder
        self.place = place
        self.kept: list[Step] = []
        self.pending: list[Step] = []
        self.lock_missed = False

    def run(self, steps: Sequence[Step], run: str | None) -> Outcome:
        for number, step in enumerate(steps):
            try:
                self.recorder.before(number, step)
                self._one(step)
                self.recorder.after(number)
                if isinstance(step, Sql) and not step.in_transaction:
                    self._keep()
            except (DoctorError, OSError) as error:
                undone = [p for p in self.pending if p is not step]
                return self._failed(step, steps[number + 1 :], error, run, undone)
        try:
            self._commit()
        except DoctorError as error:  # a deferred constraint speaks at COMMIT
            return self._failed(steps[-1], (), error, run, self.pending)
        return Outcome(run=run, done=tuple(self.kept), failed=None, not_reached=(), error=None)

    def _one(self, step: Step) -> None:
        if isinstance(step, Sql) and not step.in_transaction:
            self._commit()
        self.pending.append(step)
        match step:
            case Sql():
                self._sql(step)
            case Stamp():
                self._stamp(step)
            case EditFile():
                edit_file(self.place(step.path), step.before, step.after)
            case MoveFile():
                move_file(self.place(step.path), self.place(step.to), step.sha256)
            case _:
                assert_never(step)

    def _open(self) -> Session:
        if self.session is None:
            raise StepFailed("There is no connection for this step.", "Name the database: --url.")
        return self.session

    def _sql(self, step: Sql) -> None:
        session = self._open()
        if step.in_transaction:
            session.begin()
        if step.guard:
            answer = session.query(step.guard.query)
            value = answer[0][0] if answer else None
            if value != step.guard.answer:
                raise StepFailed(
                    f"{step.guard.because} ({step.guard.query} gave {value!r}, "
                    f"not {step.guard.answer!r}).",
                    "Run `migdoctor diagnose` again.",
                )
        self._counted(step.run, step.rows)

    def _stamp(self, step: Stamp) -> None:
        session = self._open()
        session.begin()
        for sql, rows in stamp_statements(step, session.dialect):
            self._counted(sql, rows)

    def _counted(self, sql: str, rows: int | None) -> None:
        changed = self._open().run(sql)
        if rows is not None and changed != rows:
            verb = "found" if sql.startswith("SELECT") else "changed"
            raise StepFailed(
                f"{sql} {verb} {changed} rows, not {rows}.",
                "It was rolled back; run `migdoctor diagnose` again.",
            )

    def _commit(self) -> None:
        if self.session is not None:
            self.session.commit()
        self._keep()

    def _keep(self) -> None:
        self.kept += self.pending
        self.pending = []
        self.recorder.committed()

    def _failed(
        self,
        step: Step,
        rest: Sequence[Step],
        error: Exception,
        run: str | None,
        undone: Sequence[Step],
    ) -> Outcome:
        """Roll back and restore the files of `undone`, the steps that had their effect."""
        self.lock_missed = isinstance(error, StatementFailed) and (
            error.sqlstate == LOCK_NOT_AVAILABLE
        )
        if self.session is not None:
            self.session.rollback()
        for back in reversed(undone):
            if isinstance(back, EditFile):
                edit_file(self.place(back.path), back.after, back.before)
            elif isinstance(back, MoveFile):
                move_file(self.place(back.to), self.place(back.path), back.sha256)
        self.recorder.rolled_back()
        message = error.message if isinstance(error, DoctorError) else str(error)
        return Outcome(
            run=run, done=tuple(self.kept), failed=step, not_reached=tuple(rest), error=message
        )


def edit_file(path: Path, before: str | None, after: str | None) -> None:
    """Replace the whole text of a file, or make or remove it, if it holds exactly `before`.

    Written beside it and renamed, so that a crash leaves the old or the new text. StepFailed when
    the file holds something else.
    """
    now = path.read_bytes() if path.exists() else None
    if now != (None if before is None else before.encode("utf-8", "surrogateescape")):
        raise StepFailed(f"{path} is not what the plan was made for.", "Make a new plan.")
    if after is None:
        path.unlink()
        return
    scratch = path.with_name(f".{path.name}.migdoctor")
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(after.encode("utf-8", "surrogateescape"))
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def move_file(path: Path, to: Path, sha256: str) -> None:
    """Rename a file whose bytes have that hash; StepFailed when they do not or `to` exists."""
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise StepFailed(f"{path} is not what the plan was made for.", "Make a new plan.")
    if to.exists():
        raise StepFailed(f"{to} exists already.", "Move it away, then try again.")
    to.parent.mkdir(exist_ok=True)  # a helper module becomes a package (MD201)
    path.rename(to)
    if path.name == "__init__.py":
        with suppress(OSError):  # not empty
            path.parent.rmdir()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
