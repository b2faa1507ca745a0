"""The readers of this package read what its writers wrote: a file of predictions is a graph, too."""

import pytest
from helpers.judged import METADATA, small_table
from helpers.tiny import one_line

from lass_hf.core.errors import GraphError
from lass_hf.formats.reading import read_source
from lass_hf.names.own_headers import JUDGED_COLUMNS
from lass_hf.writers.judged_triplets import judged_schema
from lass_hf.writers.writing import write_judged_triplets


def triplets_of(file):
    source = read_source(file)
    triplets = source.splits["train"]
    names = triplets.names.to_pylist()
    rows = {tuple(names[code] for code in row) for row in triplets.codes.tolist()}
    return rows, triplets.labels, {row["id"]: row["name"] for row in source.entities.to_pylist()}


@pytest.mark.parametrize("format", ["tsv", "csv", "jsonl", "parquet", "kgx"])
def test_a_table_is_read_with_texts_and_labels(format, tmp_path):
    file = tmp_path / f"rows.{'kgx.tsv' if format == 'kgx' else format}"
    write_judged_triplets(small_table(relation=["biolink:eats"] * 2), file, METADATA)
    rows, labels, names = triplets_of(file)
    assert rows == {("cat", "biolink:eats", "mouse"), ("dog", "biolink:eats", "animal")}
    assert labels.tolist() == [1, 0]
    assert names["cat"] == "cat, a small animal"


@pytest.mark.parametrize("format", ["tsv", "csv", "jsonl", "parquet", "kgx"])
def test_ids_that_no_cell_holds_as_they_are_come_back(format, tmp_path):
    file = tmp_path / f"rows.{'kgx.tsv' if format == 'kgx' else format}"
    ids = {"head": ["@alice", '"quoted" id'], "relation": ["biolink:eats"] * 2, "tail": ["-1", "a\\x41"]}
    write_judged_triplets(small_table(**ids, head_text=["+49", ""]), file, METADATA)
    rows, labels, names = triplets_of(file)
    assert rows == {("@alice", "biolink:eats", "-1"), ('"quoted" id', "biolink:eats", "a\\x41")}
    assert labels.tolist() == [1, 0]
    assert names["@alice"] == "+49"


@pytest.mark.parametrize("ending", ["tsv", "csv", "jsonl", "parquet", "kgx.tsv", "sssom.tsv"])
def test_predictions_without_a_label_are_no_facts(ending, tmp_path):
    table = small_table(label=[None, None], relation=["skos:exactMatch"] * 2)
    write_judged_triplets(table, tmp_path / f"rows.{ending}", METADATA)
    with pytest.raises(GraphError) as error:
        read_source(tmp_path / f"rows.{ending}")
    one_line(error, f"rows.{ending}", "label is empty in all rows", "true or false")


def test_a_label_column_of_others_may_be_empty(tmp_path):
    (tmp_path / "graph.tsv").write_text("source\ttarget\tlabel\na\tb\t\nb\tc\t\n", encoding="utf-8")
    assert len(triplets_of(tmp_path / "graph.tsv")[0]) == 2


def test_texts_of_sssom_come_back(tmp_path):
    table = small_table(relation=["skos:exactMatch"] * 2, head_text=["@alice", ""])
    write_judged_triplets(table, tmp_path / "rows.sssom.tsv", METADATA)
    assert triplets_of(tmp_path / "rows.sssom.tsv")[2]["lass.entity:cat"] == "@alice"


def test_cells_of_other_tables_are_texts_as_they_are(tmp_path):
    (tmp_path / "graph.tsv").write_text("head\trelation\ttail\n'@alice\tknows\t\\x41\n", encoding="utf-8")
    assert triplets_of(tmp_path / "graph.tsv")[0] == {("'@alice", "knows", "\\x41")}


def test_the_columns_that_readers_know_are_those_of_the_schema():
    assert list(JUDGED_COLUMNS) == judged_schema().names


@pytest.mark.parametrize(("format", "ending"), [("turtle", "ttl"), ("ntriples-1.2", "nt"), ("nquads-1.2", "nq")])
def test_rdf_is_read_as_the_accepted_triplets(format, ending, tmp_path):
    pytest.importorskip("pyoxigraph")
    table = small_table(head=["http://e.org/cat", "http://e.org/dog"], relation=["skos:exactMatch"] * 2)
    write_judged_triplets(table, tmp_path / f"rows.{ending}", METADATA, format)
    rows, _, _ = triplets_of(tmp_path / f"rows.{ending}")
    assert rows == {("http://e.org/cat", "skos:exactMatch", "urn:lass-hf:entity:mouse")}


def test_sssom_is_read_as_the_mappings_that_are_not_denied(tmp_path):
    table = small_table(relation=["skos:exactMatch"] * 2)
    write_judged_triplets(table, tmp_path / "rows.sssom.tsv", METADATA)
    rows, _, names = triplets_of(tmp_path / "rows.sssom.tsv")
    assert rows == {("lass.entity:cat", "skos:exactMatch", "lass.entity:mouse")}
    assert names["lass.entity:cat"] == "cat, a small animal"


def test_obo_is_read_as_the_accepted_triplets(tmp_path):
    pytest.importorskip("pronto")
    write_judged_triplets(small_table(relation=["is_a", "is_a"]), tmp_path / "rows.obo", METADATA)
    rows, _, _ = triplets_of(tmp_path / "rows.obo")
    assert rows == {("cat", "is_a", "mouse")}
