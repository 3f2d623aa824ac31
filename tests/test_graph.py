"""`migdoctor graph`, and the rules about revision files where there is nothing but files."""

import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from rich.cells import cell_len

from migdoctor.report import json as report_json
from migdoctor.samples import Box
from tests.running import Ran, migdoctor, picture

Sample = Callable[[str, str], Box]
Capture = pytest.CaptureFixture[str]
SCHEMA = json.loads(Path(report_json.__file__).with_name("schema.json").read_text())
REVISION = '''"""{message}"""

from alembic import op

revision = {id!r}
down_revision = {down!r}
branch_labels = {labels!r}
depends_on = {depends_on!r}


def upgrade():
    op.execute("SELECT 1")


def downgrade():
    pass
'''
NUMBERS = itertools.count(3)  # files are read in the order of their names
ODD = 'it\'s "odd" --> [x] %%{init: {"theme":"dark"}}%% \\N </text> #34; `a` größer 数据'


def write(box: Box, id: str, down: object, message: str = "", **more: object) -> None:
    """One more revision file of a sample's history."""
    told = {"labels": None, "depends_on": None} | more
    name = f"{next(NUMBERS):05d}.py"
    text = REVISION.format(id=id, down=down, message=message or f"do {id}", **told)
    (box.folder / "versions" / name).write_text(text)


def chain(box: Box, count: int, after: str = "ccc3") -> None:
    for n in range(count):
        write(box, f"r{n:04d}", f"r{n - 1:04d}" if n else after)


def body(ran: Ran) -> list[str]:
    """The lines of the graph: below the notes, above what is broken."""
    return ran.out.split("\n\n")[1].splitlines()


# --- the page -----------------------------------------------------------------------------------


def test_a_database_at_head(sample: Sample, capfd: Capture) -> None:
    box = sample("healthy", "sqlite")
    before = picture(box)
    ran = migdoctor(capfd, "graph")
    assert ran.code == 0
    assert body(ran) == [
        "●  ccc3 (recorded) (located) (head) add nickname",
        "○  bbb2 create orders",
        "○  aaa1 (base) create users",
    ]
    assert "recorded   ccc3\nlocated    ccc3 (at-head, certain)\n" in ran.out
    assert "\x1b" not in ran.out
    assert ran.err == ""
    assert picture(box) == before


def test_postgresql_is_located_too(sample: Sample, capfd: Capture) -> None:
    box = sample("md502_stamped_behind", "postgresql")
    ran = migdoctor(capfd, "graph", *box.args)
    assert ran.code == 0
    assert body(ran) == [
        "◆  ccc3 (located) (head) (ran, not recorded) add nickname",
        "○  bbb2 (ran, not recorded) create orders",
        "●  aaa1 (recorded) (base) create users",
    ]


def test_a_revision_that_ran_in_part(sample: Sample, capfd: Capture) -> None:
    sample("md503_partially_applied", "sqlite")
    ran = migdoctor(capfd, "graph")
    assert body(ran)[0] == "○  ddd4 (2 of 5 changes ran) (head) (pending) gifts"
    assert body(ran)[1] == "●  ccc3 (recorded) (located) add nickname"


def test_recorded_and_never_ran(sample: Sample, capfd: Capture) -> None:
    sample("md501_stamped_past", "sqlite")
    ran = migdoctor(capfd, "graph")
    assert "● " in body(ran)[0]
    assert "(recorded, never ran)" in body(ran)[0]
    assert "recorded, never ran\n" in ran.out.partition("\n\n")[0] + "\n"


def test_branches_merges_labels_dependencies_and_what_is_pending(
    sample: Sample, capfd: Capture
) -> None:
    box = sample("healthy", "sqlite")
    write(box, "ddd4", "ccc3")
    write(box, "eee5", "ccc3")
    write(box, "fff6", ("ddd4", "eee5"), "join them")
    write(box, "plug1", None, labels=("plug",), depends_on="bbb2")
    ran = migdoctor(capfd, "graph", "--quick")
    assert ran.code == 0
    assert body(ran) == [
        "○    fff6 (head) (merge) (pending) join them",
        "├─╮",
        "│ ○  eee5 (pending) do eee5",
        "○ │  ddd4 (pending) do ddd4",
        "├─╯",
        "●    ccc3 (recorded) add nickname",
        "│ ○  plug1 (head) (base) [plug] (needs bbb2) (pending) do plug1",
        "○    bbb2 create orders",
        "○    aaa1 (base) create users",
    ]
    assert "located    not looked for (--quick)" in ran.out
    assert "heads fff6, plug1" in ran.out
    assert "recorded   ccc3; 4 pending" in ran.out


def test_every_broken_edge_is_drawn_and_named(sample: Sample, capfd: Capture) -> None:
    box = sample("healthy", "sqlite")
    write(box, "lost1", "nowhere")
    write(box, "lost2", "unread")
    write(box, "self1", "self1")
    write(box, "knot1", "knot2")
    write(box, "knot2", "knot1")
    write(box, "needy", "ccc3", depends_on="nothing")
    write(box, "aaa1", None)
    (box.folder / "versions" / "x.py").write_text("revision = 'unread'\ndown_revision = (\n")
    ran = migdoctor(capfd, "graph", "--quick")
    assert ran.code == 1
    drawn = "\n".join(body(ran))
    for part in (
        "✗  lost1 (head) (after nowhere: missing)",
        "✗  lost2 (head) (after unread: unreadable)",
        "✗  self1 (after self1: itself)",
        "✗  knot2 (after knot1, above: a cycle)",
        "✗  needy (head) (needs nothing: missing)",
        "✗  aaa1 (base) (2 files)",
    ):
        assert part in drawn, part
    for code in ("MD201", "MD202", "MD203", "MD204", "MD205"):
        assert f"\n{code} " in ran.out
    assert re.search(r"^MD203 missing-parent  versions/\d{5}.py:5$", ran.out, re.MULTILINE)


def test_an_unknown_row_is_said_and_nothing_is_called_pending(
    sample: Sample, capfd: Capture
) -> None:
    sample("md404_unknown_revision", "sqlite")
    ran = migdoctor(capfd, "graph")
    assert "'zzz9' (no file has it)" in ran.out
    assert "pending" not in ran.out
    assert body(ran)[0] == "◆  ccc3 (located) (head) add nickname"


# --- large ones ---------------------------------------------------------------------------------


def test_two_thousand_revisions_fit_a_screen(sample: Sample, capfd: Capture) -> None:
    box = sample("healthy", "sqlite")
    chain(box, 1997)
    ran = migdoctor(capfd, "graph", "--quick")
    assert body(ran) == [
        "○  r1996 (head) (pending) do r1996",
        "┊  … 1,995 revisions (pending) …",
        "○  r0000 (pending) do r0000",
        "●  ccc3 (recorded) add nickname",
        "○  bbb2 create orders",
        "○  aaa1 (base) create users",
    ]
    assert "recorded   ccc3; 1,997 pending" in ran.out
    assert len(body(migdoctor(capfd, "graph", "--quick", "--all"))) == 2000


def test_a_sick_revision_is_never_folded_away(sample: Sample, capfd: Capture) -> None:
    box = sample("healthy", "sqlite")
    chain(box, 200)
    write(box, "r0100", "r0099", "the twin")
    ran = migdoctor(capfd, "graph", "--quick")
    assert any("r0100 (2 files) (pending) the twin" in line for line in body(ran))
    assert len(body(ran)) < 15


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_screen(
    width: int, sample: Sample, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = sample("healthy", "sqlite")
    for n in range(30):  # many lanes
        write(box, f"side{n}", "aaa1", "数据库迁移 and a long message " * 5, labels=(f"label{n}",))
    monkeypatch.setenv("COLUMNS", str(width))
    ran = migdoctor(capfd, "graph", "--quick")
    assert max(map(cell_len, body(ran))) <= width
    assert all(f"side{n} " in ran.out for n in range(30))


def test_a_stream_that_knows_only_ascii(sample: Sample) -> None:
    box = sample("md206_multiple_heads", "sqlite")
    write(box, "eee5", "ddd4", "größer")
    command = [sys.executable, "-m", "migdoctor", "graph", "--quick", "--url", box.url]
    env = {**box.env, "PYTHONIOENCODING": "ascii", "PATH": "", "COLUMNS": "80"}
    ran = subprocess.run(command, cwd=box.folder, env=env, capture_output=True, check=False)
    assert ran.returncode == 1
    page = ran.stdout.decode("ascii")
    assert "\n|-'\n" in page
    assert "gr\\xf6\\xdfer" in page
    svg = subprocess.run(
        [*command, "--format", "svg"], cwd=box.folder, env=env, capture_output=True
    )
    assert "größer" in svg.stdout.decode()


def test_colours_only_when_wanted(
    sample: Sample, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample("healthy", "sqlite")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in migdoctor(capfd, "graph", "--quick").out
    assert "\x1b[" not in migdoctor(capfd, "graph", "--quick", "--no-color").out


# --- without a database -------------------------------------------------------------------------


def test_an_unreachable_database_costs_one_line(sample: Sample, capfd: Capture) -> None:
    sample("healthy", "sqlite")
    ran = migdoctor(capfd, "graph", "--url", "sqlite:///gone.db")
    assert ran.code == 3
    assert "recorded   unknown, and so is located: There is no file" in ran.out
    assert body(ran)[0] == "○  ccc3 (head) add nickname"
    assert not Path("gone.db").exists()


def test_no_database_and_no_code_at_all(sample: Sample, capfd: Capture) -> None:
    box = sample("healthy", "sqlite")
    for path in list(box.folder.iterdir()):
        if path.name != "versions":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    ran = migdoctor(capfd, "graph", "--script-location", ".")
    assert ran.code == 3
    assert "unknown, and so is located: No database address was found" in ran.out
    assert len(body(ran)) == 3
    assert ran.err == ""


def test_findings_weigh_more_than_a_database_that_is_away(sample: Sample, capfd: Capture) -> None:
    box = sample("md206_multiple_heads", "sqlite")
    assert migdoctor(capfd, "graph", *box.args, "--url", "sqlite:///gone.db").code == 1


def test_env_py_that_fails_leaves_what_the_record_says(sample: Sample, capfd: Capture) -> None:
    box = sample("healthy", "sqlite")
    (box.folder / "env.py").write_text("raise SystemExit('no settings')\n")
    ran = migdoctor(capfd, "graph", "--url", box.url)
    assert ran.code == 3
    assert "● " in body(ran)[0]
    assert "located    unknown: " in ran.out


def test_a_project_that_is_not_there(sample: Sample, capfd: Capture) -> None:
    sample("md001_config_not_found", "sqlite")
    ran = migdoctor(capfd, "graph")
    assert (ran.code, ran.out) == (2, "")
    assert "MD001" in ran.err
    ran = migdoctor(capfd, "graph", "--format", "json")
    Draft202012Validator(SCHEMA).validate(ran.document)


# --- the other formats --------------------------------------------------------------------------


def odd(box: Box) -> None:
    """Names of which each could end a string, a comment or a tag somewhere."""
    write(box, ODD, "ccc3", ODD.replace("\\", ""), labels=("style",))
    write(box, "end", ODD)
    write(box, "graph", "end", "-->")
    write(box, "r0", ("graph", "</svg>"))
    write(box, "subgraph", "r0", depends_on="aaa1")


def test_json_is_the_contract(sample: Sample, capfd: Capture) -> None:
    box = sample("healthy", "sqlite")
    odd(box)
    ran = migdoctor(capfd, "graph", "--format", "json", "--quick")
    told = ran.document
    Draft202012Validator(SCHEMA).validate(told)
    assert [r["id"] for r in told["revisions"]][-1] == "ccc3"
    assert (told["heads"], told["bases"], told["merges"]) == (["subgraph"], ["aaa1"], ["r0"])
    assert (told["recorded"], told["located"], told["exit_code"]) == (["ccc3"], None, 1)
    assert {b["code"]: b["id"] for b in told["broken"]} == {"MD203": "r0", "MD211": ODD}
    told = migdoctor(capfd, "graph", "--format", "json", "--url", "sqlite:///no.db").document
    Draft202012Validator(SCHEMA).validate(told)
    assert (told["recorded"], told["error"]["code"]) == (None, "MD003")


def test_json_says_where_the_schema_is(sample: Sample, capfd: Capture) -> None:
    sample("healthy", "sqlite")
    told = migdoctor(capfd, "graph", "--format", "json").document
    assert (told["recorded"], told["located"], told["broken"]) == (["ccc3"], ["ccc3"], [])


def test_svg_is_a_picture_in_which_nothing_overlaps(sample: Sample, capfd: Capture) -> None:
    box = sample("healthy", "sqlite")
    odd(box)
    chain(box, 100)
    ran = migdoctor(capfd, "graph", "--format", "svg", "--quick")
    root = ElementTree.fromstring(ran.out)
    space = "{http://www.w3.org/2000/svg}"
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    rows: dict[float, list[tuple[float, float]]] = {}
    for text in root.iter(f"{space}text"):
        start, long = float(text.attrib["x"]), float(text.attrib["textLength"])
        rows.setdefault(float(text.attrib["y"]), []).append((start, start + long))
    assert all(x >= 0 and end <= width for row in rows.values() for x, end in row)
    assert max(rows) <= height
    for row in rows.values():
        for (_, end), (start, _) in zip(sorted(row), sorted(row)[1:], strict=False):
            assert end < start
    nodes = [float(c.attrib["cx"]) for c in root.iter(f"{space}circle")]
    texts = min(start for row in rows.values() for start, _ in row[:1] if start > 30)
    assert max(nodes) < texts + 200
    words = [text.text for text in root.iter(f"{space}text")]
    assert "… 98 revisions (pending) …" in words
    assert "after </svg>: missing" in words
    assert width < 1300


def test_mermaid_and_dot_survive_odd_names(sample: Sample, capfd: Capture) -> None:
    box = sample("healthy", "sqlite")
    odd(box)
    page = migdoctor(capfd, "graph", "--format", "mermaid", "--quick").out
    assert page.startswith("flowchart TD\n")
    assert "%%{" not in page
    labels = [x.partition('["')[2].partition('"]')[0] for x in page.splitlines() if '["' in x]
    assert len(labels) == 9  # eight revisions, and the parent that no file has
    assert not any(c in "".join(labels).replace("<br/>", "") for c in '"[]{}<>`%\\')
    assert "  r7 -.->|needed by|" not in page
    assert "  r0 -.->|needed by| r7" in page
    assert "  x0 --x r6" in page
    page = migdoctor(capfd, "graph", "--format", "dot", "--quick").out
    node = next(line for line in page.splitlines() if line.startswith("  r3 "))
    assert 'label="it\'s \\"odd\\" --> [x] ' in node
    assert "\\\\N" in node
    if program := shutil.which("dot"):
        drawn = subprocess.run([program, "-Tsvg"], input=page, text=True, capture_output=True)
        assert (drawn.returncode, drawn.stderr) == (0, "")
        root = ElementTree.fromstring(drawn.stdout)
        assert any(ODD in (t.text or "") for t in root.iter("{http://www.w3.org/2000/svg}text"))


def test_the_drawings_are_folded_too(sample: Sample, capfd: Capture) -> None:
    box = sample("healthy", "sqlite")
    chain(box, 300)
    for form, most in (("mermaid", 20), ("dot", 20), ("svg", 60)):
        short = migdoctor(capfd, "graph", "--quick", "--format", form).out
        assert "… 298 revisions (pending) …" in short
        assert len(short.splitlines()) < most
        assert "r0150" in migdoctor(capfd, "graph", "--quick", "--all", "--format", form).out


def test_a_drawing_goes_to_a_file(sample: Sample, capfd: Capture, tmp_path: Path) -> None:
    sample("healthy", "sqlite")
    path = tmp_path / "graph.svg"
    ran = migdoctor(capfd, "graph", "--quick", "--format", "svg", "-o", str(path))
    assert (ran.code, ran.out) == (0, "")
    assert path.read_text().startswith("<svg ")


# --- rules about files need files alone ---------------------------------------------------------

COUNTING = """
import sys
wanted = ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec", "os.system", "pty.spawn",
          "sqlite3.connect", "socket.connect")
seen = []
sys.addaudithook(lambda event, _args: seen.append(event) if event in wanted else None)
from migdoctor import cli
code = cli.run(sys.argv[1:])
heavy = {"sqlalchemy", "alembic", "psycopg"} & set(sys.modules)
print(code, seen, sorted(heavy), file=sys.stderr)
"""


def counted(box: Box, *words: str) -> tuple[str, str]:
    """stdout of one call in a process of its own, and (status, what it started, what it loaded)."""
    ran = subprocess.run(
        [sys.executable, "-c", COUNTING, *words],
        cwd=box.folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ran.stdout, ran.stderr.strip()


@pytest.mark.parametrize("words", [["MD2"], ["MD201", "MD206"], ["md203,MD2"]])
def test_rules_about_files_start_nothing_and_open_nothing(words: list[str], sample: Sample) -> None:
    box = sample("healthy", "sqlite")
    (box.folder / "env.py").write_text("open('it-ran', 'w'); raise SystemExit(1)\n")
    selected = [part for word in words for part in ("--select", word)]
    out, told = counted(box, "diagnose", *selected, "--url", "postgresql://u:pw@127.0.0.1:1/x")
    assert told == "0 [] []"
    assert "No sickness was found" in out
    assert "only the revision files were looked at" in out
    assert not (box.folder / "it-ran").exists()


def test_the_count_sees_what_other_rules_start(sample: Sample) -> None:
    box = sample("healthy", "sqlite")
    _out, told = counted(box, "diagnose", "--select", "MD2", "--select", "MD402")
    assert "subprocess.Popen" in told
    assert "sqlite3.connect" in told
    assert told.endswith(" []")  # a SQLite file needs none of them
    nowhere = ("--quick", "--url", "postgresql://u:pw@127.0.0.1:1/x")
    _out, told = counted(box, "diagnose", "--select", "MD402", *nowhere)
    assert told.endswith(" ['psycopg', 'sqlalchemy']")


@pytest.mark.parametrize(
    ("name", "code", "status"),
    [
        ("md201_unparsable_revision_file", "MD201", 1),
        ("md202_duplicate_revision_id", "MD202", 1),
        ("md203_missing_parent", "MD203", 1),
        ("md204_cycle", "MD204", 1),
        ("md205_missing_dependency", "MD205", 1),
        ("md206_multiple_heads", "MD206", 1),
        ("md207_multiple_bases", "MD207", 1),
        ("md208_stale_bytecode", "MD208", 1),
        ("md211_illegal_or_ambiguous_id", "MD211", 1),
        ("md212_dynamic_identifiers", "MD212", 0),
        ("md402_overlapping_rows", None, 0),
    ],
)
def test_a_sick_history_is_found_from_the_files_alone(
    name: str, code: str | None, status: int, sample: Sample, capfd: Capture
) -> None:
    box = sample(name, "sqlite")
    for path in (box.folder / "env.py", box.folder / "app.db"):
        path.unlink(missing_ok=True)
    ran = migdoctor(capfd, "diagnose", "--select", "MD2", "--format", "json")
    Draft202012Validator(SCHEMA).validate(ran.document)
    assert (ran.code, ran.document["not_looked"]) == (status, [])
    assert ran.document["target"]["url"] is None
    assert (code in ran.codes) if code else not ran.codes


def test_files_that_cannot_be_found_are_not_healthy(sample: Sample, capfd: Capture) -> None:
    box = sample("healthy", "sqlite")
    shutil.rmtree(box.folder / "versions")
    assert migdoctor(capfd, "diagnose", "--select", "MD2").code == 3
    assert migdoctor(capfd, "diagnose", "--select", "MD2", "-c", "no.ini").code == 2
    assert migdoctor(capfd, "diagnose", "--select", "MD299").code == 2


# --- the hook that guards a commit --------------------------------------------------------------


def hooks() -> dict[str, dict[str, str]]:
    """The published hooks by their ids; the file is a list of flat mappings."""
    text = (Path(__file__).parents[1] / ".pre-commit-hooks.yaml").read_text()
    parts = [part.splitlines() for part in f"\n{text}".split("\n- ")[1:]]
    found = [dict(line.strip().split(": ", 1) for line in part) for part in parts]
    return {hook["id"]: hook for hook in found}


@pytest.mark.parametrize(
    ("name", "status"),
    [("healthy", 0), ("md203_missing_parent", 1), ("md206_multiple_heads", 1)],
)
def test_the_hook_lets_a_healthy_tree_pass_and_stops_a_broken_one(
    name: str, status: int, sample: Sample, capfd: Capture
) -> None:
    box = sample(name, "sqlite")
    (box.folder / "env.py").unlink()
    program, *words = shlex.split(hooks()["migdoctor-graph"]["entry"])
    assert program == "migdoctor"
    assert migdoctor(capfd, *words).code == status


def test_the_hook_runs_for_revision_files() -> None:
    hook = hooks()["migdoctor-graph"]
    assert (hook["language"], hook["pass_filenames"]) == ("python", "false")
    for path in ("versions/a.py", "db/migrations/versions/a.py", "alembic/x/a.py", "alembic.ini"):
        assert re.search(hook["files"], path), path
    for path in ("src/app.py", "versions/a.sql", "my_versions/a.py", "docs/alembic.ini.md"):
        assert not re.search(hook["files"], path), path
