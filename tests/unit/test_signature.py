"""A parameters cell is read without executing it, and a line that does not belong is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.errors import NotebookError, SignatureError, UsageError
from mlops_nb.notebook.document import Cell, Document
from mlops_nb.notebook.signature import Signature, read_signature

Reader = Callable[..., Signature]


def test_an_empty_cell_declares_nothing(read: Reader) -> None:
    for source in ("", "\n\n", "# nothing yet\n", '"""A docstring."""', "pass"):
        assert read(source).names == ()


def test_a_notebook_without_a_parameters_cell_is_refused() -> None:
    document = Document(Path("x.ipynb"), (Cell(1, "code", "a = 1", frozenset(), ""),), "", "python")
    with pytest.raises(NotebookError, match="no parameters cell; tag the cell"):
        read_signature(document)


def test_parameters_and_ports_keep_their_order(read: Reader) -> None:
    signature = read(
        "import mlops_nb as nb\nfrom mlops_nb import Out as Output\n"
        "from mlops_nb.notebook.ports import In\nb: int = 1\nsource: In = 'a.csv'\na = 2\n"
        "model: Output = 'm'\nmetrics: nb.Metrics = 'm.json'\n"
        "plots: 'nb.Plots'\n"
    )
    assert signature.names == ("b", "a", "source", "model", "metrics", "plots")
    assert [port.kind for port in signature.ports] == ["in", "out", "metrics", "plots"]
    assert signature.paths("in", "out") == ("a.csv", "m") and signature.ports[3].path is None


@pytest.mark.parametrize(
    ("default", "text", "accepted"),
    [
        ("1", "int | float", True),
        ("0.5", "float", True),
        ("True", "bool", True),
        ("'a'", "str", True),
        ("None", "Any", True),
        ("[1, 2]", "Any", True),
        ("{'a': [1, None]}", "Any", True),
        ("-1", "Any", True),
    ],
)
def test_a_papermill_style_parameter_takes_its_type_from_its_default(
    read: Reader, default: str, text: str, accepted: bool
) -> None:
    (parameter,) = read(f"x = {default}").parameters
    assert parameter.type.text == text and parameter.has_default is accepted


def test_a_comment_is_the_help_wherever_the_value_ends(read: Reader) -> None:
    signature = read(
        "rows: int = 3  # how many rows\n"
        "layers: list[int] = [\n    1,  # inner\n    2,\n]  # sizes\n"
        "name: str = '# not a comment'\nunit: str = 's'  #: seconds\n"
    )
    assert [p.help for p in signature.parameters] == ["how many rows", "sizes", "", ": seconds"]


def test_types_come_from_earlier_cells_also_beside_magics(read: Reader) -> None:
    signature = read(
        "family: Kind = Kind.A\nchoice: Choice = 'x'",
        "%load_ext mlops_nb\nfrom enum import Enum\n!ls",
        "%%time\nfrom typing import Literal\nChoice = Literal['x']",
        "%%bash\nls | wc -l",
        "class Kind(Enum):\n    A = 'a'",
    )
    assert [p.default for p in signature.parameters] == ["a", "x"]


@pytest.mark.parametrize(
    ("default", "depends_on"),
    [
        ("rows // folds", ("folds", "rows")),
        ("f'{rows}-{folds}'", ("folds", "rows")),
        ("[rows] * 2", ("rows",)),
        ("len(features)", ("features",)),
        ("(total := 3)", ()),
        ("Path.home()", ()),
        ("[*range(3)]", ()),
        ("{**{}}", ()),
        ("{1, 2}", ()),
        ("b'x'", ()),
        ("1j", ()),
        ("(-8) ** 0.5", ()),
        ("0 ** -1", ()),
        ("1 / 0", ()),
        ("date(2013, 13, 1)", ()),
        ("date(day=1)", ()),
        ("datetime(2013, 1, 1, tzinfo=timezone.utc)", ()),
        ("float('x')", ()),
        ("{[]: 1}", ()),
        ("lambda: 1", ()),
        ("...", ()),
    ],
)
def test_what_is_no_literal_is_worked_out_in_the_notebook(
    read: Reader, default: str, depends_on: tuple[str, ...]
) -> None:
    signature = read(
        "from datetime import date, datetime\nfrom mlops_nb import In\nfeatures: In = 'f'\n"
        f"rows: int = 10\nfolds: int = 5\n"
        f"x: date | datetime | int | float = {default}\ny = {default}"
    )
    for parameter in signature.parameters[2:]:
        assert not parameter.has_default and not parameter.required
        assert parameter.expression is not None and parameter.depends_on == depends_on


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a, b = 1, 2", "`a, b = (1, 2)` is not a parameter or a port"),
        ("a = b = 1", "is not a parameter"),
        ("a.b = 1", "is not a parameter"),
        ("a.b: int = 1", "is not a parameter"),
        ("x += 1", "is not a parameter"),
        ("(n := 3)", "is not a parameter"),
        ("print('hello')", "is not a parameter"),
        ("if True: a = 1", "is not a parameter"),
        ("def f(): return 1", "is not a parameter"),
        ("for i in range(3): pass", "is not a parameter"),
        ("%matplotlib inline", "is not a plain assignment"),
        ("!ls", "is not a plain assignment"),
        ("a = ", "is not a plain assignment"),
        ("a = 'unfinished", "is not a plain assignment"),
        ("a = '''unfinished", "is not a plain assignment"),
        ("a = 1\x00", "is not a plain assignment"),
        ("seed: int = 2", "`seed` is declared twice"),
        ("seed: In = 'a'", "`seed` is declared twice"),
        ("frame: pandas.DataFrame", "the type `pandas.DataFrame`"),
        ("frame: 'no type'", "the type `no type` cannot be read"),
        ("port: In = features", "the path of port `port` is not a plain string"),
        ("port: In = f'{seed}'", "is not a plain string"),
        ("port: In = ''", "is not a plain string"),
        ("port: In = Path('a')", "is not a plain string"),
        ("token: Secret = 'hunter2'", "`token` holds a secret"),
        ("token: Secret | None = Secret('hunter2')", "`token` holds a secret"),
        ("tokens: dict[str, Secret] = {'a': Secret('hunter2')}", "`tokens` holds a secret"),
    ],
)
def test_a_line_that_does_not_belong_is_named(read: Reader, line: str, said: str) -> None:
    with pytest.raises(SignatureError) as caught:
        read(f"from mlops_nb import In, Secret\nseed: int = 1\n{line}\n")
    error = caught.value
    assert said in str(error) and "hunter2" not in str(error)
    assert len(str(error).splitlines()) == 1 and error.hint and error.exit_code == 2
    assert error.line == 3 or "'''" in line or "\x00" in line


def test_imports_of_any_form_and_classes_may_stand_in_the_cell(read: Reader) -> None:
    signature = read(
        "from __future__ import annotations\nfrom typing import *\nimport os.path as p\n"
        "class Kind:\n    pass\nx: int = 1; y: int = 2"
    )
    assert signature.names == ("x", "y")


def test_a_parameter_may_have_the_name_of_its_type(read: Reader) -> None:
    (parameter,) = read("from datetime import date\ndate: date = date(2013, 1, 1)").parameters
    assert parameter.default == "2013-01-01"


def test_unicode_names_and_values_are_read(read: Reader) -> None:
    (parameter,) = read("größe: str = '🙂'  # ü").parameters
    assert (parameter.name, parameter.default, parameter.help) == ("größe", "🙂", "ü")


def test_the_notebook_is_named_from_the_root(tmp_path: Path) -> None:
    cell = Cell(1, "code", "for i in (): pass", frozenset({"parameters"}), "")
    document = Document(tmp_path / "nbs" / "x.ipynb", (cell,), "", "python")
    with pytest.raises(SignatureError, match=r"^nbs/x.ipynb: parameters cell, line 1"):
        read_signature(document, tmp_path)


@given(st.text(max_size=60) | st.from_regex(r"(x|y)(: (int|str|In))? = .{0,12}", fullmatch=True))
def test_any_cell_is_read_or_refused_in_one_line(read: Reader, source: str) -> None:
    try:
        read(source)
    except UsageError as error:
        assert len(str(error).splitlines()) == 1 and error.hint
