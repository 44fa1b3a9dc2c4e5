"""An untrue list of a foreign suite fails, and so does a suite that ran nothing."""

import filecmp
import importlib.metadata
import importlib.util
from pathlib import Path

import pytest

from tests.conformance import foreign
from tests.conformance.foreign import HERE, PLUGINS, SDISTS, disagreements, pins, reasons

RAN = {"a.py::one": "passed", "a.py::two": "failed", "b.py": "failed"}
LIST = "| test | reason |\n| --- | --- |\n| `a.py::two` | On purpose. |\n| `b.py` | No boat. |\n"
LOCKED = ("papermill", "nbclient")


def test_a_true_list_agrees() -> None:
    assert reasons(LIST) == {"a.py::two": "On purpose.", "b.py": "No boat."}
    assert disagreements(RAN, reasons(LIST)) == []


@pytest.mark.parametrize("outcome", ["failed", "skipped"])
def test_what_did_not_pass_is_to_be_listed(outcome: str) -> None:
    found = disagreements(RAN | {"c.py::three": outcome}, reasons(LIST))
    assert found == [f"c.py::three: {outcome}, and not listed"]


def test_what_is_listed_must_not_pass() -> None:
    found = disagreements(RAN | {"a.py::two": "passed"}, reasons(LIST))
    assert found == ["a.py::two: listed, but it passes"]


def test_what_is_listed_must_have_been_run() -> None:
    found = disagreements({"a.py::one": "passed", "a.py::two": "failed"}, reasons(LIST))
    assert found == ["b.py: listed, but no such test was run"]


@pytest.mark.parametrize("outcomes", [{}, {"a.py": "failed"}, {"a.py::two": "skipped"}])
def test_a_suite_that_ran_nothing_disagrees(outcomes: dict[str, str]) -> None:
    assert disagreements(outcomes, dict.fromkeys(outcomes, "why"))


@pytest.mark.parametrize("name", pins(SDISTS.read_text()))
def test_each_suite_has_a_list_whose_every_row_is_read(name: str) -> None:
    text = (HERE / f"{name}.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert len(reasons(text)) == len(rows)


@pytest.mark.parametrize("name", LOCKED)
def test_a_suite_is_pinned_at_the_installed_version(name: str) -> None:
    assert pins(SDISTS.read_text())[name][0] == importlib.metadata.version(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOCKED)
def test_what_a_suite_tests_is_what_is_installed(tmp_path: Path, name: str) -> None:
    folder = foreign.source(name, tmp_path) / name
    spec = importlib.util.find_spec(name)
    assert spec and spec.origin
    files = [str(path.relative_to(folder)) for path in folder.rglob("*.py")]
    ours = [file for file in files if not file.startswith("tests/")]
    same, _, _ = filecmp.cmpfiles(folder, Path(spec.origin).parent, ours, shallow=False)
    assert sorted(same) == sorted(ours) != []


@pytest.mark.slow
def test_the_worst_of_a_tests_outcomes_counts_and_so_does_a_file_that_breaks(
    tmp_path: Path,
) -> None:
    (tmp_path / "test_a.py").write_text(
        "import pytest, unittest\n"
        "@pytest.fixture\n"
        "def broken():\n    yield\n    1 / 0\n"
        "def test_good(): pass\n"
        "def test_torn_down(broken): pass\n"
        "class TestParts(unittest.TestCase):\n"
        "    def test_parts(self):\n"
        "        with self.subTest(part=0): pass\n"
        "        with self.subTest(part=1): self.skipTest('not today')\n"
    )
    (tmp_path / "test_b.py").write_text("import no_such_module\n")
    outcomes = foreign.run(tmp_path, [], {"PYTHONPATH": str(PLUGINS)})
    assert outcomes == {
        "test_a.py::test_good": "passed",
        "test_a.py::test_torn_down": "failed",
        "test_a.py::TestParts::test_parts part=0": "passed",
        "test_a.py::TestParts::test_parts part=1": "skipped",
        "test_a.py::TestParts::test_parts": "passed",
        "test_b.py": "failed",
    }
