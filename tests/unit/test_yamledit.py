import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_nb.errors import PipelineError
from mlops_nb.pipeline.yamledit import read_yaml, rewrite

words = st.text("abcxyz/.-_é0 '#:", min_size=1, max_size=8)
scalars = st.one_of(words, st.integers(-9, 99), st.booleans(), st.none())
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(words, inner, max_size=4)),
    max_leaves=12,
)
documents = st.dictionaries(words, trees, min_size=1, max_size=4)


def written(value: object, flow: bool | None, offset: bool) -> str:
    """Dump `value` in one of several layouts, with a comment above and behind many lines."""

    class Indented(yaml.SafeDumper):
        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            return super().increase_indent(flow, indentless and not offset)

    text = yaml.dump(
        value, Dumper=Indented, default_flow_style=flow, sort_keys=False, allow_unicode=True
    )
    lines = []
    for number, line in enumerate(text.splitlines()):
        if line.rstrip().endswith(":"):
            indent = line[: len(line) - len(line.lstrip(" "))]
            lines += ["", f"{indent}# above {number}"]
            line += f"  # behind {number}"
        lines.append(line)
    return "\n".join(lines) + "\n# the end\n"


layouts = st.tuples(st.sampled_from([False, None]), st.booleans())


@settings(max_examples=150)
@given(documents, documents, layouts)
def test_the_text_says_what_was_asked_for(old: dict, new: dict, layout: tuple) -> None:
    text = written(old, *layout)
    if yaml.safe_load(text) != old:
        return  # a comment fell into a scalar of several lines
    assert read_yaml(rewrite(text, new), "") == new


@settings(max_examples=100)
@given(documents, layouts)
def test_an_equal_value_changes_no_byte(value: dict, layout: tuple) -> None:
    text = written(value, *layout)
    assert rewrite(text, read_yaml(text, "")) == text


@settings(max_examples=100)
@given(documents, words, st.lists(words, min_size=1, max_size=3), layouts)
def test_adding_and_removing_a_key_gives_the_text_back(
    value: dict, key: str, added: list, layout: tuple
) -> None:
    text = written(value, *layout)
    before = read_yaml(text, "")
    if key in before or text.startswith("{"):
        return
    more = rewrite(text, {**before, key: added})
    assert all(line in more.splitlines() for line in text.splitlines())
    assert rewrite(more, before) == text


TEXT = """\
# top
stages:
  a:
    cmd: |
      first
      # part of the script

    # about deps
    deps:   # eol
    - one   # first
    - two
    # about c
    # more about c

  # about b
  b: {cmd: x, deps: [one, two]}  # flow
  c:
    deps:
    cmd: >-
      folded
      text
# end
"""


def changed(**stages: object) -> dict:
    return {"stages": {**read_yaml(TEXT, "")["stages"], **stages}}


def removed_and_added(old: str, new: str) -> tuple[list[str], list[str]]:
    before, after = old.splitlines(), new.splitlines()
    return [x for x in before if x not in after], [x for x in after if x not in before]


def test_a_new_list_entry_is_the_only_line_that_changes() -> None:
    a = read_yaml(TEXT, "")["stages"]["a"]
    new = rewrite(TEXT, changed(a={**a, "deps": ["one", "two", "three"]}))
    assert removed_and_added(TEXT, new) == ([], ["    - three"])
    assert "- two\n    - three\n    # about c" in new


def test_the_comment_behind_the_last_entry_stays_when_the_entry_goes() -> None:
    a = read_yaml(TEXT, "")["stages"]["a"]
    new = rewrite(TEXT, changed(a={**a, "deps": ["one"]}))
    assert removed_and_added(TEXT, new) == (["    - two"], [])


def test_a_script_with_comments_in_it_is_one_value() -> None:
    a = read_yaml(TEXT, "")["stages"]["a"]
    new = rewrite(TEXT, changed(a={**a, "cmd": "true"}))
    assert "    cmd: 'true'\n\n    # about deps" in new
    assert "part of the script" not in new


def test_a_list_in_brackets_stays_one() -> None:
    new = rewrite(TEXT, changed(b={"cmd": "x", "deps": ["one"]}))
    assert removed_and_added(TEXT, new)[1] == ["  b: {cmd: x, deps: [one]}  # flow"]


def test_an_empty_value_is_filled() -> None:
    c = read_yaml(TEXT, "")["stages"]["c"]
    assert "    deps: [one]\n" in rewrite(TEXT, changed(c={**c, "deps": ["one"]}))


def test_windows_line_ends_stay() -> None:
    text = TEXT.replace("\n", "\r\n")
    new = rewrite(text, changed(d={"cmd": "x"}))
    assert new.count("\n") == new.count("\r\n") and "  d:\r\n    cmd: x\r\n" in new


def test_a_last_line_without_line_feed_is_no_trouble() -> None:
    assert rewrite("a: 1", {"a": 1, "b": [2]}) == "a: 1\nb:\n- 2\n"


def test_an_empty_file_gets_everything() -> None:
    assert rewrite("", {"a": 1}) == "a: 1\n"
    assert rewrite("# mine\n", {"a": 1}) == "# mine\na: 1\n"


def test_what_an_alias_shares_is_not_edited_behind_its_back() -> None:
    text = "a: &shared\n- one\nb: *shared\n"
    with pytest.raises(PipelineError, match="cannot be edited safely"):
        rewrite(text, {"a": ["one"], "b": ["two"]})


def test_merged_keys_may_stand_beside_what_changes() -> None:
    text = "base: &base\n  x: 1\nmore:\n  <<: *base\n  y: 2\n"
    wanted = read_yaml(text, "")
    wanted["more"]["y"] = 3
    new = rewrite(text, wanted)
    assert new == text.replace("y: 2", "y: 3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stages:\n  a: [1\n", "dvc.yaml, line 3: not YAML"),
        ("a: 1\n\tb: 2\n", "dvc.yaml, line 2: not YAML"),
        ("a: 1\nb: 2\na: 3\n", "dvc.yaml, line 3: not YAML .key `a` is given twice"),
        ("a: \x00\n", "dvc.yaml: not YAML"),
    ],
)
def test_what_is_not_yaml_is_named_by_line(text: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message) as caught:
        read_yaml(text, "dvc.yaml")
    assert "\n" not in str(caught.value)
