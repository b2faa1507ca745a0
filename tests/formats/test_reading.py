"""The selection of relations and of a number of triplets, from whatever a reader returned."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lass_hf.core.errors import GraphError
from lass_hf.formats.reading import select_triplets
from lass_hf.names.named_triplets import NamedTriplets
from lass_hf.names.source import ReadingOptions, Source, names_table

TRAIN = [("a", "r:1", "b"), ("b", "r:2", "c"), ("a", "r:1", "c"), ("c", "r:3", "d"), ("d", "r:1", "a")]
TEST = [("a", "r:2", "d")]


def named(rows, labels=None):
    columns = [pa.chunked_array([pa.array(column, pa.large_string())]) for column in zip(*rows, strict=True)]
    return NamedTriplets.from_columns(columns, labels)


def rows_of(split):
    return [tuple(row) for row in np.asarray(split.names.to_pylist(), dtype=object)[split.codes]]


@pytest.fixture
def source():
    relations = {
        "id": ["r:1", "r:2", "r:3", "r:4"],
        "name": ["part of", "made of", "made of", "never used"],
        "source_id": ["http://x/1", "http://x/2", "http://x/3", "http://x/4"],
    }
    return Source(
        path=Path("graph.ttl"),
        format="Turtle",
        files=[Path("graph.ttl")],
        splits={"train": named(TRAIN, np.array([1, 0, 1, 1, 0], dtype=np.int8)), "test": named(TEST)},
        entities=names_table({"id": ["a", "b", "c", "d", "alone"], "name": ["A", "B", "C", "D", "Alone"]}),
        relations=names_table(relations),
        dates=pa.chunked_array([pa.array(["2001", "2002", "2003", "2004", "2005"], pa.large_string())]),
    )


def test_without_options_all_triplets_and_entities_stay(source):
    result = select_triplets(source, ReadingOptions())
    assert rows_of(result.splits["train"]) == TRAIN
    assert rows_of(result.splits["test"]) == TEST
    assert result.entities.equals(source.entities)
    assert result.relations["id"].to_pylist() == ["r:1", "r:2", "r:3"]
    assert [(one.what, one.count, one.example) for one in result.left_out] == [
        ("relations without a triplet", 1, "r:4")
    ]


@pytest.mark.parametrize("given", ["r:1", "http://x/1", "part of"])
def test_a_relation_is_selected_by_id_by_its_form_in_the_source_or_by_name(source, given):
    result = select_triplets(source, ReadingOptions(relations=given))
    assert rows_of(result.splits["train"]) == [TRAIN[0], TRAIN[2], TRAIN[4]]
    assert result.splits["train"].labels.tolist() == [1, 1, 0]
    assert result.dates.to_pylist() == ["2001", "2003", "2005"]
    assert result.relations["id"].to_pylist() == ["r:1"]
    assert result.entities.equals(source.entities)  # terms that lack the relation are those to predict it for
    assert "test" not in result.splits
    assert result.notes == ["no triplet of test is left"]
    assert [(one.what, one.count, one.example, one.reason) for one in result.left_out[:1]] == [
        ("triplets of 2 other relations", 3, "b r:2 c", f"relations={given}")
    ]


def test_excluded_relations_are_left_out_of_each_split(source):
    result = select_triplets(source, ReadingOptions(exclude=("r:1", "r:3")))
    assert rows_of(result.splits["train"]) == [TRAIN[1]]
    assert rows_of(result.splits["test"]) == TEST
    assert [(one.what, one.count) for one in result.left_out] == [
        ("triplets of 2 other relations", 4),
        ("relations without a triplet", 1),
    ]


def test_a_limit_counts_the_selected_triplets_and_leaves_their_entities_only(source):
    result = select_triplets(source, ReadingOptions(relations=("r:1", "r:2"), limit=1))
    assert rows_of(result.splits["train"]) == [TRAIN[0]]
    assert rows_of(result.splits["test"]) == TEST
    assert result.entities["id"].to_pylist() == ["a", "b", "d"]
    assert result.dates.to_pylist() == ["2001"]
    beyond = next(one for one in result.left_out if "limit" in one.what)
    assert (beyond.count, beyond.example) == (3, "b r:2 c")
    assert next(one for one in result.left_out if one.what == "entities without a triplet").count == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"relations": "part off"}, r"graph.ttl: relations='part off' is no relation .* did you mean 'part of'\?"),
        (
            {"exclude": "zzz"},
            r"exclude='zzz' is no relation of its triplets; it has 'r:1' \(3\), 'r:2' \(2\), 'r:3' \(1\)$",
        ),
        ({"relations": "r:4"}, "'r:4' is no relation of its triplets"),
        ({"relations": "made of"}, r"'made of' is the name of 2 relations; give an id: 'r:2', 'r:3'"),
        ({"relations": "r:1", "exclude": "part of"}, r"no triplet is left; the options leave out all .* 'r:1' \(3\)"),
    ],
)
def test_a_wrong_selection_says_what_there_is(source, options, message):
    with pytest.raises(GraphError, match=message):
        select_triplets(source, ReadingOptions(**options))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"limit": "5"}, "limit='5'; expected a number"),
        ({"limit": True}, "limit=True; expected a number"),
        ({"relations": None}, "relations=None; expected a name or several"),
        ({"exclude": ["r:1", 7]}, r"exclude=\['r:1', 7\]; expected a name or several"),
        ({"head_column": 0}, "head_column=0; expected a name"),
    ],
)
def test_an_option_of_another_type_is_refused(option, message):
    with pytest.raises(GraphError, match=message):
        ReadingOptions(**option)


def test_a_source_without_triplets_is_an_error(source):
    source.splits = {"train": source.splits["train"].select(slice(0))}
    with pytest.raises(GraphError, match=r"graph\.ttl: no triplet is left; it has none"):
        select_triplets(source, ReadingOptions())
