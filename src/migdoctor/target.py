"""connect: from what the user typed to the database and the files that are meant."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from migdoctor.address import parse_url
from migdoctor.connect import Address, address_of
from migdoctor.errors import CannotConnect, DoctorError, UsageError
from migdoctor.project import Agent, Capture, ContextOptions
from migdoctor.project.config import Project, Request, find, writable
from migdoctor.project.process import AgentFailed

# What is being done, how much of it is done, and how much there is; 0 of 0: it is over.
Progress = Callable[[str, int, int], None]


def _to_nobody(_what: str, _done: int, _total: int) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Target:
    """The database to look at and the project whose revisions it should follow.

    `moved` maps version directories to the copies that stand in for them during a rehearsal.
    `address` None: nobody names a database, `no_address` says so. `shadow` is the server of
    --shadow-url, None: the private one. `on_progress` is told how far long work is.
    """

    project: Project
    agent: Agent
    address: Address | None
    version_table: tuple[str | None, str]
    has_metadata: bool
    quick: bool
    no_address: CannotConnect | None = None
    capture_failure: tuple[str, str] | None = None
    address_differences: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    moved: Mapping[Path, Path] = field(default_factory=dict)
    shadow: Address | None = None
    on_progress: Progress = _to_nobody

    @property
    def locations(self) -> tuple[Path, ...]:
        """The version directories to read: the project's own, or their copies."""
        return tuple(self.moved.get(path, path) for path in self.project.locations)

    def place(self, path: Path) -> Path:
        """Where a file of the project is to be read or written: itself, or its copy."""
        for original, copy in self.moved.items():
            if path.is_relative_to(original):
                return copy / path.relative_to(original)
        return path

    def home(self, path: Path) -> Path:
        """Inverse of `place`: the project's own path for a file of a copy."""
        for original, copy in self.moved.items():
            if path.is_relative_to(copy):
                return original / path.relative_to(copy)
        return path

    def on(self, address: Address, moved: Mapping[Path, Path]) -> "Target":
        """The same project on a copy of the database and of the version directories."""
        return replace(self, address=address, moved=moved)


@contextmanager
def open_target(
    request: Request, *, quick: bool, on_progress: Progress | None = None
) -> Iterator[Target]:
    """Find the project and its database. ConfigNotFound when there is no project.

    With `quick` and a URL, none of the project's code runs; without a URL, env.py is asked for the
    address, with every connection refused.
    """
    project = find(request)
    with Agent(project) as agent:
        capture, failure = None, None
        if not (quick and request.url):
            capture, failure = _capture(agent)
        target = _target(request, project, agent, capture, failure, quick)
        yield replace(target, on_progress=on_progress or _to_nobody)


def project_alone(request: Request) -> Target:
    """The project without its database: for rules about revision files. None of its code runs."""
    project = find(request)
    return Target(
        project=project,
        agent=Agent(project),  # never started: nothing is asked of it
        address=None,
        version_table=(None, project.version_table or "alembic_version"),
        has_metadata=False,
        quick=True,
        notes=("only the revision files were looked at",),
    )


def _capture(agent: Agent) -> tuple[Capture | None, tuple[str, str] | None]:
    try:
        return agent.capture(), None
    except AgentFailed as error:
        return None, (error.error, error.log)


def _target(
    request: Request,
    project: Project,
    agent: Agent,
    capture: Capture | None,
    failure: tuple[str, str] | None,
    quick: bool,
) -> Target:
    context = capture.contexts[0] if capture and capture.contexts else None
    project = _placed(project, context)
    named = [
        ("--url", request.url, {}),
        ("env.py", context.url if context else None, context.connect_args if context else {}),
        ("the ini file", project.ini_url, {}),
    ]
    given = [(where, url, dict(args)) for where, url, args in named if url]
    address, problem = None, None
    notes = []
    if capture and len(capture.contexts) > 1:
        notes.append(
            f"env.py configures {len(capture.contexts)} contexts; this report is about the first"
        )
    if given:
        _where, url, args = given[0]
        try:
            address = address_of(url, args, base=project.cwd)
        except CannotConnect as error:
            problem = error
    else:
        problem = CannotConnect(
            "No database address was found: env.py gave none and the configuration has none.",
            "Name it with --url.",
        )
    return Target(
        project=project,
        agent=agent,
        address=address,
        no_address=problem,
        version_table=(
            (context.version_table_schema or context.search_path) if context else None,
            context.version_table if context else "alembic_version",
        ),
        # Models that nobody imported are none: every table would look like one too many.
        has_metadata=bool(context and context.has_metadata and context.tables),
        quick=quick,
        capture_failure=failure,
        address_differences=_differences(address, given[1:], project) if address else (),
        notes=tuple(notes),
        shadow=_shadow(request.shadow_url) if request.shadow_url else None,
    )


def _shadow(url: str) -> Address:
    """The server of --shadow-url, at its database postgres where the URL names none."""
    parsed = parse_url(url)
    engine = parsed.drivername.split("+")[0]
    if engine not in ("postgres", "postgresql"):
        raise UsageError(
            f"--shadow-url names a server of another engine: {engine}.",
            "Name a PostgreSQL server; for SQLite the option is not needed.",
        )
    parsed = parsed.set(database=parsed.database or "postgres")
    return address_of(parsed.render_as_string(hide_password=False))


def _placed(project: Project, context: ContextOptions | None) -> Project:
    """The project with the version folders that its env.py or manager reads in fact."""
    places = tuple(map(Path, context.locations)) if context else ()
    if not places or places == project.locations:
        return project
    homes = (project.cwd, project.root)
    return replace(project, locations=places, writable=writable(places[0], homes))


def _differences(
    address: Address, others: list[tuple[str, str, dict[str, object]]], project: Project
) -> tuple[tuple[str, str], ...]:
    """Other configured addresses that mean another database than the one looked at."""
    found = []
    for where, url, args in others:
        try:
            other = address_of(url, args, base=project.cwd)
        except DoctorError:  # a placeholder such as driver://user:pass@host/name
            continue
        if not other.same_as(address):
            found.append((where, other.masked))
    return (*found, *_same_name_elsewhere(address, project))


def _same_name_elsewhere(address: Address, project: Project) -> tuple[tuple[str, str], ...]:
    """Non-empty SQLite files of the same name beside the project's own files (incident 77)."""
    if address.path is None:
        return ()
    folders = {project.root, project.script_location.parent}
    if project.config_file:
        folders.add(project.config_file.parent)
    candidates = sorted({folder.resolve() / address.path.name for folder in folders})
    return tuple(
        ("a file of the same name", str(path))
        for path in candidates
        if path != address.path.resolve() and path.is_file() and path.stat().st_size > 0
    )
