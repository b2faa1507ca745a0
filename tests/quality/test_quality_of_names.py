"""What is odd about ids and texts: each fault alone, and names that are not odd."""

import pyarrow as pa
import pytest
from helpers.clean_graph import NAMES, parts, with_entities, with_rows
from helpers.properties import for_all
from hypothesis import strategies as st

from lass_hf import KnowledgeGraph
from lass_hf.core.vocabulary import escaped
from lass_hf.names.name_forms import find_same_forms, loose_forms
from lass_hf.quality.faults import find_faults


def found(graph):
    return {one.kind: (one.severity, one.count) for one in find_faults(graph)}


def example(graph, kind):
    return {one.kind: one.example for one in find_faults(graph)}[kind]


def with_text(text, **more):
    return with_entities({"some_id": text, **more})


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *[(text, "missing_values") for text in ("nan", "None", "NULL", "N/A", "[]")],
        *[(text, "values") for text in ("1997", "-3.5", "1,000,000", "2.5e-3", "12 %", "2024-01-31", "31.12.2024")],
        *[(text, "values") for text in ("2024-01-31T12:00:00Z", "1/2/2024")],
        *[
            (text, "texts_like_ids")
            for text in ("http://example.org/a#b", "Q42", "GO:0008150", "n02084071", "C0000001")
        ],
        *[(text, "texts_like_ids") for text in ("d41d8cd98f00b204", "123e4567-e89b-12d3-a456-426614174000")],
        *[(text, "short_texts") for text in ("x", "?!", "(B)", "→", "7?")],
        *[(text, "quoted_texts") for text in ('"a name, in quotes"', '"one ""doubled"" within"')],
        *[(text, "markup") for text in ("a <b>bold</b> name", "this &amp; that", "see [[Other]]", "[a](http://b.c)")],
        *[
            (text, "damaged_texts")
            for text in ("caf\xc3\xa9 in town", "a\ufffdb", "FK Radni\\u010Dki", "it\xe2\u20acs", "a bell \x07 rings")
        ],
    ],
)
def test_an_odd_text_is_one_doubtful_finding(text, kind):
    faults = found(with_text(text))
    faults.pop("doubled_quotes", None)  # beside quotes around them
    assert faults == {kind: ("doubtful", 1)}
    assert "(some_id)" in example(with_text(text), kind)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "cat",
            "猫",
            "Boeing 747",
            "Windows 95",
            "U2",
            "50/50",
            "50 Cent",
            "year 1997",
            "B-52s",
            "Apollo 11",
            "C-SPAN 2",
        ),
        *(
            "5 < 6 and 7 > 3",
            "AT&T; a company",
            "Nullarbor",
            "none of these",
            'the "big" one',
            '"A" and "B"',
            "naïve Ã",
        ),
        *("Ελλάδα", "한국", "עברית", "🐈 cat", "x" * 2000, "it's", "a/b testing", "https", "see: 12"),
    ],
)
def test_a_text_that_only_resembles_an_odd_one_is_none(text):
    assert found(with_text(text)) == {}


def test_doubled_quotation_marks_inside_of_a_text():
    assert found(with_text('the ""big"" one')) == {"doubled_quotes": ("doubtful", 1)}


def test_a_long_text_is_a_fact():
    assert found(with_text("long\n" * 401)) == {"long_texts": ("fact", 1)}


def test_entities_without_a_text_cost_most_when_most_have_none():
    clean = parts()
    few = with_entities({"rose_quartz": "rose quartz"})
    assert found(few) == {"entities_without_a_text": ("fact", 1)}
    assert example(few, "entities_without_a_text") == "rose_quartz"
    assert found(KnowledgeGraph.from_triplets(clean["train"], relation_text=clean["relation_text"])) == {
        "entities_without_a_text": ("doubtful", len(NAMES))
    }


def test_an_id_that_is_a_code_is_no_text():
    assert found(with_entities({"/m/06rf7": "m 06rf7"})) == {
        "texts_like_ids": ("doubtful", 1),
        "entities_without_a_text": ("fact", 1),
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("caf\xe9", "cafe\u0301"),
        ("New York", "New\xa0York"),
        ("a\u200bb", "ab"),
        ("heart \u2764", "heart \u2764\ufe0f"),
    ],
)
def test_ids_that_look_the_same_make_results_wrong(one, other):
    graph = with_entities({one: "one, a thing to see", other: "other, a thing to hear"})
    assert found(graph) == {"entities_looking_alike": ("wrong", 2)}
    assert example(graph, "entities_looking_alike") == f"{escaped(one)} and {escaped(other)}"


@pytest.mark.parametrize(("one", "other"), [("New York", "new york"), ("New_York", "New  York"), ("ÉTÉ", "été")])
def test_ids_that_differ_in_case_and_spaces_may_be_the_same(one, other):
    texts = {one: f"{one}, a thing of stone", other: f"{other}, a thing of stone"}
    assert found(with_entities(texts)) == {"entities_almost_alike": ("doubtful", 2)}


def test_ids_in_another_case_are_different_if_their_texts_are():
    assert found(with_entities({"aX": "the first thing", "Ax": "the second thing"})) == {}


def test_relations_are_looked_at_too():
    rows = [(a, relation, b) for relation in ("part of", "Part_of") for a, b in zip(NAMES[:2], NAMES[6:8], strict=True)]
    graph = with_rows("train", *rows[:3], *rows[3:], relations={"part of": "part of", "Part_of": "part of"})
    kinds = found(graph)
    assert kinds["relations_almost_alike"] == ("doubtful", 2)
    assert kinds["relations_sharing_a_text"] == ("doubtful", 2)


def test_relations_that_are_codes():
    rows = [("copper", "P361", "hematite"), ("diamond", "P361", "iron")]
    assert found(with_rows("train", *rows, relations={"P361": "P361"})) == {"relation_texts_like_ids": ("doubtful", 1)}


def test_texts_that_are_the_same_and_texts_that_nearly_are():
    same = with_entities({"i": "Washington County", "j": "Washington County", "k": "Washington County"})
    assert found(same) == {"entities_sharing_a_text": ("doubtful", 3)}
    assert example(same, "entities_sharing_a_text") == "Washington County, the text of 3 (i, j, k)"
    nearly = with_entities({"i": "Secretary of State", "j": "secretary  of state", "k": "Secretary\xa0of State"})
    assert found(nearly) == {"entities_with_similar_texts": ("doubtful", 3)}


def test_the_texts_of_entities_in_no_triplet_are_not_looked_at():
    clean = parts()
    clean["entity_text"] |= {"unused": "nan", "unused too": "nan"}
    assert found(KnowledgeGraph.from_triplets(**clean)) == {"entities_in_no_triplet": ("fact", 2)}


def test_quotation_marks_around_ids_are_wrong_beside_the_same_ids_without():
    assert found(with_entities({'"quoted id"': "a thing with a name"})) == {"quoted_entities": ("doubtful", 1)}
    graph = with_entities({'"other"': "a name", '"amber"': "another name"})
    assert found(graph) == {"quoted_entities": ("wrong", 2)}
    assert example(graph, "quoted_entities") == '"amber" beside amber'
    graph = with_entities({'"say ""hi"""': "a greeting of one kind", 'say "hi"': "another greeting"})
    assert found(graph)["quoted_entities"] == ("wrong", 1)
    assert example(graph, "quoted_entities") == '"say ""hi""" beside say "hi"'


def test_the_header_of_a_file_of_texts():
    clean = parts()
    clean["entity_text"] = {"id": "name", **clean["entity_text"]}
    assert found(KnowledgeGraph.from_triplets(**clean)) == {
        "header_of_entities": ("doubtful", 1),
        "entities_in_no_triplet": ("fact", 1),
    }


def test_names_that_share_a_form_are_counted_as_by_a_plain_loop(request):
    letters = st.text("aAé_ \xa0\u200b\u0301e", min_size=1, max_size=4)

    @for_all(request, 40, names=st.lists(letters, min_size=2, max_size=12))
    def check(names):
        strings = pa.array(names, pa.large_string())
        forms = loose_forms(strings)
        mask, pair = find_same_forms(strings, forms)
        by_form = {}
        for name, form in zip(names, forms.to_pylist(), strict=True):
            by_form.setdefault(form, set()).add(name)
        expected = [len(by_form[form]) > 1 for form in forms.to_pylist()]
        assert mask.tolist() == expected
        assert bool(pair) == any(expected)
        if pair:
            one, other = pair
            assert names[one] != names[other]
            assert forms[one] == forms[other]
        return True
