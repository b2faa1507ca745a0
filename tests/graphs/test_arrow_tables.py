"""A graph as tables: converting it and back gives the same graph, and an error names the table and row at fault."""

import datasets
import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict, Features, Value
from helpers.odd_graph import make_odd_graph
from helpers.tiny import ENTITY_TEXT, assert_same_graph

from lass_hf import KnowledgeGraph
from lass_hf.core.errors import GraphError
from lass_hf.graphs import arrow_tables

STRINGS = dict.fromkeys(("head", "relation", "tail"), Value("string"))


@pytest.fixture(params=["graph", "labeled_graph", "odd"])
def any_graph(request):
    return make_odd_graph() if request.param == "odd" else request.getfixturevalue(request.param)


def shared(tables):
    """Returns the datasets of a graph with the label column in each split, null in a split without labels."""
    features = Features(STRINGS | {"label": Value("int8")})
    triplets = {
        name: table if "label" in table.column_names else table.add_column("label", [None] * len(table)).cast(features)
        for name, table in tables["triplets"].items()
    }
    return tables | {"triplets": DatasetDict(triplets)}


# Tables


def test_datasets_round_trip(any_graph):
    assert_same_graph(KnowledgeGraph.from_datasets(**any_graph.to_datasets()), any_graph)


def test_tables_hold_strings_and_labels(labeled_graph):
    tables = labeled_graph.to_datasets()
    assert set(tables) == {"triplets", "entities", "relations"}
    assert tables["triplets"]["test"][3] == {"head": "garden", "relation": "lives_in", "tail": "cat", "label": 0}
    assert tables["triplets"]["train"].column_names == ["head", "relation", "tail"]
    assert tables["entities"][0] == {"id": "cat", "text": ENTITY_TEXT["cat"]}
    assert tables["relations"][1] == {"id": "eats", "text": "eats"}


def test_features_are_declared(labeled_graph):
    tables = labeled_graph.to_datasets()
    assert tables["triplets"]["train"].features == STRINGS
    assert tables["triplets"]["test"].features == STRINGS | {"label": Value("int8")}
    assert (
        tables["entities"].features == tables["relations"].features == {"id": Value("string"), "text": Value("string")}
    )


def test_splits_of_one_schema_round_trip(labeled_graph):
    tables = shared(labeled_graph.to_datasets())
    assert tables["triplets"]["train"].features == tables["triplets"]["test"].features
    assert_same_graph(KnowledgeGraph.from_datasets(**tables), labeled_graph)


def test_labels_that_are_all_1_are_labels():
    graph = KnowledgeGraph.from_triplets([("a", "r", "b", 1), ("b", "r", "a", 1)])
    again = KnowledgeGraph.from_datasets(**graph.to_datasets())
    assert again["train"].labels.tolist() == graph["train"].labels.tolist() == [1, 1]


@pytest.mark.parametrize("values", [[1, 0, 1], [1, -1, 1], [True, False, True], [1.0, 0.0, 1.0]])
def test_labels_of_other_types_and_minus_1_are_understood(values):
    train = Dataset.from_dict({"head": ["a"] * 3, "relation": ["r"] * 3, "tail": ["b"] * 3, "label": values})
    assert KnowledgeGraph.from_datasets({"train": train})["train"].labels.tolist() == [1, 0, 1]


def test_a_graph_from_tables_of_triplets_alone_takes_ids_as_texts(graph):
    again = KnowledgeGraph.from_datasets(graph.to_datasets()["triplets"])
    assert again.relations.texts[again.relations.index["lives_in"]] == "lives in"


def test_without_vocabularies_names_are_numbered_as_they_are_read(labeled_graph):
    triplets = labeled_graph.to_datasets()["triplets"]
    again = KnowledgeGraph.from_datasets(
        DatasetDict({name: triplets[name] for name in ("test", "train", "validation")})
    )
    rows = [tuple(row[c] for c in STRINGS) for name in ("train", "validation", "test") for row in triplets[name]]
    assert again.entities.ids == list(dict.fromkeys(name for h, _, t in rows for name in (h, t)))
    assert again.relations.ids == list(dict.fromkeys(r for _, r, _ in rows))
    ids, relations = again.entities.ids, again.relations.ids
    every = np.concatenate([split.triplets for split in again.splits.values()])
    assert [(ids[h], relations[r], ids[t]) for h, r, t in every] == rows


def test_one_vocabulary_may_be_given_alone(graph):
    tables = graph.to_datasets()
    again = KnowledgeGraph.from_datasets(tables["triplets"], relations=tables["relations"])
    assert again.relations.texts == graph.relations.texts
    assert again.entities.texts == [name.replace("_", " ") for name in again.entities.ids]


def test_selected_rows_other_columns_and_large_strings_are_read(graph):
    tables = graph.to_datasets()
    train = tables["triplets"]["train"].add_column("weight", list(range(14))).cast_column("head", Value("large_string"))
    again = KnowledgeGraph.from_datasets({"train": train.select([5, 3, 3])}, tables["entities"], tables["relations"])
    assert again["train"].triplets.tolist() == graph["train"].triplets[[5, 3, 3]].tolist()


def test_tables_survive_save_to_disk(any_graph, tmp_path):
    tables = any_graph.to_datasets()
    for name, table in tables.items():
        table.save_to_disk(tmp_path / name)
    assert_same_graph(
        KnowledgeGraph.from_datasets(**{name: datasets.load_from_disk(tmp_path / name) for name in tables}), any_graph
    )


def test_tables_survive_parquet_files(any_graph, tmp_path):
    def through_parquet(name, table):
        table.to_parquet(tmp_path / f"{name}.parquet")
        return Dataset.from_parquet(str(tmp_path / f"{name}.parquet"), cache_dir=str(tmp_path / "cache"))

    tables = any_graph.to_datasets()
    triplets = {name: through_parquet(name, table) for name, table in tables.pop("triplets").items()}
    rest = {name: through_parquet(name, table) for name, table in tables.items()}
    assert_same_graph(KnowledgeGraph.from_datasets(triplets, **rest), any_graph)


def test_strings_of_many_rows_are_in_chunks(any_graph, monkeypatch):
    """An Arrow array of strings holds 2 GB at most, so longer columns need chunks."""
    monkeypatch.setattr(arrow_tables, "BLOCK", 3)
    tables = any_graph.to_datasets()
    assert tables["triplets"]["train"].data["head"].num_chunks == -(-len(any_graph["train"]) // 3)
    assert_same_graph(KnowledgeGraph.from_datasets(**tables), any_graph)


# Bad tables

ROWS = {"head": ["a", "b", "a"], "relation": ["r", "r", "s"], "tail": ["b", "a", "a"]}
ENTITIES, RELATIONS = {"id": ["a", "b"], "text": ["one", "two"]}, {"id": ["r", "s"], "text": ["three", "four"]}
BAD_TABLES = {
    "no relation": ({"relation": None}, {}, {}, "validation: no column 'relation'.*found head, tail"),
    "no id": ({}, {"id": None}, {}, "entities: no column 'id'"),
    "no text": ({}, {}, {"text": None}, "relations: no column 'text'"),
    "numbers for ids": ({"head": [1, 2, 3]}, {}, {}, "validation: column 'head' is int64; expected strings"),
    "numbers for texts": ({}, {"text": [1, 2]}, {}, "entities: column 'text' is int64; expected strings"),
    "a null tail": ({"tail": ["b", None, "a"]}, {}, {}, "validation, row 1: tail is null"),
    "a null id": ({}, {}, {"id": ["r", None]}, "relations, row 1: id is null"),
    "a null text": ({}, {"text": [None, "two"]}, {}, "entities, row 0: text is null"),
    "a blank text": ({}, {"text": ["one", " "]}, {}, "entities, row 1: text is ''"),
    "a blank id": ({}, {"id": ["a", "b", ""], "text": ["x"] * 3}, {}, "entities, row 2: id is ''"),
    "an unlisted head": ({"head": ["a", "c", "d"]}, {}, {}, "validation, row 1: head 'c' has no row.*'entities'"),
    "an unlisted tail": ({"tail": ["b", "a", "d"]}, {}, {}, "validation, row 2: tail 'd' has no row.*'entities'"),
    "an unlisted relation": (
        {"relation": ["q", "r", "r"]},
        {},
        {},
        "validation, row 0: relation 'q' has no row.*'relations'",
    ),
    "an id twice": ({}, {"id": ["b", "a", "a"], "text": ["1", "2", "2"]}, {}, "entities, row 1: 'a' has 2 rows"),
    "a label of 2": ({"label": [1, 0, 2]}, {}, {}, "validation, row 2: label 2; expected 1"),
    "a label in words": ({"label": ["1", "0", "true"]}, {}, {}, "validation, row 2: label 'true'; expected 1"),
    "an id twice with blanks": (
        {},
        {"id": ["b", "a", "\ufeffa "], "text": ["1", "2", "2"]},
        {},
        "row 1: 'a' has 2 rows",
    ),
    "a label of a half": ({"label": [1.0, 0.5, 0.0]}, {}, {}, "validation, row 1: label 0.5"),
    "labels in part": ({"label": [1, None, 0]}, {}, {}, "validation, row 1: label is null"),
}


@pytest.mark.parametrize(("rows", "entities", "relations", "what"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_bad_tables_are_one_line_that_names_table_and_row(rows, entities, relations, what):
    """The fault is in the second of two splits, because rows are counted within a split."""

    def changed(table, changes):
        return Dataset.from_dict({key: values for key, values in (table | changes).items() if values is not None})

    triplets = {"validation": changed(ROWS, rows), "train": Dataset.from_dict(ROWS)}
    with pytest.raises(GraphError, match=what) as caught:
        KnowledgeGraph.from_datasets(triplets, changed(ENTITIES, entities), changed(RELATIONS, relations))
    assert "\n" not in str(caught.value)


def test_an_empty_name_without_vocabulary_is_named():
    with pytest.raises(GraphError, match=r"train, row 2: tail '' is empty"):
        KnowledgeGraph.from_datasets({"train": Dataset.from_dict(ROWS | {"tail": ["b", "a", " "]})})


def test_a_name_in_another_unicode_form_than_in_its_table_is_named_with_both():
    triplets = {"train": Dataset.from_dict({"head": ["cafe\u0301"], "relation": ["r"], "tail": ["b"]})}
    entities = Dataset.from_dict({"id": ["b", "caf\xe9"], "text": ["one", "two"]})
    with pytest.raises(
        GraphError, match=r"head 'cafe\\u0301' has no row in the table 'entities'; 'café' looks the same"
    ):
        KnowledgeGraph.from_datasets(triplets, entities)


@pytest.mark.parametrize("labels", [["1", "0", "-1"], [True, False, False], [1.0, 0.0, -1.0]])
def test_labels_of_tables_may_be_of_other_types(labels):
    graph = KnowledgeGraph.from_datasets({"train": Dataset.from_dict(ROWS | {"label": labels})})
    assert graph["train"].labels.tolist() == [1, 0, 0]


@pytest.mark.parametrize("column", ["head", "id", "text"])
def test_bytes_that_are_not_utf8_are_named_with_their_row(column):
    """Arrow and Parquet do not check the strings of other writers."""
    bad = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(np.array([0, 1, 2], "<i4")), pa.py_buffer(b"a\xff")]
    )
    tables = {
        "entities": pa.table({"id": ["a", "b"], "text": ["one", "two"]}),
        "train": pa.table({"head": ["a", "b"], "relation": ["r", "r"], "tail": ["b", "a"]}),
    }
    name = "train" if column == "head" else "entities"
    tables[name] = tables[name].set_column(tables[name].column_names.index(column), column, bad)
    with pytest.raises(GraphError, match=rf"{name}, row 1: {column} b'\\xff' is not UTF-8"):
        arrow_tables.from_arrow({"train": tables["train"]}, tables["entities"], None)


def test_the_header_of_a_table_is_no_triplet():
    rows = {name: [name, *values] for name, values in ROWS.items()}
    with pytest.raises(GraphError, match=r"train, row 0: a header \(head, relation, tail\)"):
        KnowledgeGraph.from_datasets({"train": Dataset.from_dict(rows)})


def test_an_empty_split_is_named():
    empty = Dataset.from_dict({key: [] for key in STRINGS}, features=Features(STRINGS))
    with pytest.raises(GraphError, match="test: no triplets"):
        KnowledgeGraph.from_datasets({"train": Dataset.from_dict(ROWS), "test": empty})


def test_no_split_at_all_is_an_error():
    with pytest.raises(GraphError, match="no triplets"):
        KnowledgeGraph.from_datasets(DatasetDict())


def test_unknown_split_of_tables_is_named(graph):
    with pytest.raises(GraphError, match="'dev'"):
        KnowledgeGraph.from_datasets({"dev": graph.to_datasets()["triplets"]["train"]})


def test_one_table_instead_of_splits_is_an_error_that_shows_what_to_pass(graph):
    with pytest.raises(GraphError, match=r"a Dataset; expected a DatasetDict, or \{'train': Dataset"):
        KnowledgeGraph.from_datasets(graph.to_datasets()["triplets"]["train"])


def test_a_streaming_table_is_refused(graph):
    with pytest.raises(GraphError, match="train: a IterableDataset"):
        KnowledgeGraph.from_datasets({"train": graph.to_datasets()["triplets"]["train"].to_iterable_dataset()})


def test_two_texts_for_one_id_in_a_table_are_an_error(graph):
    tables = graph.to_datasets()
    tables["entities"] = tables["entities"].add_item({"id": "cat", "text": "another text"})
    with pytest.raises(GraphError, match="'cat'"):
        KnowledgeGraph.from_datasets(**tables)


def test_text_that_is_not_unicode_is_an_error():
    with pytest.raises(GraphError, match=r"entities: .*not valid Unicode"):
        KnowledgeGraph.from_triplets([("a\ud800", "r", "b")]).to_datasets()
