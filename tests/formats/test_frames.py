"""Graphs from pandas and networkx objects."""

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from lass_hf.core.errors import GraphError
from lass_hf.formats.frames import source_of_networkx, source_of_pandas
from lass_hf.names.source import ReadingOptions

FACTS = pd.DataFrame({"head": ["a", "b", "c"], "relation": ["r", "s", "r"], "tail": ["b", "c", "a"]})
ROWS = [("a", "r", "b"), ("b", "s", "c"), ("c", "r", "a")]


def triplets(source, split="train"):
    part = source.splits[split]
    return [tuple(part.names[code].as_py() for code in row) for row in part.codes.tolist()]


def column(source, name):
    return dict(zip(source.entities["id"].to_pylist(), source.entities[name].to_pylist(), strict=True))


def from_pandas(edges, nodes=None, **options):
    return source_of_pandas(edges, nodes, ReadingOptions(**options))


def from_networkx(graph, **options):
    return source_of_networkx(graph, ReadingOptions(**options))


@pytest.mark.parametrize("kind", ["object", "string", "category", "string[pyarrow]"])
def test_columns_of_any_kind_hold_the_same_names(kind):
    assert triplets(from_pandas(FACTS.astype(kind))) == ROWS


def test_missing_values_make_a_row_incomplete_and_a_name_unknown():
    edges = pd.DataFrame({"head": [1, 2, None], "relation": ["r", np.nan, "r"], "tail": [2, 3, 1]})
    nodes = pd.DataFrame({"id": [1, 2], "name": ["one", None], "description": [pd.NA, "two of them"]})
    source = from_pandas(edges, nodes)
    assert triplets(source) == [("1", "r", "2")]
    assert column(source, "name") == {"1": "one", "2": None}
    assert column(source, "description") == {"1": None, "2": "two of them"}
    assert [(part.count, part.example) for part in source.left_out] == [(2, "edges, row 2")]


def test_strings_and_integers_may_stand_in_one_column():
    edges = pd.DataFrame({"head": ["a", 7], "relation": ["r", "r"], "tail": [7, "a"], "weight": [0.5, 1]})
    source = from_pandas(edges)
    assert triplets(source) == [("a", "r", "7"), ("7", "r", "a")]
    assert [part.what for part in source.left_out] == ["values of column weight of edges"]


def test_integers_of_any_size_are_ids():
    large = str(10**30)
    source = from_pandas(pd.DataFrame({"head": [10**30, 7], "relation": ["r", "r"], "tail": [7, 10**30]}))
    assert triplets(source) == [(large, "r", "7"), ("7", "r", large)]


def test_an_attribute_cannot_take_the_place_of_the_ids():
    graph = nx.DiGraph([("a", "b")])
    graph.add_node("a", **{":ID": "b"})
    with pytest.raises(GraphError, match="nodes: an attribute is named ':ID', a name that is taken; rename it"):
        from_networkx(graph)


def test_a_named_index_is_a_column_and_others_are_not():
    nodes = pd.DataFrame({"id": ["a", "b"], "name": ["Ant", "Bee"]}).set_index("id")
    assert column(from_pandas(FACTS.iloc[::-1], nodes), "name") == {"a": "Ant", "b": "Bee"}


def test_options_name_columns_splits_and_dates():
    edges = FACTS.set_axis(["von", "wie", "nach"], axis=1).assign(teil=["train", "test", "train"], tag=[3, 2, 1])
    names = {"head_column": "von", "relation_column": "wie", "tail_column": "nach"}
    source = from_pandas(edges, split_column="teil", date_column="tag", **names)
    assert triplets(source) == [ROWS[0], ROWS[2]]
    assert triplets(source, "test") == [ROWS[1]]
    assert source.dates.to_pylist() == ["3", "1"]


def test_edges_without_relations_are_linked():
    source = from_pandas(FACTS[["head", "tail"]])
    assert triplets(source)[0] == ("a", "linked to", "b")
    assert "relation_column names a column" in source.notes[0]


@pytest.mark.parametrize(
    ("edges", "nodes", "message"),
    [
        ([("a", "r", "b")], None, "edges: a list; expected a pandas DataFrame"),
        (FACTS.set_index(["head", "tail"]), None, r"edges: a MultiIndex for the rows; .*reset_index\(\)"),
        (FACTS.iloc[:0], None, "edges: a DataFrame without rows"),
        (FACTS.set_axis(["head", "head", "tail"], axis=1), None, "two columns are named 'head'"),
        (
            FACTS.set_axis(["x", "y", "z"], axis=1),
            None,
            "edges: heads and tails are in no known columns; name the columns by --head_column",
        ),
        (FACTS.assign(head=["a", 1j, "c"]), None, "1j in column 'head' is a complex; expected strings or integers"),
        (
            FACTS.assign(head=pd.Series(["a", "\ud800", "c"], dtype=object)),
            None,
            "'.ud800' in column 'head' is not valid Unicode",
        ),
        (FACTS, FACTS, "nodes: no column that is known to hold ids; give id_column, one of 'head', 'relation', 'tail'"),
    ],
)
def test_other_objects_are_refused(edges, nodes, message):
    with pytest.raises(GraphError, match=message):
        from_pandas(edges, nodes)


@pytest.mark.parametrize("kind", [nx.DiGraph, nx.MultiDiGraph])
@pytest.mark.parametrize("attribute", ["relation", "type", "label", "predicate"])
def test_an_attribute_of_edges_is_the_relation(kind, attribute):
    graph = kind()
    for head, relation, tail in ROWS:
        graph.add_edge(head, tail, **{attribute: relation, "source": "a book"})
    source = from_networkx(graph)
    assert triplets(source) == ROWS
    assert source.format == f"networkx {kind.__name__}"
    assert [(part.what, part.count) for part in source.left_out] == [("values of column source of edges", 3)]
    assert source.notes == []


def test_keys_of_a_multigraph_are_relations_if_they_are_strings():
    graph = nx.MultiDiGraph([("a", "b", "r"), ("a", "b", "s")])
    assert triplets(from_networkx(graph)) == [("a", "r", "b"), ("a", "s", "b")]
    graph["a"]["b"]["r"]["key"] = "another"
    assert triplets(from_networkx(graph)) == [("a", "r", "b"), ("a", "s", "b")]
    numbered = nx.MultiDiGraph([("a", "b"), ("a", "b")])
    assert triplets(from_networkx(numbered)) == [("a", "linked to", "b")] * 2


def test_attributes_of_nodes_are_their_texts_and_all_nodes_are_entities():
    graph = nx.DiGraph([(1, 2, {"relation": "r"})])
    graph.add_node(1, name="one", description="the first", category="number", place={"x": 1})
    graph.add_node(3, name="three", weight=1.5)
    source = from_networkx(graph)
    assert column(source, "name") == {"1": "one", "2": None, "3": "three"}
    assert column(source, "description")["1"] == "the first"
    assert column(source, "category")["1"] == "number"
    left_out = [part.what for part in source.left_out]
    assert left_out == ["values of column weight of nodes", "nested values of column place of nodes"]


def test_an_undirected_edge_is_read_once():
    graph = nx.Graph([("a", "b", {"relation": "r"}), ("b", "a", {"relation": "r"})])
    source = from_networkx(graph)
    assert triplets(source) == [("a", "r", "b")]
    assert source.notes == ["the graph is undirected: each of its 1 edges is read once, in the order of its ends"]


def test_attributes_are_chosen_by_options():
    graph = nx.DiGraph([("a", "b", {"kind of link": "r", "relation": "s"})])
    graph.add_nodes_from([("a", {"word": "Ant"})])
    source = from_networkx(graph, relation_column="kind of link", name_of="word")
    assert triplets(source) == [("a", "r", "b")]
    assert column(source, "name") == {"a": "Ant", "b": None}


@pytest.mark.parametrize(
    ("graph", "options", "message"),
    [
        ({"a": ["b"]}, {}, "a dict; expected a networkx graph"),
        (nx.DiGraph([(("a", 1), "b")]), {}, r"node \('a', 1\) is a tuple; expected strings or integers: relabel"),
        (nx.DiGraph([(1, "1")]), {}, "nodes 1 and '1' are written the same; relabel one"),
        (nx.DiGraph([(True, "a")]), {}, "node True is a bool"),
        (nx.empty_graph(3), {}, "a networkx graph without edges"),
        (nx.DiGraph([("a", "b")]), {"head_column": "a"}, "head_column means nothing for networkx graphs"),
        (nx.DiGraph([("a", "b")]), {"relation_column": "r"}, "no column 'r' for relation_column"),
    ],
)
def test_graphs_that_cannot_be_read_are_refused(graph, options, message):
    with pytest.raises(GraphError, match=message):
        from_networkx(graph, **options)
