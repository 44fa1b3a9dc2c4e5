import ast
import sysconfig
import tokenize
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlops_nb.notebook.source import (
    _comments_and_strings,
    _tokenized,
    effective_text,
    read_source,
)


def effect(text: str) -> str:
    return effective_text(read_source(text))


def imported(text: str) -> set[str]:
    tree = read_source(text).tree
    nodes = ast.walk(tree) if tree else ()
    return {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}


@pytest.mark.parametrize(
    "cell",
    [
        "%load_ext x\nimport found",
        "import found\n%matplotlib inline",
        "!echo (\nimport found",
        '!echo """\nimport found',
        "!ls \\\n  it's here\nimport found",
        "files = !ls\nimport found",
        "a, b = %sx ls\nimport found",
        "found?\nimport found",
        "??found\nimport found",
        "if True:\n    !ls\n    import found",
        "try:\n    %cd ..\nexcept OSError:\n    import found",
        "%time import found",
        "%timeit -n 3 -r 2 import found",
        "%%time\nimport found",
        "\n\n%%capture out\n%load_ext x\nimport found",
        "await f()\nimport found",
        "  import found\n  x = 1",
        ">>> import found",
        "import found\r\n%pylab\r\n",
    ],
)
def test_imports_are_found_between_ipythons_lines(cell: str) -> None:
    assert imported(cell) == {"found"}


@pytest.mark.parametrize(
    "cell", ["%%bash\nimport 'it", "def (", "\x00", "%%html\n<a>", "%%writefile"]
)
def test_what_is_no_python_imports_nothing(cell: str) -> None:
    assert imported(cell) == set()
    assert effect(cell) == cell


def test_what_looks_like_ipython_inside_python_is_python() -> None:
    text = 'x = (a\n     % b)\ny = """\n%time import q\n!ls\n"""\n%load_ext z'
    last = "get_ipython().run_line_magic('load_ext', 'z')"
    assert read_source(text).python == text.replace("%load_ext z", last)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1  # one"),
        ("x = 1\ny = 2", "# first\n\nx = 1   \n\n\t\n# then\ny = 2\n\n"),
        ("def f():\n    return 1", "def f():\n    # why\n    return 1\n# end"),
        ("x = f(\n    1,\n)", "x = f(\n    # one\n    1,  # 1\n\n)"),
        ("x = 1\r\ny = 2\r\n", "x = 1\ny = 2\n"),
        ("%load_ext a\nx = 1", "%load_ext a  \n\nx = 1  # one"),
    ],
)
def test_comments_blank_lines_and_trailing_space_have_no_effect(one: str, other: str) -> None:
    assert effect(one) == effect(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = '#1'", "x = '#2'"),
        ('x = """a  \nb"""', 'x = """a\nb"""'),
        ('x = """a\n\nb"""', 'x = """a\nb"""'),
        ("x = f'{a}#1'", "x = f'{a}#2'"),
        ('x = f"""{a}\n# 1\n"""', 'x = f"""{a}\n# 2\n"""'),
        ("if a:\n    b\n    c", "if a:\n    b\nc"),
        ("x = 1 \\\n\n+2", "x = 1 \\\n+2"),
        ("!echo # 1", "!echo # 2"),
        ("%%bash\n# 1", "%%bash\n# 2"),
        ("x = 1;", "x = 1"),
    ],
)
def test_what_differs_in_effect_differs_in_text(one: str, other: str) -> None:
    assert effect(one) != effect(other)


@given(st.text("ab=+ ()\n\t#'\"\\%!?{}f:", max_size=60))
@example("\\\n#")
@example("a=\\\n  # a\n")
def test_any_text_can_be_read_and_its_effective_text_is_stable(text: str) -> None:
    source = read_source(text)
    once = effective_text(source)
    if source.python == source.text:
        assert ast.dump(ast.parse(once)) == ast.dump(ast.parse(text))
        assert effect(once) == once


def test_the_pattern_finds_what_the_tokenizer_finds() -> None:
    library = Path(sysconfig.get_path("stdlib"))
    for file in [*sorted(library.glob("*.py"))[:60], library / "test" / "test_fstring.py"]:
        if file.is_file():
            with tokenize.open(file) as stream:
                text = stream.read()
            assert _comments_and_strings(text) == _tokenized(text), file


@pytest.mark.parametrize(
    "text",
    [
        "f'{d['#1']}'  # a",
        'f"{x["a"]}"  # "',
        "f'''{x['''#''']}'''",
        "x = rf'{a}{{'  # '",
        "x = 'a\\\n# b'  # c",
        'if"#":\n    pass  # "',
        "f'{x:{'#'}}'",
        "f'{\n1  # a\n}'  # b",
    ],
)
def test_where_the_pattern_cannot_tell_the_tokenizer_is_asked(text: str) -> None:
    try:
        expected = _tokenized(text)
        ast.parse(text)
    except (tokenize.TokenError, SyntaxError):
        return  # a later Python's syntax
    assert _comments_and_strings(text) == expected
