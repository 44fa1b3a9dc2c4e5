import copy
import random
import uuid
from typing import Any

import nbformat
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.notebook.report import WIDGET_STATE, WIDGET_VIEW, canonical, render, unfinished

texts = st.text(alphabet="ab 12\n\r\b<>[]/,.:", max_size=30)
streams = st.fixed_dictionaries(
    {"output_type": st.just("stream"), "name": st.sampled_from(["stdout", "stderr"]), "text": texts}
)
displays = st.builds(
    lambda text: {"output_type": "display_data", "data": {"text/plain": text}, "metadata": {}},
    texts,
)
cells = st.builds(
    lambda source, outputs, tags: {
        "cell_type": "code",
        "source": source,
        "metadata": {"tags": tags},
        "execution_count": 1,
        "outputs": outputs,
    },
    texts,
    st.lists(streams | displays, max_size=6),
    st.sampled_from([[], ["parameters"], ["injected-parameters"]]),
)


def notebook(cells: list[Any], **metadata: Any) -> dict[str, Any]:
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}


def executed(seed: int, auc: str = "0.91") -> dict[str, Any]:
    """Return one of many executions of one notebook; only what is volatile depends on `seed`."""
    draw = random.Random(seed)
    table, shown, inner = (uuid.UUID(int=draw.getrandbits(128)).hex for _ in range(3))
    style, address = f"T_{table[:5]}", f"0x7f{draw.getrandbits(40):010x}"
    text = f"<M at {address}>\n/tmp/ipykernel_{draw.randrange(9999)}/302.py:3: W\nauc {auc}\n"
    cut = draw.randrange(len(text))
    rate = f"2/2 [00:0{draw.randrange(9)}<00:00, {draw.random():.2f}it/s]"
    chunks = [("stdout", text[:cut]), ("stderr", f"\r{rate}"), ("stdout", text[cut:])]
    outputs: list[dict[str, Any]] = [
        {"output_type": "stream", "name": name, "text": chunk} for name, chunk in chunks
    ]
    html = f'<style>#{style}_row0 {{}}</style><table id="{style}"><td id="{style}_row0">{auc}</td>'
    outputs += [
        {"output_type": "display_data", "metadata": {}, "data": {"text/html": html}},
        {"output_type": "display_data", "metadata": {}, "data": {WIDGET_VIEW: {"model_id": shown}}},
    ]
    models = [(shown, {"layout": f"IPY_MODEL_{inner}"}), (inner, {"width": "10px", "value": rate})]
    draw.shuffle(models)
    cell = {
        "id": "author",
        "cell_type": "code",
        "source": ["model, ", "auc"],
        "metadata": {
            "tags": [],
            "execution": {"iopub.status.idle": str(draw.random())},
            "papermill": {"start_time": str(draw.random())},
        },
        "execution_count": 1,
        "outputs": outputs,
    }
    metadata = {
        "papermill": {"start_time": str(draw.random()), "parameters": {"lr": 0.1}},
        "language_info": {"name": "python", "version": f"3.11.{draw.randrange(9)}"},
        "widgets": {WIDGET_STATE: {"state": dict(models)}},
    }
    injected = {"id": table[:8], "cell_type": "code", "source": "lr = 0.1", "execution_count": 2}
    injected |= {"metadata": {"tags": ["injected-parameters"]}, "outputs": []}
    return notebook([injected, cell], **metadata)


@given(st.integers(), st.integers())
def test_the_same_computation_gives_the_same_bytes(one: int, other: int) -> None:
    assert render(canonical(executed(one))) == render(canonical(executed(other)))


@given(st.integers(), st.sampled_from(["0.92", "0.910", "-0.91", "nan"]))
def test_another_result_gives_other_bytes(seed: int, auc: str) -> None:
    assert render(canonical(executed(seed))) != render(canonical(executed(seed, auc)))


@given(st.lists(cells, max_size=4))
def test_the_canonical_form_is_idempotent_and_pure(drawn: list[Any]) -> None:
    node = notebook(drawn)
    before = copy.deepcopy(node)
    once = canonical(node)
    assert node == before
    assert canonical(once) == once == canonical(nbformat.reads(render(once), as_version=4))


@given(st.integers())
def test_a_report_with_tables_and_widgets_is_idempotent_and_valid(seed: int) -> None:
    once = canonical(executed(seed))
    assert canonical(once) == once
    nbformat.validate(nbformat.reads(render(once), as_version=4))


def test_an_authors_ids_stay_and_missing_ones_are_derived() -> None:
    cell = {"cell_type": "markdown", "metadata": {}, "source": "text"}
    node = notebook([cell | {"id": "mine"}, cell | {"id": "mine"}, cell, cell])
    ids = [cell["id"] for cell in canonical(node)["cells"]]
    assert ids[0] == "mine" and len(set(ids)) == 4
    assert ids == [cell["id"] for cell in canonical(node)["cells"]]


def test_a_uuid_in_an_output_is_data() -> None:
    def with_key(key: str) -> dict[str, Any]:
        data = {"text/plain": key, "text/html": f"<td>{key}</td>"}
        output = {"output_type": "display_data", "metadata": {}, "data": data}
        cell = {"cell_type": "code", "metadata": {}, "source": "", "outputs": [output]}
        return notebook([cell | {"execution_count": 1}])

    one, other = (with_key(str(uuid.uuid4())) for _ in range(2))
    assert render(canonical(one)) != render(canonical(other))


def test_half_a_surrogate_pair_can_be_written() -> None:
    cell = {"cell_type": "markdown", "metadata": {}, "source": "\ud83d"}
    assert render(canonical(notebook([cell]))).encode()


def test_an_unfinished_report_says_what_never_ran() -> None:
    drawn = [{"cell_type": "code", "metadata": {}, "source": s, "outputs": []} for s in "abc"]
    node = canonical(notebook([cell | {"execution_count": None} for cell in drawn]))
    ids = [cell["id"] for cell in node["cells"]]
    states = dict(zip(ids, ["ok", "killed:signal", "pending"], strict=True))
    marked = unfinished(node, states, "cell 2: killed by SIGKILL")
    fine, dying, never = marked["cells"]
    assert fine["outputs"] == []
    assert dying["outputs"][0]["ename"] == "KernelKilled"
    assert never["outputs"][0]["text"] == "This cell never ran: cell 2: killed by SIGKILL.\n"
    assert never["metadata"]["mlops_nb"] == {"state": "pending"}
    nbformat.validate(nbformat.from_dict(marked))
