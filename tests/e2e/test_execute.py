"""Real kernels: a notebook that runs, raises, hangs, is killed or is interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from papermill.exceptions import PapermillExecutionError
from papermill.execute import execute_notebook

from mlops_nb import errors
from mlops_nb.notebook.execute import Event, Request, execute
from mlops_nb.notebook.journal import JOURNAL
from mlops_nb.notebook.limits import Limits
from mlops_nb.notebook.replay import Replay
from mlops_nb.notebook.report import render

pytestmark = pytest.mark.slow

Make = Callable[..., Request]


@pytest.fixture
def request_for(tmp_path: Path) -> Make:
    """Return a function that writes a notebook with the given code cells and asks for it."""

    def make(*sources: str, kernel: str = "python3", **options: Any) -> Request:
        heading = nbformat.v4.new_markdown_cell("# Title", id="title")
        cells = [nbformat.v4.new_code_cell(text, id=f"c{i}") for i, text in enumerate(sources)]
        node = nbformat.v4.new_notebook(cells=[heading, *cells])
        node.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
        nbformat.write(node, tmp_path / "nb.ipynb")
        paths = {"report": tmp_path / "report.ipynb", "kept": tmp_path / "kept"}
        return Request(**{"path": tmp_path / "nb.ipynb", "cwd": tmp_path, **paths, **options})

    return make


def outcome_of(request: Request) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((request.kept / "outcome.json").read_text())
    return value


def states_of(request: Request) -> list[str]:
    return [cell["state"] for cell in outcome_of(request)["cells"]]


def outputs_of(path: Path) -> list[Any]:
    return [cell.get("outputs", []) for cell in nbformat.read(path, as_version=4).cells]


def assert_no_kernel_left(request: Request) -> None:
    left = [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(request.cwd)]
    assert left == []


def test_the_same_notebook_gives_the_same_report(request_for: Make) -> None:
    request = request_for(
        "print({'a', 'b', 'c', 'd'}, object())\nobject()",
        "import sys, warnings\nprint('out')\nprint('err', file=sys.stderr)\nwarnings.warn('w')",
        "import os\n(os.path.basename(os.getcwd()), '' in sys.path, os.environ['PYTHONHASHSEED'])",
        redact=("nothing",),
        metadata={"stage": "train", "parameters": {"lr": 0.1}},
        injected="lr = 0.1",
    )
    events: list[Event] = []
    outcome = execute(request, events.append)
    first = request.report.read_bytes()
    assert outcome.state == "ok" and outcome.report == str(request.report)
    assert [cell.number for cell in outcome.cells] == [None, 2, 3, 4]
    assert all(cell.peak_memory_bytes for cell in outcome.cells)
    assert [(e.kind, e.position, e.total) for e in events][:2] == [
        ("started", 1, 4),
        ("finished", 1, 4),
    ]
    kept = sorted(path.name for path in request.kept.iterdir())
    assert kept == ["journal.jsonl", "outcome.json"]

    execute(request)
    assert request.report.read_bytes() == first
    node = nbformat.reads(first.decode(), as_version=4)
    nbformat.validate(node)
    assert node.metadata["papermill"] == {"parameters": {"lr": 0.1}}
    assert node.metadata["mlops_nb"]["stage"] == "train"
    assert node.cells[4].outputs[0]["data"]["text/plain"] == f"('{request.cwd.name}', True, '0')"


def test_a_cell_that_raises_is_named_with_its_line(request_for: Make) -> None:
    request = request_for(
        "def f(x):\n    return 1 / x", "y = 0\nf(y)", "never = 1", injected="injected = True"
    )
    with pytest.raises(errors.CellFailed) as caught:
        execute(request)
    error = caught.value
    assert (error.cell, error.line, error.source) == (3, 2, "f(y)")
    assert (error.ename, error.evalue) == ("ZeroDivisionError", "division by zero")
    assert error.report == request.kept / "report.ipynb" and not request.report.exists()
    assert states_of(request) == ["ok", "ok", "error", "pending"]
    outputs = outputs_of(request.kept / "report.ipynb")
    assert outputs[3][0]["ename"] == "ZeroDivisionError"
    assert "never ran: cell 3: raised ZeroDivisionError" in outputs[4][0]["text"]
    assert_no_kernel_left(request)


def test_a_syntax_error_is_named_with_its_line(request_for: Make) -> None:
    with pytest.raises(errors.CellFailed, match=r"cell 2, line 2 .*SyntaxError"):
        execute(request_for("x = 1\ny = = 2"))


def test_a_cell_that_may_raise_does_not_stop_the_run(request_for: Make) -> None:
    request = request_for("1 / 0", "x = 1")
    node = nbformat.read(request.path, as_version=4)
    node.cells[1].metadata["tags"] = ["raises-exception"]
    nbformat.write(node, request.path)
    assert execute(request).state == "ok"


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        (
            "import os\nprint('last words', flush=True)\nos.kill(os.getpid(), 9)",
            "killed by SIGKILL",
        ),
        ("import os\nos._exit(0)", "exited with status 0"),
    ],
)
def test_a_kernel_that_dies_is_told_truthfully(request_for: Make, source: str, cause: str) -> None:
    request = request_for("x = 1", source, "never = 1")
    with pytest.raises(errors.KernelKilled) as caught:
        execute(request)
    assert (caught.value.cell, caught.value.cause) == (3, cause)
    assert outcome_of(request)["state"] == "killed:signal"
    assert states_of(request) == ["ok", "killed:signal", "pending"]
    node = nbformat.read(request.kept / "report.ipynb", as_version=4)
    assert [cell.metadata.get("mlops_nb", {}).get("state") for cell in node.cells] == [
        None,
        *states_of(request),
    ]
    assert node.cells[2].outputs[-1]["evalue"].endswith(cause)
    assert "never ran" in node.cells[3].outputs[0]["text"]
    assert not request.report.exists()
    assert_no_kernel_left(request)


def test_a_kernel_that_cannot_start_is_told(request_for: Make, tmp_path: Path) -> None:
    folder = tmp_path / "jupyter" / "kernels" / "broken"
    folder.mkdir(parents=True)
    argv = [sys.executable, "-c", "import no_such_module", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "broken"}))
    request = request_for("x = 1", kernel="broken")
    code = (
        "import sys, pathlib; from mlops_nb.notebook.execute import Request, execute;"
        "p = pathlib.Path(sys.argv[1]); execute(Request(p / 'nb.ipynb', p, p / 'r', p / 'kept'))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env=os.environ | {"JUPYTER_PATH": str(tmp_path / "jupyter")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "KernelKilled" in result.stderr and "No module named 'no_such_module'" in result.stderr
    assert states_of(request) == ["pending"]
    assert "no_such_module" in (request.kept / "kernel.log").read_text()


@pytest.mark.parametrize(
    "source",
    [
        "import time\nprint('still here', flush=True)\ntime.sleep(60)",
        "import time\nprint('still here', flush=True)\nwhile True:\n    try: time.sleep(60)\n"
        "    except BaseException: pass",
    ],
    ids=["patient", "stubborn"],
)
def test_a_notebook_that_takes_too_long_is_ended(request_for: Make, source: str) -> None:
    request = request_for(source, "never = 1", limits=Limits(3.0))
    with pytest.raises(errors.ExecutionTimeout) as caught:
        execute(request)
    assert caught.value.cell == 2 and caught.value.exit_code == 124
    assert states_of(request) == ["timeout", "pending"]
    assert "still here" in str(outputs_of(request.kept / "report.ipynb")[1])
    assert_no_kernel_left(request)


RUN = """
import sys
from pathlib import Path
from mlops_nb.errors import ExecutionCancelled
from mlops_nb.notebook.execute import Request, execute

folder = Path(sys.argv[1])
try:
    execute(
        Request(folder / "nb.ipynb", folder, folder / "report.ipynb", folder / "kept"),
        lambda event: print(event.kind, event.number, flush=True),
    )
except ExecutionCancelled as error:
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("presses", [1, 2])
def test_an_interrupt_keeps_the_report_and_ends_the_kernel(request_for: Make, presses: int) -> None:
    request = request_for("print('begun')", "import time\ntime.sleep(60)", "never = 1")
    command = [sys.executable, "-c", RUN, str(request.cwd)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line == "started 3\n" for line in process.stdout)
        for _ in range(presses):
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        assert process.wait(timeout=30) == 130
    assert outcome_of(request)["state"] == "cancelled"
    assert states_of(request) == ["ok", "cancelled", "pending"]
    assert "begun" in str(outputs_of(request.kept / "report.ipynb")[1])
    assert_no_kernel_left(request)


def test_a_secret_reaches_no_file_and_no_error(request_for: Make) -> None:
    request = request_for(
        "import os, sys, time\ntoken = os.environ['TOKEN']\n"
        "for letter in token:\n    sys.stdout.write(letter); sys.stdout.flush(); time.sleep(0.02)",
        "token\nassert token == 'hunter2-hunter2'",
        "raise ValueError(f'bad {token}')",
        redact=("hunter2-hunter2",),
        environ={"TOKEN": "hunter2-hunter2"},
        metadata={"parameters": {"token": "hunter2-hunter2"}},
    )
    titles: list[str] = []
    with pytest.raises(errors.CellFailed, match=r"bad \*\*\*") as caught:
        execute(request, lambda event: titles.append(event.title))
    files = {path.name: path.read_text() for path in request.kept.iterdir()}
    assert set(files) == {"journal.jsonl", "report.ipynb", "outcome.json"}
    assert not any("hunter2-hunter2" in text for text in [*files.values(), str(caught.value)])
    assert files["report.ipynb"].count("***") >= 3
    assert outputs_of(request.kept / "report.ipynb")[1][0]["text"] == "***"


def test_a_secret_that_is_a_word_of_the_format_leaves_the_report_whole(request_for: Make) -> None:
    words = ("cells", "source", "data", "text", "name", "code", "stream", "stdout", "text/plain")
    sources = ("print('my data')\n'the source'", "import sys\nprint('my text', file=sys.stderr)")
    request = request_for(*sources, redact=words, metadata={"stage": "train"})
    execute(request)
    nbformat.validate(nbformat.read(request.report, as_version=4))
    replayed = Replay(request.kept / JOURNAL)
    assert render(replayed.notebook()) == request.report.read_text()
    first, second = outputs_of(request.report)[1:]
    assert (first[0]["text"], first[1]["data"]["text/plain"]) == ("my ***\n", "'the ***'")
    assert (second[0]["name"], second[0]["text"]) == ("stderr", "my ***\n")


def test_a_missing_kernel_is_refused_before_anything_starts(request_for: Make) -> None:
    request = request_for("x = 1", kernel="julia-0.1")
    with pytest.raises(errors.KernelNotInstalled, match=r"julia-0\.1"):
        execute(request)
    assert not (request.kept / "outcome.json").exists()


def test_an_unwritable_report_is_refused_before_anything_starts(request_for: Make) -> None:
    with pytest.raises(errors.UnwritablePath):
        execute(request_for("x = 1", report=Path("/proc/none/report.ipynb")))


def test_files_left_open_are_flushed(request_for: Make, tmp_path: Path) -> None:
    execute(request_for("f = open('data.csv', 'w'); _ = f.write('a,b')"))
    assert (tmp_path / "data.csv").read_text() == "a,b"


def test_a_notebook_can_be_executed_from_a_notebook(request_for: Make, tmp_path: Path) -> None:
    request_for("x = 1")
    (tmp_path / "nb.ipynb").rename(tmp_path / "inner.ipynb")
    outer = request_for(
        "from pathlib import Path\nfrom mlops_nb.notebook.execute import Request, execute\n"
        "here = Path.cwd()\n"
        "execute(Request(here / 'inner.ipynb', here, here / 'in.ipynb', here / 'kept_in')).state"
    )
    execute(outer)
    assert outputs_of(outer.report)[1][0]["data"]["text/plain"] == "'ok'"


@pytest.fixture
def papermill(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return the papermill command in an environment where the engine is installed."""
    entry = "[papermill.engine]\nmlops_nb = mlops_nb.notebook.engine:Engine\n"
    site = tmp_path / "site" / "mlops_nb-0.dist-info"
    site.mkdir(parents=True)
    (site / "entry_points.txt").write_text(entry)
    paths = [str(site.parent), *sys.path]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def run(*arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "papermill", "--engine", "mlops_nb", *arguments]
        env = environ | given
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)

    return run


def test_papermill_uses_the_engine(
    request_for: Make, tmp_path: Path, papermill: Callable[..., Any]
) -> None:
    request = request_for("a = 0", "print(a)")
    node = nbformat.read(request.path, as_version=4)
    node.cells[1].metadata["tags"] = ["parameters"]
    nbformat.write(node, request.path)
    result = papermill(str(request.path), str(tmp_path / "out.ipynb"), "-p", "a", "1")
    assert result.returncode == 0, result.stderr
    report = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert report.metadata["papermill"]["parameters"] == {"a": 1}
    assert report.cells[3].outputs[0]["text"] == "1\n"
    assert {cell.metadata["papermill"]["status"] for cell in report.cells} == {"completed"}
    assert "without encryption" not in result.stderr


def test_papermill_with_the_engine_tells_the_truth_about_a_killed_kernel(
    request_for: Make, tmp_path: Path, papermill: Callable[..., Any]
) -> None:
    request = request_for("x = 1", "import os\nos.kill(os.getpid(), 9)", "never = 1")
    result = papermill(str(request.path), str(tmp_path / "out.ipynb"))
    assert result.returncode == 138
    report = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    status = [cell.metadata["papermill"]["status"] for cell in report.cells[1:]]
    assert status == ["completed", "failed", "pending"]
    assert report.cells[2].outputs[0]["evalue"] == "killed by SIGKILL"


def test_papermill_sets_how_long_the_kernel_may_take_to_start(
    request_for: Make, tmp_path: Path, papermill: Callable[..., Any]
) -> None:
    folder = tmp_path / "jupyter" / "kernels" / "silent"
    folder.mkdir(parents=True)
    argv = [sys.executable, "-c", "import time; time.sleep(60)", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "silent"}))
    request = request_for("x = 1", kernel="silent")
    arguments = (str(request.path), str(tmp_path / "out.ipynb"), "--start-timeout", "1")
    result = papermill(*arguments, JUPYTER_PATH=str(tmp_path / "jupyter"))
    assert result.returncode == 138
    assert "the kernel does not answer within 1 s" in result.stderr


def test_papermill_hands_the_settings_of_its_client_to_the_engine(
    request_for: Make, tmp_path: Path
) -> None:
    request = request_for("1 / 0", "print('after')")
    with pytest.raises(PapermillExecutionError):
        execute_notebook(request.path, tmp_path / "out.ipynb", None, "mlops_nb", allow_errors=True)
    assert outputs_of(tmp_path / "out.ipynb")[-1][0]["text"] == "after\n"


def test_the_line_of_an_error_is_the_authors_also_below_empty_lines(request_for: Make) -> None:
    request = request_for("\n\nx = 1\n1 / 0\n")
    with pytest.raises(errors.CellFailed):
        execute(request)
    error = outcome_of(request)["error"]
    assert (error["line"], error["source"]) == (4, "1 / 0")
