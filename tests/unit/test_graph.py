from itertools import pairwise
from pathlib import Path

import pytest

from mlops_nb.errors import MissingParameter, PipelineError
from mlops_nb.notebook.document import Document
from mlops_nb.notebook.signature import Port, Signature
from mlops_nb.notebook.stage import Stage
from mlops_nb.pipeline.graph import Edge, downstream, graph, mermaid, run_order


def stage(name: str, reads: tuple = (), writes: tuple = (), **more: str) -> Stage:
    where = f"nbs/pipeline/{name}.ipynb"
    ports = [Port(f"in{i}", "in", path, 1) for i, path in enumerate(reads)]
    ports += [Port(f"out{i}", "out", path, 1) for i, path in enumerate(writes)]
    ports += [Port(kind, kind, path, 1) for kind, path in more.items()]
    return Stage(name, where, Document(Path(where), (), "", ""), Signature(where, (), tuple(ports)))


def test_a_reader_comes_after_the_writer_whatever_the_file_order() -> None:
    edges = graph([stage("b", reads=("x",)), stage("a", writes=("x",))])
    assert edges == (Edge("a", "b", "x"),)
    assert run_order(edges, ["c"]) in [("c", "a", "b"), ("a", "c", "b"), ("a", "b", "c")]


@pytest.mark.parametrize(
    ("read", "written"),
    [("d/x", "d"), ("d", "d/x"), ("./d/x", "d//x"), ("d/", "d"), ("reports/a.ipynb", "z")],
)
def test_a_directory_and_what_is_in_it_belong_together(read: str, written: str) -> None:
    edges = graph([stage("a", writes=(written,)), stage("b", reads=(read,))])
    assert [(edge.producer, edge.consumer) for edge in edges] == [("a", "b")]


def test_metrics_and_plots_are_written_too() -> None:
    edges = graph(
        [stage("a", metrics="m.json", plots="p"), stage("b", reads=("m.json", "p/l.csv"))]
    )
    assert [edge.path for edge in edges] == ["m.json", "p/l.csv"]


def test_similar_names_are_different_files() -> None:
    assert graph([stage("a", writes=("d",)), stage("b", reads=("d.csv", "dd"))]) == ()


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (
            [stage("a", writes=("x",)), stage("b", writes=("x",))],
            "x would be written by `a` and `b`",
        ),
        ([stage("a", writes=("d",)), stage("b", writes=("d/x",))], "d/x and d would be written"),
        ([stage("a", writes=("d",), metrics="d/m")], "written by two ports of `a`"),
        ([stage("a", writes=("plan.json",))], "written by `plan` and `a`"),
        ([stage("a", writes=("reports/b.ipynb",)), stage("b")], "written by `a` and `b`"),
        (
            [stage("a", reads=("d/x",), writes=("d",))],
            "stage `a` reads d/x, which it writes itself",
        ),
        (
            [stage("a", ("z",), ("x",)), stage("b", ("x",), ("y",)), stage("c", ("y",), ("z",))],
            "in a circle: ",
        ),
    ],
)
def test_a_contradiction_is_one_line_that_names_the_stages(stages, message: str) -> None:
    with pytest.raises(PipelineError, match=message) as caught:
        graph(stages)
    assert "\n" not in str(caught.value)


def test_a_circle_is_told_in_the_order_of_the_data() -> None:
    stages = [stage("a", ("z",), ("x",)), stage("b", ("x",), ("y",)), stage("c", ("y",), ("z",))]
    with pytest.raises(PipelineError) as caught:
        graph(stages)
    circle = str(caught.value).split("circle: ")[1].split(";")[0].split(" → ")
    assert circle[0] == circle[-1] and set(pairwise(circle)) == {
        ("a", "b"),
        ("b", "c"),
        ("c", "a"),
    }


def test_a_port_without_a_path_is_missing() -> None:
    with pytest.raises(MissingParameter, match="port `in0` has no value"):
        graph([stage("a", reads=(None,))])


def test_downstream_is_transitive() -> None:
    edges = (Edge("a", "b", "x"), Edge("b", "c", "y"), Edge("d", "c", "z"))
    assert downstream(edges, ["a"]) == {"a", "b", "c"}
    assert downstream(edges, ["d"]) == {"d", "c"}


def test_the_diagram_names_stages_and_paths() -> None:
    drawn = mermaid([stage("a", writes=("x",)), stage("b", reads=("x",))])
    assert drawn == 'flowchart LR\n    a\n    b\n    a -->|"x"| b\n'
