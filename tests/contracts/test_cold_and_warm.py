"""Cold and warm execution are one thing at two speeds: equal reports, states and surroundings."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import pytest

from mlops_nb.warm.place import KERNELS
from tests.warm import Warm, warm_server

pytestmark = pytest.mark.slow

NOTEBOOKS = {
    "text": ["print('a')\nimport sys\nprint('b', file=sys.stderr)", "{'x', 'y', 'z'}", "object()"],
    "tables": [
        "import pandas as pd\ntable = pd.DataFrame({str(i): range(70) for i in range(30)})\ntable",
        "table.describe()\ntable.style",
        "pd.get_option('display.max_columns'), pd.options.mode.chained_assignment",
    ],
    "figures": [
        "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])",
        "figure, axes = plt.subplots()\naxes.bar(['a', 'b'], [1, 2])\nfigure",
        "import matplotlib\nmatplotlib.get_backend(), plt.rcParams['figure.dpi']",
        "%matplotlib inline\nplt.hist([1, 1, 2]);",
    ],
    "learning": [
        "from sklearn.linear_model import LogisticRegression\n"
        "from sklearn.datasets import make_classification\n"
        "X, y = make_classification(2000, random_state=0)\n"
        "LogisticRegression().fit(X, y).coef_",
        "import numpy as np\nm = np.random.default_rng(0).normal(size=(400, 400))\n"
        "float((m @ m).sum()), [float(v) for v in np.linalg.eigvalsh(m + m.T)[:3]]",
        "from threadpoolctl import threadpool_info\n"
        "sorted((i['user_api'], i['num_threads']) for i in threadpool_info())",
    ],
    "shell": ["!echo hello", "%%bash\necho $0; umask; ulimit -c", "import os\nos.system('true')"],
    "widgets": [
        "import ipywidgets as w\nw.IntSlider(3)",
        "from tqdm.auto import tqdm\nprint(tqdm.__module__)",
        "get_ipython().__class__.__name__",
    ],
    "error": ["1 / 0", "print('never')"],
    "exit": ["import os\nos._exit(7)", "print('never')"],
    "killed": ["import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"],
    "hooks": [
        "import atexit, threading, pathlib\n"
        "atexit.register(lambda: pathlib.Path('left').write_text('by the exit hook'))\n"
        "f = open('open.txt', 'w')\nf.write('flushed at the end')",
    ],
    "multiprocessing": [
        "import multiprocessing as mp\n"
        "with mp.get_context('fork').Pool(2) as pool:\n    numbers = pool.map(abs, [-1, -2])\n"
        "numbers",
        "from joblib import Parallel, delayed\nParallel(2)(delayed(abs)(i) for i in [-1, 2])",
    ],
}
LIBRARIES = (
    "pandas",
    "matplotlib.pyplot",
    "sklearn.linear_model",
    "sklearn.datasets",
    "numpy",
    "threadpoolctl",
    "ipywidgets",
    "tqdm.auto",
    "joblib",
)
SURROUNDINGS = """
import asyncio, gc, json, locale, logging, os, re, resource, signal, sys, tempfile, threading, time
import warnings
def kind(file):
    target = os.readlink(file)
    if not target.startswith("/"):
        return re.sub("[0-9]+", "", target)
    return "folder" if os.path.isdir(target) else re.sub(r"^/(?!dev/).*", "file", target)
mask = os.umask(0); os.umask(mask)
skip = {"JPY_PARENT_PID", "MLOPS_NB_NOTEBOOK", "XDG_RUNTIME_DIR", "MLOPS_NB_WARM", "OLDPWD", "_",
        "PYTHONPATH", "MLOPS_NB_WARM_IDLE", "MLOPS_NB_KERNEL"}
known = {n for n in signal.valid_signals() if callable(signal.getsignal(n))}
json.dump({
    "argv": [os.path.basename(word) for word in sys.argv if "tmp" not in word],
    "cwd": os.getcwd(), "umask": mask, "nice": os.nice(0),
    "environ": {k: v for k, v in os.environ.items() if k not in skip},
    "path": sys.path, "executable": sys.executable, "flags": list(sys.flags), "prefix": sys.prefix,
    "hash": hash("mlops"), "dont_write_bytecode": sys.dont_write_bytecode,
    "signals": {int(n): str(signal.getsignal(n)).split(" at 0x")[0]
                for n in signal.valid_signals()},
    "limits": {n: resource.getrlimit(getattr(resource, n))
               for n in dir(resource) if n.startswith("RLIMIT_")},
    "affinity": sorted(os.sched_getaffinity(0)), "groups": os.getgroups(),
    "session": os.getsid(0) == os.getpid() == os.getpgrp(),
    "threads": sorted({t.name.split("-")[0] for t in threading.enumerate()} - {"Thread"}),
    "descriptors": sorted(kind(file) for file in (f"/proc/self/fd/{n}"
        for n in os.listdir("/proc/self/fd")) if os.path.lexists(file)),
    "files": sorted(t for t in (os.readlink(f"/proc/self/fd/{n}") if
        os.path.lexists(f"/proc/self/fd/{n}") else "" for n in os.listdir("/proc/self/fd"))
        if t.startswith("/") and "/tmp/" not in t and t != os.devnull),
    "locale": locale.setlocale(locale.LC_ALL), "encoding": sys.getfilesystemencoding(),
    "tempdir": tempfile.gettempdir(), "zone": time.tzname, "main": sorted(
        name for name in vars(sys.modules["__main__"]) if not name.startswith("_")),
    "filters": [str(f[:3]) for f in warnings.filters], "gc": [gc.isenabled(), gc.get_threshold()],
    "logging": [str(h).split(" at 0x")[0] for h in logging.getLogger().handlers],
    "hooks": [getattr(h, "__qualname__", str(h)) for h in (sys.excepthook, sys.displayhook)
              if not hasattr(h, "session")],
    "stdin": os.read(0, 1).decode(), "recursion": sys.getrecursionlimit(),
    "projects": sorted(n for n in sys.modules if n.startswith("mlops_nb")),
}, open("surroundings.json", "w"), indent=1, default=str)
"""


IMPORTS = """
import json, os, sys
def seen():
    # what cannot be imported by its name stays in sys.modules, where nobody sees it
    named = {name for name, module in list(sys.modules.items())
             if getattr(getattr(module, "__spec__", None), "name", "") == name}
    bound = {f"{name}.{leaf}" for name in named for leaf, value in vars(sys.modules[name]).items()
             if hasattr(value, "__spec__") and value.__name__ == f"{name}.{leaf}"}
    return named, bound, set(os.environ.items())
first, told = seen(), []
for text in STATEMENTS:
    exec(text, {})
    told.append([text, *(sorted(now - then) for now, then in zip(seen(), first))])
json.dump({"first": sorted(first[0]), "then": told}, open("imports.json", "w"), indent=1)
"""
STATEMENTS = (
    "import xml", "import xml.dom", "import numpy", "import scipy", "import matplotlib",
    "from matplotlib import pyplot", "import pandas", "from pandas.plotting import scatter_matrix",
    "import joblib", "import sklearn", "import scipy.optimize, sklearn.metrics",
    "from sklearn.linear_model import LogisticRegression",
    "import importlib; importlib.import_module('sklearn.datasets')",
    "import ipywidgets", "from tqdm.auto import tqdm", "import pyarrow.parquet",
    "import concurrent.futures", "import sklearn.ensemble",
)  # fmt: skip


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with warm_server(*LIBRARIES) as server:
        yield server


def write_notebook(path: Path, sources: list[str]) -> None:
    cells = [nbformat.v4.new_code_cell(text, id=f"c{i}") for i, text in enumerate(sources)]
    node = nbformat.v4.new_notebook(cells=cells)
    node.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "P"}
    nbformat.write(node, path)


def execute(
    warm: Warm, folder: Path, *, cold: bool, **options: object
) -> subprocess.CompletedProcess[str]:
    environ = warm.environ | ({"MLOPS_NB_WARM": "0"} if cold else {})
    report = "cold.ipynb" if cold else "warm.ipynb"
    arguments = ("execute", "nb.ipynb", "-o", report)
    uses = warm.status()["zygote"]["uses"]
    done = warm.run(*arguments, env=environ, cwd=folder, **options)
    used = warm.status()["zygote"]["uses"] - uses
    assert used == (0 if cold else 1), done.stderr + warm.log()
    if not cold:
        warm.wait_for_spare()
    return done


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_cold_and_warm_give_equal_reports_and_exit_codes(
    warm: Warm, tmp_path: Path, name: str
) -> None:
    write_notebook(tmp_path / "nb.ipynb", NOTEBOOKS[name])
    cold = execute(warm, tmp_path, cold=True)
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir() if "ipynb" not in path.name}
    hot = execute(warm, tmp_path, cold=False)
    assert (cold.returncode, hot.returncode) in {(0, 0), (1, 1), (3, 3)}
    assert (tmp_path / "warm.ipynb").read_text() == (tmp_path / "cold.ipynb").read_text()
    for file, content in left.items():
        assert (tmp_path / file).read_bytes() == content


def test_an_import_makes_visible_what_it_would_in_a_cold_kernel(tmp_path: Path) -> None:
    """Of all that is loaded, a notebook sees what it has imported, and nothing else."""
    write_notebook(tmp_path / "nb.ipynb", [f"STATEMENTS = {STATEMENTS!r}\n{IMPORTS}"])
    found = []
    with warm_server(*LIBRARIES, "xml.dom.minidom", "pyarrow.parquet", "sklearn.ensemble") as warm:
        for cold in (True, False):
            done = execute(warm, tmp_path, cold=cold)
            assert done.returncode == 0, done.stderr
            found.append(json.loads((tmp_path / "imports.json").read_text()))
    assert set(found[1]["first"]) - set(found[0]["first"]) == set()
    assert set(found[0]["first"]) - set(found[1]["first"]) == set()
    for (text, *mine), (_, *theirs) in zip(found[1]["then"], found[0]["then"], strict=True):
        for ours, colds in zip(mine, theirs, strict=True):
            assert [one for one in ours if one not in colds] == [], text
            assert [one for one in colds if one not in ours] == [], text


def odd_shell() -> None:
    os.umask(0o027)
    os.nice(3)
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, 800))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def surroundings(warm: Warm, folder: Path, **own: str) -> dict[str, Any]:
    """Execute a notebook with `own` variables in an odd shell; return what its kernel found."""
    command = [sys.executable, "-m", "mlops_nb", "execute", "nb.ipynb", "-o", "out.ipynb"]
    given = {"env": warm.environ | own, "cwd": folder, "preexec_fn": odd_shell}
    subprocess.run(command, check=True, timeout=120, **given)
    found: dict[str, Any] = json.loads((folder / "surroundings.json").read_text())
    return found


def assert_alike(cold: dict[str, Any], warm: dict[str, Any]) -> None:
    """Assert that two kernels have found the same; the warm one holds its folder beside it."""
    for name in cold["environ"].keys() | warm["environ"].keys():
        assert cold["environ"].get(name) == warm["environ"].get(name), name
    files = [Counter(found.pop("descriptors")) for found in (cold, warm)]
    assert files[1] - files[0] == Counter(folder=1)
    differing = [key for key in cold if cold[key] != warm[key]]
    assert {key: cold[key] for key in differing} == {key: warm[key] for key in differing}


def test_a_warm_kernel_has_the_surroundings_of_a_cold_one(warm: Warm, tmp_path: Path) -> None:
    write_notebook(tmp_path / "nb.ipynb", [SURROUNDINGS])
    own = {"TZ": "Asia/Tokyo", "MARK": "mine", "TMPDIR": str(tmp_path), "COLUMNS": "77"}
    cold = surroundings(warm, tmp_path, **own, MLOPS_NB_WARM="0")
    uses = warm.wait_for_spare()["zygote"]["uses"]
    hot = surroundings(warm, tmp_path, **own)
    assert warm.wait_for_spare()["zygote"]["uses"] == uses + 1
    assert_alike(cold, hot)
    assert cold["umask"] == 0o027 and cold["environ"]["MARK"] == "mine"
    assert cold["projects"] == []


def test_a_kernel_that_is_forked_while_its_asker_waits_has_nothing_of_the_asker(
    warm: Warm, tmp_path: Path
) -> None:
    write_notebook(tmp_path / "nb.ipynb", [SURROUNDINGS])
    cold = surroundings(warm, tmp_path, MLOPS_NB_WARM="0")
    status = warm.wait_for_spare()["zygote"]
    os.kill(status["pid"], signal.SIGSTOP)
    try:
        for kernel in status["kernels"]:
            os.kill(kernel["pid"], signal.SIGKILL)
        with ThreadPoolExecutor() as pool:
            hot = pool.submit(surroundings, warm, tmp_path)
            while askers(warm.folder / KERNELS) == 0 and not hot.done():
                time.sleep(0.01)
            os.kill(status["pid"], signal.SIGCONT)
            found = hot.result()
    finally:
        os.kill(status["pid"], signal.SIGCONT)
    assert warm.wait_for_spare()["zygote"]["uses"] == status["uses"] + 1
    assert_alike(cold, found)


def askers(path: Path) -> int:
    """Return how many wait for an answer, or have one, at the listening socket `path`."""
    return Path("/proc/net/unix").read_text().count(f" {path}\n") - 1
