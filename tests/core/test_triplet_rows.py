"""Rows of triplets in every form that people hold them: understood, or refused in one line."""

from collections import namedtuple

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers.tiny import assert_same_graph, make_graph, make_model, make_processor, wordpiece_tokenizer

from lass_hf import KnowledgeGraph, LassPredictor, LassProcessor
from lass_hf.core.errors import GraphError, LassError
from lass_hf.core.vocabulary import triplet_rows

ROWS = [("cat", "eats", "mouse"), ("dog", "is_a", "animal"), ("mouse", "eats", "food")]
NAMES = ("head", "relation", "tail")
DICTS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
TABLE = pd.DataFrame(DICTS)
SHUFFLED = TABLE.assign(weight=0.5).iloc[:, ::-1]
Triplet = namedtuple("Triplet", "subject predicate object")
FORMS = {
    "tuples": lambda: ROWS,
    "lists": lambda: [list(row) for row in ROWS],
    "a generator": lambda: (row for row in ROWS),
    "an array": lambda: np.array(ROWS),
    "an array of objects": lambda: np.array(ROWS, dtype=object),
    "named tuples": lambda: [Triplet(*row) for row in ROWS],
    "dicts": lambda: DICTS,
    "dicts in another order": lambda: [dict(reversed(row.items())) for row in DICTS],
    "a DataFrame": lambda: TABLE,
    "a DataFrame with other columns in another order": lambda: SHUFFLED,
    "values of a DataFrame": TABLE.to_numpy,
    "itertuples": SHUFFLED.itertuples,
    "itertuples without index": lambda: SHUFFLED.itertuples(index=False),
    "records with index": TABLE.to_records,
    "rows of iterrows": lambda: [row for _, row in SHUFFLED.iterrows()],
    "a Dataset": lambda: datasets.Dataset.from_pandas(SHUFFLED),
    "a streaming Dataset": lambda: datasets.Dataset.from_pandas(SHUFFLED).to_iterable_dataset(),
    "an Arrow table": lambda: pa.Table.from_pandas(SHUFFLED),
    "a dict of lists": lambda: SHUFFLED.to_dict("list"),
}


@pytest.fixture(scope="module")
def predictor():
    return LassPredictor(make_model(), make_processor(make_graph()), "float32")


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_rows_gives_the_same_graph_scores_and_sequences(form, predictor):
    assert_same_graph(KnowledgeGraph.from_triplets(form()), KnowledgeGraph.from_triplets(ROWS))
    assert predictor.score(form()).tolist() == predictor.score(ROWS).tolist()
    processor = LassProcessor(wordpiece_tokenizer())
    assert processor(form())["input_ids"].tolist() == processor(ROWS)["input_ids"].tolist()


@pytest.mark.parametrize("labels", [[1, 0, -1], [True, False, False], [1.0, 0.0, -1.0], ["1", "0", "-1"]])
@pytest.mark.parametrize("form", [list, lambda table: table, pd.DataFrame.itertuples, datasets.Dataset.from_pandas])
def test_labels_of_tables_are_read_by_their_name(labels, form):
    rows = TABLE.assign(label=labels)
    if form is list:
        rows = list(rows.itertuples(index=False, name=None))
        form = iter
    assert KnowledgeGraph.from_triplets(form(rows))["train"].labels.tolist() == [1, 0, 0]


REFUSED = {
    "an index before the names": TABLE.rename(columns=dict(zip(NAMES, "hrt", strict=True))).itertuples,
    "a table with other columns": lambda: TABLE.rename(columns={"tail": "object"}),
    "a table without names": lambda: pd.DataFrame(ROWS),
    "splits": lambda: datasets.DatasetDict(train=datasets.Dataset.from_pandas(TABLE)),
    "one dict": lambda: DICTS[0],
    "columns of different lengths": lambda: {"head": ["a"], "relation": ["r"], "tail": ["b", "c"]},
    "one column": lambda: TABLE["head"],
    "one row": lambda: ROWS[0],
    "a string": lambda: "train.tsv",
    "a number": lambda: 3,
    "a number of NumPy": lambda: np.int64(3),
    "sets": lambda: [set(row) for row in ROWS],
    "dicts with other names": lambda: [{"h": "a", "r": "r", "t": "b"}],
    "lines": lambda: ["cat\teats\tmouse"],
    "a missing name": lambda: TABLE.assign(tail=["mouse", None, "food"]),
    "a missing name as a number": lambda: TABLE.assign(tail=["mouse", float("nan"), "food"]),
    "bytes": lambda: [(b"cat", b"eats", b"mouse")],
    "truth values": lambda: [(True, "eats", False)],
    "fractions": lambda: np.array([[1.0, 2.0, 3.0]]),
    "an array of three dimensions": lambda: np.full((2, 3, 2), "a"),
}


@pytest.mark.parametrize("form", REFUSED.values(), ids=REFUSED)
def test_any_other_form_is_refused_in_one_line(form, predictor):
    for use in (
        KnowledgeGraph.from_triplets,
        predictor.score,
        predictor.classify,
        LassProcessor(wordpiece_tokenizer()),
    ):
        with pytest.raises(LassError) as caught:
            use(form())
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300


def test_an_index_that_would_be_the_head_is_told():
    with pytest.raises(LassError, match=r"item 0 is Pandas\(Index=0, h='cat'.*expected itertuples\(index=False\)"):
        triplet_rows(REFUSED["an index before the names"]())


@pytest.mark.parametrize("label", [float("nan"), None, "true", 2, [1]])
def test_a_label_that_is_none_is_named(label):
    with pytest.raises(GraphError, match=r"train: label .* of triplet 1; expected 1 \(true\)"):
        KnowledgeGraph.from_triplets([("a", "r", "b", 1), ("b", "r", "a", label)])


def test_a_split_of_a_graph_is_no_list_of_names(graph):
    with pytest.raises(GraphError, match="train: a split of a graph, which holds integers"):
        KnowledgeGraph.from_triplets(graph["train"])


@pytest.mark.parametrize("names", [NAMES, ("Head", "Relation", "Tail"), ("subject", "predicate", "object")])
def test_the_header_of_a_table_is_no_triplet(names):
    with pytest.raises(GraphError, match=rf"train: triplet 0 is a header \({', '.join(names)}\)"):
        KnowledgeGraph.from_triplets([names, *ROWS])


# Texts


def test_texts_may_be_a_series_whose_index_holds_the_ids():
    texts = pd.Series({"b": "two ", " a": "one"})
    graph = KnowledgeGraph.from_triplets([("a", "r", "b")], entity_text=texts)
    assert (graph.entities.ids, graph.entities.texts) == (["b", "a"], ["two", "one"])


@pytest.mark.parametrize(
    ("texts", "what"),
    [
        (pd.Series(["one", "two"]), "a text is given for 0; expected an id"),
        (pd.DataFrame({"id": ["a", "b"], "text": ["one", "two"]}), "their texts are a DataFrame; expected a dict"),
        (pa.chunked_array([["one", "two"]]), "their texts are a ChunkedArray; expected a dict"),
        ([("a", "one"), ("b", "two")], "their texts are a list; expected a dict"),
        (pd.Series(["one", "two", "three"], index=["a", "b", "a"]), "a second, different text for 'a'"),
        ({"a": "one", "b": float("nan")}, "the text of 'b' is nan; expected a text"),
        ({"a": "one", "b": "\u200b\ufeff"}, r"the text of 'b' is '\\u200b\\ufeff'; expected a text"),
        ({"a": "one", "b": "x\ud800"}, r"the text of 'b', 'x\\ud800', is not valid Unicode"),
    ],
)
def test_other_texts_are_refused(texts, what):
    with pytest.raises(GraphError, match=f"entities: {what}"):
        KnowledgeGraph.from_triplets([("a", "r", "b")], entity_text=texts)


def test_a_text_that_is_not_unicode_is_named_wherever_it_is_given(predictor):
    with pytest.raises(LassError, match=r"its text 'x\\ud800' is not valid Unicode"):
        predictor.score([({"text": "x\ud800"}, "eats", "mouse")])
    with pytest.raises(LassError, match=r"its text 'x\\ud800' is not valid Unicode"):
        LassProcessor(wordpiece_tokenizer())([("cat", "eats", "x\ud800")])


@pytest.mark.parametrize("candidates", [(name for name in ["cat"]), 5, "cat", [], {"text": "cat"}])
def test_candidates_that_are_no_list_are_refused(candidates, predictor):
    with pytest.raises(LassError, match=r"candidates=.*expected a list"):
        predictor.predict(head="cat", relation="eats", candidates=candidates)
