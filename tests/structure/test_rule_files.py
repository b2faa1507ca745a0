"""Rules as a file: what is written is read back, edits are taken over, and errors name file and line."""

import csv
import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.rule_sets import ENTITIES, RELATIONS, make_rules
from hypothesis import given, settings
from hypothesis import strategies as st

from lass_hf import LassError, load_benchmark
from lass_hf.core.vocabulary import Vocabulary
from lass_hf.structure.rule_files import COLUMNS, read_rules, write_rules
from lass_hf.structure.rule_words import reason_in_words, rule_in_words

HEADER = "confidence\thead\tbody"


def same(one, other):
    for field in dataclasses.fields(one):
        mine, yours = getattr(one, field.name), getattr(other, field.name)
        assert (mine.dtype, mine.shape) == (yours.dtype, yours.shape), field.name
        np.testing.assert_array_equal(mine, yours, err_msg=field.name)


def read(tmp_path, *lines):
    file = tmp_path / "rules.tsv"
    file.write_text("\n".join(lines), encoding="utf-8")
    return read_rules(file, ENTITIES, RELATIONS)


# Round trips

IDS = st.text(
    st.one_of(st.sampled_from('xyzw"(),&#\\\t\n\r \u2028\u200b_'), st.characters(exclude_categories=["Cs"])), min_size=1
).filter(lambda name: name.strip())


@st.composite
def rule_sets(draw, num_entities, num_relations):
    """Different rules in the order that a `RuleSet` promises, with any counts and confidences."""
    directed, entity = st.integers(0, 2 * num_relations - 1), st.integers(0, num_entities - 1)
    body = st.lists(directed, min_size=1, max_size=3).map(lambda body: (*body, *[-1] * (3 - len(body))))
    paths = st.tuples(directed, body, st.just(-1), st.just(-1))
    constants = st.tuples(directed, directed.map(lambda one: (one, -1, -1)), entity, entity | st.just(-1))
    rules = draw(st.lists(paths | constants, unique=True, max_size=8))
    rules = [rule for rule in rules if rule[1] != (rule[0], -1, -1) or rule[2] != rule[3]]
    confidences = draw(st.lists(st.floats(1e-9, 1), min_size=len(rules), max_size=len(rules)))
    counts = draw(st.lists(st.integers(0, 2**40), min_size=len(rules), max_size=len(rules)))
    rows = sorted(
        zip(rules, confidences, counts, strict=True), key=lambda row: (row[0][0] % num_relations, row[0][0], -row[1])
    )
    return make_rules(*((*rule, number // 2, number, value, number % 7) for rule, value, number in rows))


@settings(max_examples=25, deadline=None)
@given(data=st.data(), entities=st.lists(IDS, min_size=1, max_size=4, unique=True))
def test_rules_over_any_ids_are_read_back_as_they_were(data, entities, tmp_path_factory):
    relations = data.draw(st.lists(IDS, min_size=1, max_size=4, unique=True))
    names = Vocabulary("entities", entities, entities), Vocabulary("relations", relations, relations)
    rules = data.draw(rule_sets(len(entities), len(relations)))
    file = tmp_path_factory.getbasetemp() / "rules.tsv"
    write_rules(file, rules, *names)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))  # as an editor of Windows does
    same(read_rules(file, *names), rules)


def test_the_file_says_what_the_rules_say(tmp_path):
    rules = make_rules(
        (0, (1, 2 + 3, -1), -1, -1, 8, 10, 0.75, 0),
        (0 + 3, (2, -1, -1), -1, -1, 1, 2, 0.625, 0),
        (1, (0, 4, 2), -1, -1, 2, 4, 0.5, 1),
        (1, (2, -1, -1), 0, -1, 2, 4, 0.25, 2),
        (1 + 3, (2 + 3, -1, -1), 1, 2, 2, 4, 0.125, 3),
    )
    write_rules(tmp_path / "rules.tsv", rules, ENTITIES, RELATIONS)
    rows = [line.split("\t") for line in (tmp_path / "rules.tsv").read_text(encoding="utf-8").splitlines()]
    assert tuple(rows[0]) == COLUMNS
    assert [row[:3] for row in rows[1:]] == [
        ["0.75", "born_in(x, y)", ' "lives in"(x, z) & country(y, z)'],
        ["0.625", "born_in(y, x)", "country(x, y)"],
        ["0.5", ' "lives in"(x, y)', 'born_in(x, z) & "lives in"(w, z) & country(w, y)'],
        ["0.25", ' "lives in"(x, paris)', "country(x, z)"],
        ["0.125", ' "lives in"("x", x)', "country(france, x)"],
    ]
    assert [row[3] for row in rows[1:]] == [
        "X was born in Y if X lives in Z and Y is in the country Z",
        "Y was born in X if X is in the country Y",
        "X lives in Y if X was born in Z and W lives in Z and W is in the country Y",
        "X lives in Paris if X is in the country anything",
        "Mr X lives in X if France is in the country X",
    ]
    assert rows[1][4:] == ["8", "10", "0"]
    same(read_rules(tmp_path / "rules.tsv", ENTITIES, RELATIONS), rules)


def test_a_reason_names_the_entities_that_fulfil_the_body():
    rules = make_rules((0, (1, 2 + 3, -1), -1, -1, 8, 10, 0.75, 0), (1, (2, -1, -1), 0, -1, 2, 4, 0.25, 2))
    path = np.array([1, 2, 0])
    assert (
        reason_in_words(rules, 0, path, ENTITIES, RELATIONS)
        == "Mr X lives in France and Paris is in the country France"
    )
    assert reason_in_words(rules, 1, path[:2], ENTITIES, RELATIONS) == "Mr X is in the country France"
    assert rule_in_words(rules, 1, ENTITIES, RELATIONS) == "X lives in Paris if X is in the country anything"


# Edited files


def test_rules_by_hand_need_three_cells_and_have_any_form(tmp_path):
    found = read(
        tmp_path,
        "# my rules",
        "",
        HEADER + "\tgroup",
        '0.25\tborn_in(x, y)\t"lives in"(x, y)',
        "  ",
        '0.5\tborn_in(x,y)\t"lives in" ( x , w )&country(y, w)\t7',
        "1e-1\tborn_in(y, x)\tcountry(x, y)\t",
        "0.75 \tborn_in( x, paris )\tcountry(x, w)",
    )
    expected = make_rules(
        (0, (2, -1, -1), 0, -1, 0, 0, 0.75, 10),
        (0, (1, 2 + 3, -1), -1, -1, 0, 0, 0.5, 7),
        (0, (1, -1, -1), -1, -1, 0, 0, 0.25, 8),
        (0 + 3, (2, -1, -1), -1, -1, 0, 0, 0.1, 9),
    )
    same(found, expected)


def test_columns_may_be_moved_and_cells_quoted_by_a_spreadsheet(tmp_path):
    found = read(tmp_path, "head\tbody\tconfidence", 'born_in(x, y)\t"""lives in""(x, z) & country(y, z)"\t1\r')
    same(found, make_rules((0, (1, 2 + 3, -1), -1, -1, 0, 0, 1.0, 0)))


@settings(max_examples=15, deadline=None)
@given(data=st.data(), entities=st.lists(IDS, min_size=1, max_size=4, unique=True))
def test_a_spreadsheet_keeps_the_rules(data, entities, tmp_path_factory):
    texts = [f'"{name}' for name in entities]
    relations = data.draw(st.lists(IDS, min_size=1, max_size=4, unique=True))
    names = Vocabulary("entities", entities, texts), Vocabulary("relations", relations, relations)
    rules = data.draw(rule_sets(len(entities), len(relations)))
    file = tmp_path_factory.getbasetemp() / "kept.tsv"
    write_rules(file, rules, *names)
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines, "excel-tab"))
    with file.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines, "excel-tab").writerows(rows)
    same(read_rules(file, *names), rules)


def test_a_support_may_stand_without_a_body_count(tmp_path):
    found = read(tmp_path, HEADER + "\tsupport", "0.5\tborn_in(x, y)\tcountry(x, y)\t5")
    same(found, make_rules((0, (2, -1, -1), -1, -1, 5, 0, 0.5, 0)))
    write_rules(tmp_path / "again.tsv", found, ENTITIES, RELATIONS)
    same(read_rules(tmp_path / "again.tsv", ENTITIES, RELATIONS), found)


def test_a_file_without_rules_has_none(tmp_path):
    same(read(tmp_path, HEADER), make_rules())


def test_the_file_on_the_page_is_read(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "tutorials" / "rules.md"
    block = re.search(r"^```text\n(confidence\t.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[1]
    (tmp_path / "rules.tsv").write_text(block, encoding="utf-8")
    graph = load_benchmark("countries")
    rules = read_rules(tmp_path / "rules.tsv", graph.entities, graph.relations)
    assert [rule_in_words(rules, position, graph.entities, graph.relations) for position in range(2)] == [
        "X is on the continent Y if X has the capital city Z and Z is a city in Y",
        "X uses the currency Euro if X is a member of European Union",
    ]


# Errors


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0.5\tborn_inn(x, y)\tcountry(x, y)", "'born_inn' is not an id or text .* did you mean 'born_in'"),
        ("0.5\tborn_in(x, y)\tcountri(x, y)", "'countri' is not an id or text .* did you mean 'country'"),
        ("0.5\tborn_in(x, pariis)\tcountry(x, y)", "'pariis' is not an id or text .* entities; did you mean 'paris'"),
        ("0\tborn_in(x, y)\tcountry(x, y)", "the confidence is '0'; expected a number above 0 and at most 1"),
        ("1.5\tborn_in(x, y)\tcountry(x, y)", "the confidence is '1.5'"),
        ("nan\tborn_in(x, y)\tcountry(x, y)", "the confidence is 'nan'"),
        ("0,5\tborn_in(x, y)\tcountry(x, y)", "the confidence is '0,5'"),
        ("0.5\tborn_in(x, y)\tcountry(x, z) & country(z, w)", "does not fit the head .* a path from x to y"),
        ("0.5\tborn_in(x, y)\tcountry(x, y) & country(y, x)", "expected a path from x to y"),
        ("0.5\tborn_in(x, y)\tcountry(x, paris) & country(paris, y)", "expected a path from x to y"),
        ("0.5\tborn_in(x, y)\tcountry(x, x)", "expected a path from x to y"),
        ("0.5\tborn_in(x, paris)\tcountry(z, w)", "expected one atom with x and another end"),
        ("0.5\tborn_in(x, paris)\tcountry(x, z) & country(z, w)", "expected one atom with x and another end"),
        ("0.5\tborn_in(x, y)\t" + " & ".join(["country(x, y)"] * 4), "has 4 atoms; expected at most 3"),
        ("0.5\tborn_in(x, y) & country(x, y)\tcountry(x, y)", "the head .* has 2 atoms; expected one"),
        ("0.5\tborn_in(paris, france)\tcountry(x, y)", "expected x and what is asked for, y or an entity"),
        ("0.5\tborn_in(y, z)\tcountry(y, z)", "the head .*; expected x and what is asked for"),
        ("0.5\tborn_in(x, x)\tcountry(x, y)", "expected x and what is asked for, y or an entity"),
        ("0.5\tborn_in(x, y)\tborn_in(x, y)", "is the head itself"),
        ("0.5\tborn_in(x, y)\tcountry(x, y) country(x, y)", r"'country\(x, y\)' in .* is no atom; expected such as"),
        ("0.5\tborn_in(x, y)\tlives in(x, y)", r"'lives in\(x, y\)' .* ids with spaces or punctuation in quotation"),
        ('0.5\tborn_in(x, y)\t"\\x"(x, y)', "is no JSON string"),
        ("0.5\tborn_in(x, y)", "no body; expected confidence, head, body, with tabs between them"),
        ("0.5 born_in(x, y) country(x, y)", "no head"),
        ("0.5\tborn_in(x, y)\tcountry(x, y)\t\t\t\t\t\t", "9 cells; expected at most 7"),
        ("0.5\tborn_in(x, y)\tcountry(x, y)\t\t-1\t", "the support is '-1'; expected an integer of 0 or more"),
        ("0.5\tborn_in(x, y)\tcountry(x, y)\t\t5\t3", "support 5 is more than body_count 3"),
        (f"0.5\tborn_in(x, y)\tcountry(x, y)\t\t\t\t{2**31}", "the group is '2147483648'"),
        ('0.5\tborn_in(x, y)\t"lives in"(x, y)', "the rule of line 2 again; keep one of them"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_line(row, message, tmp_path):
    with pytest.raises(LassError) as caught:
        read(tmp_path, "\t".join(COLUMNS), '0.9\tborn_in(x, z)\t"lives in"(x, z)', row)
    assert str(caught.value).startswith(f"{tmp_path / 'rules.tsv'}, line 3: ")
    assert re.search(message, str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty; expected a header with confidence, head, body"),
        (b"confidence\thead\n", r"line 1: the header is 'confidence\\thead'; expected confidence, head, body"),
        (b"confidence\thead\tbody\tsuport\n", "line 1: the header is"),
        (b"confidence\thead\tbody\tbody\n", "line 1: the header is"),
        (b"#\n0.5\tborn_in(x, y)\tcountry(x, y)\n", "line 2: the header is"),
        (b"confidence\thead\tbody\n\n\xff\n", "line 3: not UTF-8"),
    ],
)
def test_a_file_that_is_none_is_refused(content, message, tmp_path):
    (tmp_path / "rules.tsv").write_bytes(content)
    with pytest.raises(LassError, match=message):
        read_rules(tmp_path / "rules.tsv", ENTITIES, RELATIONS)
    with pytest.raises(LassError, match=r"missing\.tsv: cannot be read \(No such file"):
        read_rules(tmp_path / "missing.tsv", ENTITIES, RELATIONS)
