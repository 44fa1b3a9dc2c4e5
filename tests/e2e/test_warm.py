"""The warm server: what it refuses, what it survives, and what dies with whom."""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from jupyter_client.manager import AsyncKernelManager

from mlops_nb.notebook.journal import JOURNAL, read_entries
from mlops_nb.warm.demand import MOST_SPARE
from mlops_nb.warm.install import install_kernelspec
from mlops_nb.warm.lifeline import tie
from mlops_nb.warm.place import KERNELS, SOCKET, environment_key
from mlops_nb.warm.provisioner import WarmProvisioner
from mlops_nb.warm.state import own_state
from mlops_nb.warm.wire import receive, send
from tests.warm import Warm, warm_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with warm_server("numpy") as server:
        yield server


@pytest.fixture
def own_warm() -> Iterator[Warm]:
    with warm_server() as server:
        yield server


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder that counts as one of installed packages."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    return folder


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Return a private folder whose path is short enough for sockets."""
    folder = tempfile.mkdtemp(prefix="r-", dir="/tmp")
    yield Path(folder)
    shutil.rmtree(folder)


def notebook(folder: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(text, id=f"c{i}") for i, text in enumerate(sources)]
    node = nbformat.v4.new_notebook(cells=cells)
    node.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "P"}
    nbformat.write(node, folder / "nb.ipynb")
    return folder / "nb.ipynb"


def text_of(report: Path) -> str:
    cells = nbformat.read(report, as_version=4).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def start(warm: Warm, folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mlops_nb", "execute", "nb.ipynb", "-o", "out.ipynb", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=warm.environ, **pipes)


def kernel_of(folder: Path) -> psutil.Process:
    pid = until(lambda: (folder / "pid").exists() and (folder / "pid").read_text())
    return psutil.Process(int(pid))


TELL_PID = "import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))"


def test_two_warm_kernels_draw_different_random_numbers(warm: Warm, tmp_path: Path) -> None:
    source = (
        "import random, uuid, numpy as np\nprint(random.random(), np.random.rand(), uuid.uuid4())"
    )
    seen = []
    for _ in range(2):
        notebook(tmp_path, source)
        assert warm.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path).returncode == 0
        seen += text_of(tmp_path / "out.ipynb").split()
    assert len(set(seen)) == 6


def test_a_variable_that_libraries_read_while_loading_means_a_cold_start(
    warm: Warm, tmp_path: Path
) -> None:
    notebook(tmp_path, "import os\nprint(os.environ['OMP_NUM_THREADS'])")
    uses = warm.wait_for_spare()["zygote"]["uses"]
    environ = warm.environ | {"OMP_NUM_THREADS": "1"}
    done = warm.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path, env=environ)
    assert done.returncode == 0 and text_of(tmp_path / "out.ipynb") == "1\n"
    assert "cold start: OMP_NUM_THREADS differs" in done.stderr
    assert warm.status()["zygote"]["uses"] == uses


@pytest.mark.parametrize(
    ("name", "source", "reason"),
    [
        ("prints", "print('hello')", "prints when imported"),
        ("warns", "import warnings\nwarnings.warn('old', FutureWarning)", "warns when imported"),
        ("threads", "import threading as t\nt.Thread(target=t.Event().wait, daemon=True, "
         "name='poller').start()", "the thread poller is running"),
        ("session", "get_ipython().events", "uses the notebook's session (events)"),
        ("handler", "import signal as s\ns.signal(s.SIGUSR1, s.SIG_IGN)", "a signal handler"),
        ("broken", "1 / 0", "cannot be imported: ZeroDivisionError"),
        ("ends", "import os\nos._exit(3)", "ends the process when imported"),
    ],
)  # fmt: skip
def test_a_library_whose_import_could_be_noticed_is_not_preloaded(
    site: Path, name: str, source: str, reason: str
) -> None:
    (site / f"probe_{name}.py").write_text(source)
    with warm_server(f"probe_{name}", path=site) as server:
        zygote = server.status()["zygote"]
        assert reason in zygote["refused"][f"probe_{name}"]
        assert zygote["loaded"] == [] and zygote["trouble"] == ""


def test_a_projects_own_modules_are_never_preloaded(tmp_path: Path) -> None:
    (tmp_path / "ours.py").write_text("VALUE = 1")
    notebook(tmp_path, "import ours\nprint(ours.VALUE)")
    with warm_server("ours", path=tmp_path) as server:
        assert server.status()["zygote"]["refused"]["ours"].startswith("is no installed library")
        for value in (1, 22):
            (tmp_path / "ours.py").write_text(f"VALUE = {value}")
            server.wait_for_spare()
            server.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path)
            assert text_of(tmp_path / "out.ipynb") == f"{value}\n"
        assert server.status()["zygote"]["uses"] == 2


def test_a_changed_library_is_loaded_anew_and_never_served_stale(
    site: Path, tmp_path: Path
) -> None:
    module = site / "probe_changed.py"
    module.write_text("VALUE = 1")
    notebook(tmp_path, "import probe_changed\nprint(probe_changed.VALUE)")
    with warm_server("probe_changed", path=site) as server:
        assert server.status()["zygote"]["loaded"] == ["probe_changed"]
        module.write_text("VALUE = 22")
        done = server.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path)
        assert done.returncode == 0 and text_of(tmp_path / "out.ipynb") == "22\n"
        until(lambda: (server.status()["zygote"] or {}).get("changed") == "", 60)
        server.wait_for_spare()
        server.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path)
        assert text_of(tmp_path / "out.ipynb") == "22\n"
        assert server.status()["zygote"]["uses"] == 1


def test_why_the_zygote_gives_no_kernel_is_said_and_kept(site: Path, tmp_path: Path) -> None:
    (site / "probe_reads.py").write_text("import os\nWORD = os.environ.get('PROBE_WORD')")
    notebook(tmp_path, "import probe_reads\nprint(probe_reads.WORD)")
    with warm_server("probe_reads", path=site) as server:
        server.wait_for_spare()
        state = {"XDG_STATE_HOME": str(tmp_path / "state")}
        environ = server.environ | {"PROBE_WORD": "other"} | state
        done = server.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path, env=environ)
    assert done.returncode == 0 and text_of(tmp_path / "out.ipynb") == "other\n"
    reason = "PROBE_WORD differs from when the libraries were loaded"
    assert f"cold start: {reason}" in done.stderr
    (journal,) = tmp_path.rglob(JOURNAL)
    kernels = [entry for entry in read_entries(journal) if entry["entry"] == "kernel"]
    assert [kernel["refusal"] for kernel in kernels] == [reason]


def test_parts_that_libraries_load_when_first_used_are_there_the_next_time(
    site: Path, tmp_path: Path
) -> None:
    package = site / "probe_lazy"
    package.mkdir()
    source = "import os\nos.environ['PROBE_SET'] = '1'\ndef use():\n    import probe_lazy._part"
    (package / "__init__.py").write_text(source + ", probe_lazy.public")
    (package / "_part.py").write_text("")
    (package / "public.py").write_text("")
    notebook(tmp_path, "import probe_lazy\nprobe_lazy.use()")
    command = ("execute", "nb.ipynb", "-o", "out.ipynb")
    with warm_server("probe_lazy", path=site) as server:
        server.wait_for_spare()
        assert server.run(*command, cwd=tmp_path).returncode == 0
        expected = ["probe_lazy", "probe_lazy._part", "probe_lazy.public"]
        until(lambda: server.asked(KERNELS).get("loaded") == expected, 60)
        server.wait_for_spare()
        assert "cold start" not in server.run(*command, cwd=tmp_path).stderr
        assert server.asked(KERNELS)["uses"] == 2


def test_a_forgotten_import_fails_though_another_notebook_has_made_it(
    site: Path, tmp_path: Path
) -> None:
    package = site / "probe_parts"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("VALUE = 1")
    notebook(tmp_path, "import probe_parts\nprint(probe_parts.part.VALUE)")
    with warm_server("probe_parts.part", path=site) as server:
        server.wait_for_spare()
        done = server.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path)
        assert done.returncode == 1 and server.asked(KERNELS)["uses"] == 1
        assert "module 'probe_parts' has no attribute 'part'" in done.stderr
        notebook(tmp_path, "import probe_parts.part\nprint(probe_parts.part.VALUE)")
        server.wait_for_spare()
        assert server.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path).returncode == 0


def test_a_variable_that_a_cell_sets_before_a_library_reads_it_counts(
    site: Path, tmp_path: Path
) -> None:
    (site / "__pycache__").mkdir()  # else the cold import would change the folder of packages
    (site / "probe_late.py").write_text("import os\nWORD = os.environ.get('PROBE_LATE', 'none')")
    source = "import os\nos.environ[NAME] = 'mine'\nimport probe_late\nprint(probe_late.WORD)"
    command = ("execute", "nb.ipynb", "-o", "out.ipynb")
    with warm_server("probe_late", path=site) as server:
        server.wait_for_spare()
        notebook(tmp_path, source.replace("NAME", "'PROBE_LATE'"))
        done = server.run(*command, cwd=tmp_path)
        assert "cold start: the notebook sets PROBE_LATE, which libraries have read" in done.stderr
        assert text_of(tmp_path / "out.ipynb") == "mine\n"
        notebook(tmp_path, source.replace("NAME", "'PROBE_' + 'LATE'"))  # cannot be foreseen
        assert server.run(*command, cwd=tmp_path).returncode == 0
        assert server.asked(KERNELS)["uses"] == 1
    told = text_of(tmp_path / "out.ipynb")
    assert "PROBE_LATE was set after the libraries that read it were loaded" in told


def test_a_projects_module_comes_before_a_loaded_library_of_its_name(
    site: Path, tmp_path: Path
) -> None:
    (site / "probe_name.py").write_text("WHO = 'library'")
    (tmp_path / "probe_name.py").write_text("WHO = 'project'")
    notebook(tmp_path, "import probe_name\nprint(probe_name.WHO)")
    with warm_server("probe_name", path=site) as server:
        server.wait_for_spare()
        done = server.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path)
        assert text_of(tmp_path / "out.ipynb") == "project\n"
        assert "cold start: the project has a module `probe_name`" in done.stderr


def test_a_library_that_takes_long_to_load_keeps_nobody_waiting(site: Path, tmp_path: Path) -> None:
    (site / "__pycache__").mkdir()  # else the first import would change the folder of packages
    (site / "probe_slow.py").write_text("import time\ntime.sleep(3)")
    notebook(tmp_path, "import probe_slow")
    with warm_server(path=site) as server:
        assert server.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path).returncode == 0
        answers: list[dict[str, Any]] = []

        def loaded() -> bool:
            answers.append(server.asked(KERNELS))
            return bool(answers[-1].get("loaded") == ["probe_slow"])

        until(loaded, 60)
        server.wait_for_spare()
        assert {} in answers  # nobody was there to ask, so nobody had to wait
        done = server.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path)
        assert done.returncode == 0 and server.asked(KERNELS)["uses"] == 2


def test_a_debugger_steps_over_what_it_steps_over_in_a_cold_kernel(
    warm: Warm, tmp_path: Path
) -> None:
    notebook(tmp_path, "print(*get_ipython().kernel._kernel_modules, sep='\\n')")
    warm.wait_for_spare()
    seen = []
    for environ in (warm.environ, warm.environ | {"MLOPS_NB_WARM": "0"}):
        done = warm.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path, env=environ)
        assert done.returncode == 0, done.stderr
        seen.append(text_of(tmp_path / "out.ipynb"))
    for text in seen:
        assert "ipykernel/kernelbase.py" in text and "site-packages/pandas" not in text


def test_what_notebooks_import_is_loaded_for_the_next_time(own_warm: Warm, tmp_path: Path) -> None:
    notebook(tmp_path, "import colorsys\nimport pandas\nfrom json import dumps")
    assert own_warm.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path).returncode == 0
    until(lambda: "pandas" in (own_warm.status()["zygote"] or {}).get("loaded", ()), 60)


@pytest.mark.parametrize(
    "work", ["time.sleep(60)", "import re\nre.match('(a+)+$', 'a' * 60 + 'b')"]
)
def test_a_killed_terminal_leaves_no_kernel_not_even_one_that_is_busy_in_c(
    warm: Warm, tmp_path: Path, work: str
) -> None:
    child = "import subprocess\nsubprocess.Popen(['sleep', '77.5'])"
    notebook(tmp_path, TELL_PID, child, work)
    process = start(warm, tmp_path)
    kernel = kernel_of(tmp_path)
    until(lambda: kernel.children())
    family = [kernel, *kernel.children()]
    runner = next(psutil.Process(pid) for pid in warm.status()["server"]["commands"])
    process.kill()
    process.wait()
    until(lambda: not any(p.is_running() and p.status() != "zombie" for p in [*family, runner]))


def test_a_killed_runner_takes_its_kernel_with_it(warm: Warm, tmp_path: Path) -> None:
    notebook(tmp_path, TELL_PID, "time.sleep(60)")
    process = start(warm, tmp_path)
    kernel = kernel_of(tmp_path)
    runner = warm.status()["server"]["commands"][0]
    os.kill(runner, signal.SIGKILL)
    assert process.wait(20) == 3 and "was killed" in (
        process.stderr.read() if process.stderr else ""
    )
    until(lambda: not kernel.is_running() or kernel.status() == "zombie")


def test_a_killed_server_disturbs_nothing_that_runs(own_warm: Warm, tmp_path: Path) -> None:
    notebook(tmp_path, TELL_PID, "time.sleep(1.5)", "print('done')")
    process = start(own_warm, tmp_path)
    kernel_of(tmp_path)
    status = own_warm.status()
    os.kill(status["server"]["pid"], signal.SIGKILL)
    assert process.wait(30) == 0 and text_of(tmp_path / "out.ipynb") == "done\n"
    until(lambda: not psutil.pid_exists(status["zygote"]["pid"]))
    again = own_warm.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path)
    assert again.returncode == 0
    until(lambda: own_warm.status()["running"], 60)  # the next one has started it again


def test_ctrl_c_in_the_terminal_interrupts_the_cell(warm: Warm, tmp_path: Path) -> None:
    notebook(tmp_path, TELL_PID, "print('before')\ntime.sleep(60)")
    process = start(warm, tmp_path)
    kernel = kernel_of(tmp_path)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert "before" in text_of(tmp_path / "out.ipynb")
    until(lambda: not kernel.is_running() or kernel.status() == "zombie")


def test_another_user_cannot_connect(warm: Warm) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    status = warm.status()
    script = (
        "import os, socket, sys\nos.setgid(65534); os.setuid(65534)\n"
        "for name in ('run.sock', 'kernels.sock'):\n"
        "    s = socket.socket(socket.AF_UNIX)\n"
        "    try:\n        s.connect(os.path.join(sys.argv[1], name)); print('connected')\n"
        "    except PermissionError:\n        print('refused')\n"
    )
    command = [sys.executable, "-c", script, status["folder"]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["refused", "refused"]
    os.chmod(Path(status["folder"]).parent, 0o711)  # even if the folder were open ...
    os.chmod(status["folder"], 0o777)
    for name in ("run.sock", "kernels.sock"):
        os.chmod(Path(status["folder"], name), 0o777)
    answer = (
        "import os, socket, sys\nsys.path.insert(0, sys.argv[2])\n"
        "from mlops_nb.warm.wire import receive, send\n"  # where nobody else may read it
        "os.setgid(65534); os.setuid(65534)\n"
        "for name in ('run.sock', 'kernels.sock'):\n"
        "    s = socket.socket(socket.AF_UNIX)\n    s.connect(os.path.join(sys.argv[1], name))\n"
        "    try:\n        send(s, {'do': 'status'}); receive(s); print('answered')\n"
        "    except OSError:\n        print('no answer')\n"
    )
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", answer, status["folder"], root]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["no", "answer", "no", "answer"]
    finally:
        os.chmod(status["folder"], 0o700)
        os.chmod(Path(status["folder"]).parent, 0o700)


def test_garbage_at_the_sockets_harms_nobody(warm: Warm) -> None:
    status = warm.wait_for_spare()
    for name in ("run.sock", "kernels.sock"):
        for garbage in (b"", b"x", b"\xff" * 40, b"\0\0\0\2[]", b"\0\0\0\2{}", b"\0\0\0\4true"):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(Path(status["folder"], name)))
                connection.sendall(garbage)
    assert warm.status()["zygote"]["pid"] == status["zygote"]["pid"]


def test_an_idle_server_ends_and_leaves_nothing(tmp_path: Path) -> None:
    with warm_server(idle=15.0) as server:
        status = server.status()
        pids = [status["server"]["pid"], status["zygote"]["pid"]]
        pids += [kernel["pid"] for kernel in status["zygote"]["kernels"]]
        until(lambda: not any(psutil.pid_exists(pid) for pid in pids), 120)
        left = {path.name for path in Path(status["folder"]).iterdir()}
        assert not any(name.startswith("kernel-") for name in left)


JUPYTER = """
import asyncio, json, os, sys, time
from jupyter_client.manager import AsyncKernelManager

async def value(client, code):
    said = []
    def hook(message):
        if message["msg_type"] == "stream":
            said.append(message["content"]["text"])
    await client.execute_interactive(code, output_hook=hook, timeout=30)
    return "".join(said).strip()

async def main():
    manager = AsyncKernelManager(kernel_name="mlops-nb-warm")
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=30)
    first = await value(client, "import os; print(os.getpid())")
    reason = manager.provisioner.cold_reason
    await manager.restart_kernel()
    await client.wait_for_ready(timeout=30)
    second = await value(client, "print(os.getpid() if 'os' in dir() else 'fresh')")
    await client.execute_interactive("import os, signal; os.kill(os.getpid(), 9)", timeout=5)
"""


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """Return a server in whose environment Jupyter knows the warm kernel by name."""
    prefix = tmp_path_factory.mktemp("jupyter")
    install_kernelspec(str(prefix))
    with warm_server(
        "numpy", environ={"JUPYTER_PATH": str(prefix / "share" / "jupyter")}
    ) as server:
        yield server


def test_jupyter_starts_restarts_and_interrupts_warm_kernels(jupyter: Warm) -> None:
    script = JUPYTER.rpartition("    await client.execute_interactive")[0] + (
        "    message = client.execute('import time; time.sleep(60)')\n"
        "    await asyncio.sleep(0.5)\n"
        "    await manager.interrupt_kernel()\n"
        "    reply = await client.get_shell_msg(timeout=20)\n"
        "    client.stop_channels()\n"
        "    await manager.shutdown_kernel()\n"
        "    print(json.dumps([first.isdigit(), reason, second, reply['content']['ename'],\n"
        "                      os.path.exists(f'/proc/{first}')]))\n"
        "asyncio.run(main())\n"
    )
    jupyter.wait_for_spare()
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=jupyter.environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    first, reason, second, interrupted, left = json.loads(done.stdout)
    assert (first, second, interrupted, left) == (True, "fresh", "KeyboardInterrupt", False)
    assert reason == ""


def test_papermill_takes_a_warm_kernel_by_its_name(jupyter: Warm, tmp_path: Path) -> None:
    notebook(tmp_path, "import numpy\nprint(numpy.sum([1, 2]))")
    uses = jupyter.wait_for_spare()["zygote"]["uses"]
    command = [sys.executable, "-m", "papermill", "nb.ipynb", "out.ipynb", "-k", "mlops-nb-warm"]
    done = subprocess.run(
        command, cwd=tmp_path, env=jupyter.environ, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert text_of(tmp_path / "out.ipynb") == "3\n"
    assert jupyter.status()["zygote"]["uses"] == uses + 1


def installed(prefix: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `warm install` in an interpreter whose environment is `prefix`."""
    script = "import sys\nsys.prefix = sys.argv.pop(1)\nfrom mlops_nb.__main__ import main\nmain()"
    command = [sys.executable, "-c", script, str(prefix), "warm", "install"]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)


def test_warm_install_offers_the_kernel_to_jupyter(warm: Warm, tmp_path: Path) -> None:
    done = installed(tmp_path, warm.environ)
    assert done.returncode == 0 and "kernel mlops-nb-warm installed" in done.stdout
    environ = warm.environ | {"JUPYTER_PATH": str(tmp_path / "share" / "jupyter")}
    script = (
        "from jupyter_client.kernelspec import KernelSpecManager as Manager\n"
        "spec = Manager().get_kernel_spec('mlops-nb-warm')\n"
        "print(spec.display_name, spec.metadata['kernel_provisioner']['provisioner_name'])"
    )
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert found.stdout == "Python 3 (warm) mlops-nb-warm\n"


def test_warm_install_where_nobody_may_write_is_one_line(warm: Warm) -> None:
    done = installed(Path(os.devnull), warm.environ)
    assert done.returncode == 2 and done.stderr.startswith("error: /dev/null")
    assert len(done.stderr.splitlines()) <= 2


def test_the_reason_of_a_cold_start_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def start_and_end() -> None:
        manager = AsyncKernelManager(kernel_name="python3", log=logging.getLogger("lab"))
        spec = manager.kernel_spec
        manager.provisioner = WarmProvisioner(kernel_id="1", kernel_spec=spec, parent=manager)
        await manager.start_kernel()
        await manager.shutdown_kernel(now=True)

    with caplog.at_level(logging.INFO, "lab"):
        asyncio.run(start_and_end())
    assert "the kernel starts cold: MLOPS_NB_WARM=0" in caplog.messages


FIFTY = """
import asyncio, json, sys
from jupyter_client.manager import AsyncKernelManager
from mlops_nb.notebook.channel import greet
from mlops_nb.warm.lifeline import tie
from mlops_nb.warm.place import KERNELS, SOCKET, environment_key
from mlops_nb.warm.provisioner import WarmProvisioner
from mlops_nb.warm.state import own_state
from mlops_nb.warm.wire import receive, send

async def one(number):
    manager = AsyncKernelManager(kernel_name="python3")
    spec = manager.kernel_spec
    manager.provisioner = WarmProvisioner(kernel_id=str(number), kernel_spec=spec, parent=manager)
    await manager.start_kernel(env=ENV)
    client = manager.client()
    client.start_channels(stdin=False, hb=False, control=False)
    await greet(client, manager)
    said = []
    await client.execute_interactive(f"print({number})", timeout=60, output_hook=lambda message:
        said.append(message["content"].get("text", "")))
    client.stop_channels()
    await manager.shutdown_kernel(now=True)
    return "".join(said).strip(), manager.provisioner.cold_reason

async def main():
    print(json.dumps(await asyncio.gather(*(one(number) for number in range(50)))))

import os
ENV = {**os.environ, "PYTHONHASHSEED": "0"}
asyncio.run(main())
"""


def test_fifty_kernels_at_once_all_answer(warm: Warm) -> None:
    command = [sys.executable, "-c", FIFTY]
    done = subprocess.run(
        command, env=warm.environ, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert [said for said, _ in answers] == [str(number) for number in range(50)]
    assert {reason for _, reason in answers} == {""}
    until(lambda: all(kernel["spare"] for kernel in warm.status()["zygote"]["kernels"]))
    assert len(warm.status()["zygote"]["kernels"]) <= MOST_SPARE


FORKED = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning.factory import KernelProvisionerFactory

KernelProvisionerFactory.instance().default_provisioner_name = "mlops-nb-warm"

def start():
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    reason = manager.provisioner.cold_reason
    manager.shutdown_kernel(now=True)
    return reason

first = start()
with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
    print([first, pool.submit(start).result()])
"""


def test_a_process_forked_from_one_that_started_a_kernel_starts_its_own(warm: Warm) -> None:
    environ = warm.environ | {"PYTHONHASHSEED": "0"}
    command = [sys.executable, "-c", FORKED]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "['', '']", done.stderr


def test_warm_commands_say_how_things_stand(own_warm: Warm) -> None:
    shown = own_warm.run("warm", "status").stdout
    assert "server" in shown and "spare" in shown and "loaded:" in shown
    status = own_warm.status()
    assert status["server"]["private_bytes"] > 0 and status["zygote"]["proportional_bytes"] > 0
    assert json.loads(own_warm.run("warm", "stop", "--json").stdout) == {"stopped": True}
    until(lambda: not own_warm.status()["running"])
    assert own_warm.run("warm", "stop").stdout == "no warm server was running\n"
    off = own_warm.run("warm", "start", env=own_warm.environ | {"MLOPS_NB_WARM": "0"})
    assert off.returncode == 2 and off.stderr.startswith("error: no warm server: MLOPS_NB_WARM=0")


def test_many_servers_started_at_once_become_one(own_warm: Warm) -> None:
    own_warm.run("warm", "stop")
    until(lambda: not own_warm.status()["running"])
    command = [sys.executable, "-m", "mlops_nb", "warm", "start", "--json"]
    pipe = {"stdout": subprocess.PIPE, "text": True}
    starts = [subprocess.Popen(command, env=own_warm.environ, **pipe) for _ in range(4)]
    found = [json.loads(process.communicate(timeout=120)[0]) for process in starts]
    assert len({status["server"]["pid"] for status in found}) == 1


def test_an_untidy_runtime_folder_means_a_cold_start(own_warm: Warm, tmp_path: Path) -> None:
    folder = Path(own_warm.status()["folder"])
    own_warm.run("warm", "stop")
    until(lambda: not own_warm.status()["running"])
    folder.chmod(0o755)
    notebook(tmp_path, "print('cold')")
    done = own_warm.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path)
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert text_of(tmp_path / "out.ipynb") == "cold\n"
    folder.chmod(0o700)


WAIT = "while not pathlib.Path('go').exists():\n    time.sleep(0.02)\nos._exit(7)"


def test_how_a_kernel_ended_is_told_also_after_the_server_was_stopped(
    own_warm: Warm, tmp_path: Path
) -> None:
    notebook(tmp_path, TELL_PID, WAIT)
    process = start(own_warm, tmp_path)
    kernel_of(tmp_path)
    zygote = psutil.Process(own_warm.status()["zygote"]["pid"])
    assert own_warm.run("warm", "stop").returncode == 0
    assert not own_warm.status()["running"]
    (tmp_path / "go").touch()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3 and "exited with status 7" in said
    until(lambda: not zygote.is_running())


def test_how_a_kernel_ended_is_not_invented(own_warm: Warm, tmp_path: Path) -> None:
    notebook(tmp_path, TELL_PID, WAIT)
    process = start(own_warm, tmp_path)
    kernel_of(tmp_path)
    os.kill(own_warm.status()["zygote"]["pid"], signal.SIGKILL)
    (tmp_path / "go").touch()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3 and "how is not known" in said and "SIGKILL" not in said


def test_a_full_runtime_folder_loses_nobody_their_kernel(own_warm: Warm, tmp_path: Path) -> None:
    Path(own_warm.status()["folder"], "preload.json").mkdir()  # nothing can be noted there
    notebook(tmp_path, "import colorsys, pandas, os\nos._exit(7)")
    done = own_warm.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path)
    assert done.returncode == 3 and "exited with status 7" in done.stderr


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ipython_kernel_config.py", "c.IPKernelApp.exec_lines = ['MARK = 22']"),
        ("ipython_config.py", "c.InteractiveShellApp.exec_lines = ['MARK = 22']"),
        (
            "ipython_kernel_config.json",
            '{"InteractiveShellApp": {"exec_lines": ["MARK = 22"]}}',
        ),
    ],
)
def test_settings_of_ipython_hold_from_when_they_are_written(
    tmp_path: Path, name: str, text: str
) -> None:
    profile = tmp_path / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    notebook(tmp_path, "print(globals().get('MARK'))")
    with warm_server(environ={"IPYTHONDIR": str(profile.parent)}) as server:
        said = []
        for _ in range(3):
            done = server.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path)
            said.append((text_of(tmp_path / "out.ipynb"), f"{name} has changed" in done.stderr))
            server.wait_for_spare()
            if not (profile / name).exists():
                (profile / name).write_text(text)
        assert [value for value, _ in said] == ["None\n", "22\n", "22\n"]
        assert server.status()["zygote"]["uses"] == 2


def test_kernels_that_cannot_start_are_not_forked_for_ever(tmp_path: Path) -> None:
    profile = tmp_path / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    with warm_server(environ={"IPYTHONDIR": str(profile.parent)}) as server:
        (profile / "ipython_kernel_config.py").write_text("raise SystemExit('not today')")
        for kernel in server.status()["zygote"]["kernels"]:
            os.kill(kernel["pid"], signal.SIGKILL)
        until(lambda: server.status()["zygote"]["trouble"])
        shown = server.run("warm", "status").stdout
        assert "starts cold: 3 kernels in a row ended before they were used" in shown
        assert server.status()["zygote"]["kernels"] == []
        assert not list(Path(server.status()["folder"]).glob("kernel-*"))
        assert "SystemExit: not today" in server.log()


def test_a_new_server_removes_what_kernels_left_that_were_killed(own_warm: Warm) -> None:
    folder = Path(own_warm.status()["folder"])
    own_warm.run("warm", "stop")
    left = folder / "kernel-of-the-dead"
    left.mkdir(mode=0o700)
    (left / "socket-1").touch()
    own_warm.start()
    assert not left.exists()


def test_only_a_command_that_starts_a_kernel_starts_a_server(
    own_warm: Warm, tmp_path: Path
) -> None:
    log = Path(own_warm.status()["folder"], "server.log")
    own_warm.run("warm", "stop")
    log.unlink()
    assert own_warm.run("execute", "--help").returncode == 0
    assert own_warm.run("execute", "nothing.ipynb", cwd=tmp_path).returncode == 2
    notebook(tmp_path, "1")
    assert own_warm.run("execute", "nb.ipynb", "--kernel", "none", cwd=tmp_path).returncode == 2
    assert not log.exists()
    assert own_warm.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path).returncode == 0
    assert log.exists()


def test_an_idle_time_that_is_no_number_is_one_line_and_fails_no_notebook(
    own_warm: Warm, tmp_path: Path
) -> None:
    own_warm.run("warm", "stop")
    environ = own_warm.environ | {"MLOPS_NB_WARM_IDLE": "15m"}
    notebook(tmp_path, "1")
    options = {"env": environ, "cwd": tmp_path}
    done = own_warm.run("execute", "nb.ipynb", "-o", "out.ipynb", **options)
    assert done.returncode == 0 and "MLOPS_NB_WARM_IDLE=15m" in done.stderr.splitlines()[-1]
    refused = own_warm.run("warm", "start", **options)
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1
    assert refused.stderr.startswith("error: no warm server: MLOPS_NB_WARM_IDLE=15m is no number")


def test_a_runtime_folder_that_is_not_private_is_one_line(own_warm: Warm) -> None:
    folder = Path(own_warm.status()["folder"])
    own_warm.run("warm", "stop")
    folder.chmod(0o755)
    done = own_warm.run("warm", "start")
    folder.chmod(0o700)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert f"{folder} is not private" in done.stderr


def test_a_server_that_hangs_costs_a_cold_start_and_runs_nothing_later(
    own_warm: Warm, tmp_path: Path
) -> None:
    notebook(tmp_path, "with open('runs', 'a') as file:\n    file.write('once')")
    status = own_warm.status()
    stopped = [status["server"]["pid"], status["zygote"]["pid"]]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        done = own_warm.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert done.returncode == 0 and "cold start: the warm server does not answer" in done.stderr
    until(lambda: not own_warm.status()["server"]["commands"])
    assert own_warm.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path).returncode == 0
    assert (tmp_path / "runs").read_text() == "once" * 2


@pytest.mark.parametrize("off", ["0", "1"])
def test_a_long_folder_of_temporary_files_is_no_hindrance(
    own_warm: Warm, tmp_path: Path, off: str
) -> None:
    long = tmp_path / ("t" * 100)
    long.mkdir()
    notebook(tmp_path, "print('done')")
    environ = own_warm.environ | {"TMPDIR": str(long), "MLOPS_NB_WARM": off}
    done = own_warm.run("execute", "nb.ipynb", "-o", "out.ipynb", cwd=tmp_path, env=environ)
    assert done.returncode == 0, done.stderr
    assert text_of(tmp_path / "out.ipynb") == "done\n"


FULL = "/dev/full"  # each write to it finds a full disk


@pytest.mark.parametrize("off", ["0", "1"])
def test_output_that_cannot_be_written_is_one_line(warm: Warm, tmp_path: Path, off: str) -> None:
    notebook(tmp_path, "1")
    command = [sys.executable, "-m", "mlops_nb", "execute", "nb.ipynb", "--json"]
    environ = warm.environ | {"MLOPS_NB_WARM": off}
    with open(FULL, "w") as full:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environ,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: [Errno 28] No space left on device"
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


HELD = TELL_PID + "\nwhile not pathlib.Path('go').exists():\n    time.sleep(0.02)\nprint('done')"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_next_server_starts_while_a_command_of_the_last_one_runs(
    own_warm: Warm, tmp_path: Path, how: signal.Signals
) -> None:
    notebook(tmp_path, HELD)
    process = start(own_warm, tmp_path)
    kernel_of(tmp_path)
    last = psutil.Process(own_warm.status()["server"]["pid"])
    last.send_signal(how)
    until(lambda: not last.is_running())
    started = own_warm.run("warm", "start", "--json")
    assert started.returncode == 0, started.stderr
    assert json.loads(started.stdout)["server"]["pid"] != last.pid and process.poll() is None
    (tmp_path / "go").touch()
    assert process.wait(60) == 0 and text_of(tmp_path / "out.ipynb") == "done\n"


def test_a_server_is_replaced_when_it_fits_nobody_but_not_for_one_who_is_odd(
    tmp_path: Path,
) -> None:
    notebook(tmp_path, "1")
    with warm_server(environ={"OMP_NUM_THREADS": "1"}) as server:
        first = server.status()["server"]["pid"]

        def refused(threads: str) -> bool:
            environ = server.environ | {"OMP_NUM_THREADS": threads}
            options = {"env": environ, "cwd": tmp_path}
            done = server.run("execute", "nb.ipynb", "-o", "out.ipynb", **options)
            assert done.returncode == 0
            return "cold start: OMP_NUM_THREADS differs" in done.stderr

        assert [refused(threads) for threads in "212"] == [True, False, True]
        until(lambda: server.status()["server"]["uses"] == 1)  # a refusal is of no use to anybody
        assert server.status()["server"]["pid"] == first
        assert refused("2")
        until(lambda: (server.status()["server"] or {"pid": first})["pid"] != first, 60)
        server.wait_for_spare()
        assert not refused("2")


def test_a_server_that_refuses_everybody_ends_when_it_is_idle() -> None:
    with warm_server(idle=4.0, environ={"OMP_NUM_THREADS": "1"}) as server:
        pid = server.status()["server"]["pid"]
        asked = 0
        while psutil.pid_exists(pid) and asked < 600:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asker:
                asker.connect(str(server.folder / SOCKET))
                request = {"do": "run", "argv": [], "since": time.monotonic()}
                send(asker, request | own_state({"OMP_NUM_THREADS": "2"}))
                asked += "refused" in receive(asker)[0]
            time.sleep(0.1)
        assert not psutil.pid_exists(pid) and asked


LATE = """
import asyncio, sys
from jupyter_client.manager import AsyncKernelManager
from mlops_nb.warm import provisioner
provisioner.ADOPTION_SECONDS = 0.1

async def main():
    manager = AsyncKernelManager(kernel_name="mlops-nb-warm")
    await manager.start_kernel()
    print(manager.provisioner.pid, manager.provisioner.cold_reason, flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


def test_a_warm_kernel_that_comes_too_late_ends_and_the_cold_one_dies_with_its_owner(
    jupyter: Warm, short_folder: Path
) -> None:
    folder = short_folder / f"mlops-nb-{environment_key()}"
    folder.mkdir(mode=0o700)
    environ = jupyter.environ | {"XDG_RUNTIME_DIR": str(short_folder)}
    with socket.socket(socket.AF_UNIX) as zygote:
        zygote.bind(str(folder / KERNELS))
        zygote.listen()
        zygote.settimeout(60)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        owner = subprocess.Popen([sys.executable, "-c", LATE], env=environ, **pipes)
        connection, _ = zygote.accept()
        lifeline, *outputs = receive(connection)[1]
        for file in outputs:
            os.close(file)
        send(connection, {"coming": True})
        assert owner.stdout is not None
        pid, _, reason = owner.stdout.readline().partition(" ")
        assert reason == "the warm server: timed out\n"
    late = subprocess.Popen(["sleep", "600"], start_new_session=True)
    tie(lifeline, late.pid)
    assert late.wait(20) == -signal.SIGKILL
    kernel = psutil.Process(int(pid))
    owner.kill()
    owner.communicate()
    until(lambda: not kernel.is_running() or kernel.status() == "zombie")
    os.close(lifeline)


STREAMS = """
import asyncio, json, subprocess, sys
from jupyter_client.manager import AsyncKernelManager

async def said(**streams):
    manager = AsyncKernelManager(kernel_name="mlops-nb-warm")
    await manager.start_kernel(**streams)
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=60)
    await client.execute_interactive("import os; os.write(1, b'out '); os.write(2, b'err ')",
                                     output_hook=lambda message: None, timeout=60)
    client.stop_channels()
    await manager.shutdown_kernel()
    return manager.provisioner.cold_reason

async def main():
    with open("out", "wb") as out, open("err", "wb") as err, open("both", "wb") as both:
        print(json.dumps([
            await said(stdout=out, stderr=err),
            await said(stdout=both.fileno(), stderr=subprocess.STDOUT),
            await said(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL),
            await said(stdout=subprocess.PIPE),
        ]))

asyncio.run(main())
"""


def test_output_outside_of_cells_goes_where_a_cold_kernel_would_write_it(
    jupyter: Warm, tmp_path: Path
) -> None:
    jupyter.wait_for_spare()
    command = [sys.executable, "-c", STREAMS]
    options = {"cwd": tmp_path, "env": jupyter.environ, "timeout": 120}
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["", "", "", "its output goes to a pipe"]
    written = [(tmp_path / name).read_text() for name in ("out", "err", "both")]
    assert ["out " in text for text in written] == [True, False, True]
    assert ["err " in text for text in written] == [False, True, True]
