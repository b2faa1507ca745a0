"""Graphs from small tables as other programs write them."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lass_hf.core.errors import GraphError
from lass_hf.formats.graph_tables import read_graph_tables
from lass_hf.names.source import ReadingOptions

DATA = Path(os.environ.get("LASS_DATA_DIR", "")) / "formats"


def write(folder, files):
    for name, lines in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def read(path, **options):
    return read_graph_tables(path, ReadingOptions(**options))


def read_lines(folder, lines, name="graph.tsv", **options):
    write(folder, {name: [line.replace(" ", "\t") for line in lines]})
    return read(folder / name, **options)


def triplets(source, split="train"):
    part = source.splits[split]
    return [tuple(part.names[code].as_py() for code in row) for row in part.codes.tolist()]


def names(source, column="name"):
    return dict(zip(source.entities["id"].to_pylist(), source.entities[column].to_pylist(), strict=True))


def left_out(source):
    return {part.what: (part.count, part.example) for part in source.left_out}


NEO4J = {
    "nodes/compound.tsv": ["compoundId:ID(Compound)\tname", "DB1\tAspirin", "DB2\tIbuprofen"],
    "nodes/disease.tsv": ["diseaseId:ID(Disease)\tname:string\tage:int", "DOID:1\tpain\t3", "DOID:2\tfever\t"],
    "edges/Compound_Treats_Disease.tsv": [":START_ID(Compound)\t:END_ID(Disease)", "DB1\tDOID:1", "DB2\tDOID:2"],
    "edges/Compound_Resembles_Compound.tsv": [":START_ID(Compound)\t:END_ID(Compound)", "DB1\tDB2"],
}
KGX = {
    "nodes.tsv": [
        "id\tcategory\tname\tdescription\txref",
        "X:1\tbiolink:SmallMolecule|biolink:Drug\tAspirin\t\tA|B",
        "X:2\tbiolink:Disease\tpain\tIt hurts.\t",
    ],
    "edges.tsv": ["id\tsubject\tpredicate\tobject\tagent_type", "e1\tX:1\tbiolink:treats\tX:2\tmanual_agent"],
}


def test_a_neo4j_folder_calls_relations_after_files(tmp_path):
    source = read(write(tmp_path, NEO4J))
    assert source.format == "Neo4j import folder"
    assert triplets(source) == [
        ("DB1", "Compound_Resembles_Compound", "DB2"),
        ("DB1", "Compound_Treats_Disease", "DOID:1"),
        ("DB2", "Compound_Treats_Disease", "DOID:2"),
    ]
    assert names(source) == {"DB1": "Aspirin", "DB2": "Ibuprofen", "DOID:1": "pain", "DOID:2": "fever"}
    assert names(source, "category")["DB1"] == "Compound"
    assert left_out(source) == {"values of column age:int of disease.tsv": (1, "'3'")}
    assert source.notes == []


def test_ids_of_colliding_spaces_are_kept_apart(tmp_path):
    files = {
        "users.csv": ["id:ID(User),name,:LABEL", "1,Ann,Person;Admin", "2,Bob,Person"],
        "films.csv": ["id:ID(Film),title", "1,Alien"],
        "likes.csv": [":START_ID(User),:END_ID(Film),:TYPE", "1,1,LIKES", "2,1,LIKES"],
    }
    source = read(write(tmp_path, files))
    assert triplets(source) == [("User:1", "LIKES", "Film:1"), ("User:2", "LIKES", "Film:1")]
    assert names(source) == {"Film:1": "Alien", "User:1": "Ann", "User:2": "Bob"}
    assert names(source, "source_id") == {"Film:1": "1", "User:1": "1", "User:2": "2"}
    assert names(source, "category") == {"Film:1": "Film", "User:1": "Person;Admin", "User:2": "Person"}
    assert source.notes == [
        "1 ids are there in more than one of the id spaces Film, User, such as '1': the ids of these spaces are "
        "written Film:1"
    ]


def test_nodes_and_edges_in_one_table_are_taken_apart(tmp_path):
    header = "_id,_labels,name,born,_start,_end,_type,since"
    lines = [header, "0,:Person,Ann,1990,,,,", "1,:Film,Alien,,,,,", ",,,,0,1,LIKES,1999", ",,,,0,,LIKES,"]
    source = read(write(tmp_path, {"all.csv": lines}))
    assert triplets(source) == [("0", "LIKES", "1")]
    assert names(source) == {"0": "Ann", "1": "Alien"}
    assert left_out(source) == {
        "values of column born of all.csv": (1, "'1990'"),
        "values of column since of all.csv": (1, "'1999'"),
        "rows with an empty head, relation or tail": (1, f"{tmp_path / 'all.csv'}, line 5"),
    }


def test_a_kgx_pair_has_names_descriptions_and_categories(tmp_path):
    source = read(write(tmp_path, KGX))
    assert source.format == "KGX"
    assert triplets(source) == [("X:1", "biolink:treats", "X:2")]
    assert names(source) == {"X:1": "Aspirin", "X:2": "pain"}
    assert names(source, "description") == {"X:1": None, "X:2": "It hurts."}
    assert names(source, "category")["X:2"] == "biolink:Disease"
    assert left_out(source) == {
        "values of column id of edges.tsv": (1, "'e1'"),
        "values of column agent_type of edges.tsv": (1, "'manual_agent'"),
        "values of column xref of nodes.tsv": (1, "'A|B'"),
    }


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "parquet"])
def test_all_kinds_of_files_give_the_same_graph(tmp_path, kind):
    rows = [("Q1", "P31", "Q2", "Größe, die"), ("Q2", "P31", "Q1", 'the "second"')]
    header = ["subject_id", "predicate", "object_id", "subject_label"]
    file = tmp_path / f"facts.{kind}"
    if kind == "parquet":
        pq.write_table(
            pa.table({name: list(column) for name, column in zip(header, zip(*rows, strict=True), strict=True)}), file
        )
    elif kind == "jsonl":
        file.write_text("".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows))
    else:
        text = ",".join(header) + "\n" + 'Q1,P31,Q2,"Größe, die"\n' + 'Q2,P31,Q1,"the ""second"""\n'
        file.write_bytes(gzip.compress(text.encode()) if kind.endswith("gz") else text.encode())
    source = read(file)
    assert triplets(source) == [row[:3] for row in rows]
    assert names(source) == {row[0]: row[3] for row in rows}


def test_a_list_of_edges_is_a_relation_of_its_file(tmp_path):
    source = read_lines(tmp_path, ["Source Target", "a b", "b c"], "cites.tsv")
    assert triplets(source) == [("a", "cites", "b"), ("b", "cites", "c")]
    assert source.notes == [f"{tmp_path / 'cites.tsv'} has no column of relations: its relation is called 'cites'"]


def test_nodes_without_a_row_are_noted_and_nodes_without_edges_stay(tmp_path):
    files = {"nodes.tsv": ["id\tname", "a\tAnt", "z\tZoo"], "edges.tsv": ["head\trelation\ttail", "a\tr\tb", "c\tr\ta"]}
    source = read(write(tmp_path, files))
    assert names(source) == {"a": "Ant", "z": "Zoo"}
    assert source.notes == [
        f"2 of 3 entities of the edges have no row in the tables of nodes, such as 'b' of {tmp_path / 'edges.tsv'}: "
        "their ids stand in for names"
    ]


def test_incomplete_rows_are_left_out_with_the_line_of_the_first(tmp_path):
    source = read_lines(tmp_path, ["head relation tail", "a r b", "\u00a0 r b", "a r ", "b r a"])
    assert triplets(source) == [("a", "r", "b"), ("b", "r", "a")]
    place = f"{tmp_path / 'graph.tsv'}, line 3"
    assert left_out(source) == {"rows with an empty head, relation or tail": (2, place)}


def test_nodes_without_an_id_are_left_out(tmp_path):
    files = {"nodes.tsv": ["id\tname", "a\tAnt", "\tBee"], "edges.tsv": ["head\trelation\ttail", "a\tr\ta"]}
    source = read(write(tmp_path, files))
    assert left_out(source) == {"rows of nodes.tsv without an id": (1, f"{tmp_path / 'nodes.tsv'}, line 3")}


def test_names_are_trimmed(tmp_path):
    source = read_lines(tmp_path, ["\ufeffhead relation tail\r", "a r \u200bb\r", "b r a\r"])
    assert triplets(source) == [("a", "r", "b"), ("b", "r", "a")]


# Splits, dates, truth


def test_a_column_says_the_split_and_another_the_date(tmp_path):
    lines = [
        "head relation tail set when",
        "a r b train 2001",
        "a r c valid 2002",
        "c r b TEST 2003",
        "b r c train 2004",
    ]
    source = read_lines(tmp_path, lines, split_column="set", date_column="when")
    assert list(source.splits) == ["train", "validation", "test"]
    assert triplets(source) == [("a", "r", "b"), ("b", "r", "c")]
    assert triplets(source, "test") == [("c", "r", "b")]
    assert source.dates.to_pylist() == ["2001", "2004"]
    assert source.left_out == []


def test_a_triplet_may_have_no_date(tmp_path):
    source = read_lines(tmp_path, ["head relation tail at", "a r b 2001", "a r c "], date_column="at")
    assert source.dates.to_pylist() == ["2001", ""]


def test_files_that_are_called_after_splits_are_these(tmp_path):
    header = "head\trelation\ttail"
    source = read(write(tmp_path, {f"{name}.tsv": [header, f"{name}\tr\tx"] for name in ("train", "dev", "test")}))
    assert {split: triplets(source, split) for split in source.splits} == {
        "train": [("train", "r", "x")],
        "validation": [("dev", "r", "x")],
        "test": [("test", "r", "x")],
    }


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("edges_train.tsv", "edges_valid.tsv", "edges_test.tsv"), ["train", "validation", "test"]),
        (("Train-2024.csv", "Test-2024.csv"), ["train", "test"]),
        (("graph.train.tsv", "graph.dev.tsv"), ["train", "validation"]),
        (("training.tsv", "more.tsv", "train_test_pairs.tsv"), ["train"]),
        (("blood_test.tsv", "edges.tsv"), ["train"]),
    ],
)
def test_a_word_of_a_files_name_says_its_split_where_another_is_of_train(tmp_path, names, splits):
    rows = {name: (f"h{row}", "r", "x") for row, name in enumerate(names)}
    files = {
        name: [(mark := "," if name.endswith("csv") else "\t").join(("head", "relation", "tail")), mark.join(row)]
        for name, row in rows.items()
    }
    source = read(write(tmp_path, files))
    assert list(source.splits) == splits
    assert sorted(row for split in splits for row in triplets(source, split)) == sorted(rows.values())
    if len(splits) == len(names):
        assert [triplets(source, split) for split in splits] == [[rows[name]] for name in names]


def test_labels_say_what_is_true(tmp_path):
    source = read_lines(tmp_path, ["head relation tail label", "a r b 1", "a r c -1", "c r b 0"])
    assert np.array_equal(source.splits["train"].labels, [1, 0, 0])


def test_the_label_of_kgtk_is_the_relation(tmp_path):
    source = read_lines(tmp_path, ["id node1 label node2", "e1 Q1 P31 Q2", "e2 Q2 P31 Q1"])
    assert source.format == "KGTK"
    assert triplets(source) == [("Q1", "P31", "Q2"), ("Q2", "P31", "Q1")]
    assert source.splits["train"].labels is None


def test_a_folder_may_call_names_differently(tmp_path):
    files = {
        "films.csv": ["id,title,plot", "f1,Alien,A ship."],
        "people.csv": ["id,name,title", "p1,Ann,Dr."],
        "likes.csv": ["source,target", "p1,f1"],
    }
    source = read(write(tmp_path, files), description_of="plot")
    assert names(source) == {"f1": "Alien", "p1": "Ann"}
    assert names(source, "description") == {"f1": "A ship.", "p1": None}
    assert left_out(source) == {"values of column title of people.csv": (1, "'Dr.'")}


def test_labels_in_kgtk_are_names_and_other_literals_are_left_out(tmp_path):
    rows = [
        *("node1 label node2", "Q42 P31 Q5", "Q42 label 'Adams,~D.'@de", r"Q42 label 'D.~O\'Adams'@en"),
        *("Q5 description 'common~name'@en", "Q42 P569 ^1952-03-11T00:00:00Z/11", "Q42 P2048 +1.96Q11573"),
    ]
    lines = [row.replace(" ", "\t").replace("~", " ") for row in rows]
    source = read(write(tmp_path, {"kgtk.tsv": lines}) / "kgtk.tsv")
    assert triplets(source) == [("Q42", "P31", "Q5")]
    assert names(source) == {"Q42": "D. O'Adams", "Q5": None}
    assert names(source, "description") == {"Q42": None, "Q5": "common name"}
    assert left_out(source) == {
        "literals in column node2": (2, "'^1952-03-11T00:00:00Z/11'"),
        "second, different names": (1, f"{tmp_path / 'kgtk.tsv'}, line 3: 'Adams, D.'"),
    }


def test_numbers_in_kgtk_are_entities_if_there_are_some_among_the_heads(tmp_path):
    assert triplets(read_lines(tmp_path, ["node1 label node2", "1 knows 2"])) == [("1", "knows", "2")]


# Files without a header


def test_a_file_without_a_header_is_read_as_triplets(tmp_path):
    source = read_lines(tmp_path, ["a r b", "c r d"])
    assert triplets(source) == [("a", "r", "b"), ("c", "r", "d")]
    place = f"{tmp_path / 'graph.tsv'}, line 1"
    assert source.notes == [f"{place}: 'a', 'r', 'b' is read as a triplet, for it names no columns"]
    assert read_lines(tmp_path, ["a r b 1", "c r d 0"]).splits["train"].labels.tolist() == [1, 0]


def test_a_first_line_of_unknown_words_is_refused(tmp_path):
    with pytest.raises(GraphError, match=r"line 1: 'von', 'wie', 'nach' do not occur again, .*--head_column"):
        read_lines(tmp_path, ["von wie nach", "a r b", "c r d"])
    options = dict(zip(("head_column", "relation_column", "tail_column"), ("von", "wie", "nach"), strict=True))
    assert len(triplets(read_lines(tmp_path, ["von wie nach", "a r b", "c r d"], **options))) == 2


def test_two_columns_without_a_header_are_refused(tmp_path):
    with pytest.raises(
        GraphError,
        match=r"line 1: heads and tails are in no known columns; .*'a', 'b'; in a file that names no columns",
    ):
        read_lines(tmp_path, ["a b", "c d"])


# Errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head_column": "von"}, "no column 'von' for head_column; expected one of 'head', 'relation', 'tail'"),
        ({"split_column": "set"}, "no column 'set' for split_column"),
        ({"head_column": "tail", "tail_column": "tail"}, "head_column and tail_column both name 'tail'"),
        ({"name_of": "title"}, "no column 'title' for name_of"),
        ({"language": "en"}, "language means nothing for TSV; leave it out"),
    ],
)
def test_an_option_for_a_column_that_is_not_there_is_refused(tmp_path, options, message):
    with pytest.raises(GraphError, match=message):
        read_lines(tmp_path, ["head relation tail", "a r b"], **options)


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (["head relation tail", "a  b", "b  c"], {}, "column 'relation' is empty in all rows; expected the relations"),
        (
            ["head relation tail set", "a r b all"],
            {"split_column": "set"},
            "line 2: 'all' in column 'set'; expected train",
        ),
        (["head relation tail", "a r ", " r b"], {}, "line 2: no row has a head, a relation and a tail"),
        (["id name", "a Ant"], {}, r"1 table\(s\) of nodes, and none of edges; expected columns such as head"),
    ],
)
def test_a_wrong_table_is_an_error(tmp_path, lines, options, message):
    with pytest.raises(GraphError, match=message):
        read_lines(tmp_path, lines, **options)


def test_a_second_name_of_a_node_is_an_error_unless_it_is_the_same(tmp_path):
    edges = ["head\trelation\ttail", "a\tr\tb"]
    same = ["id\tname\tdescription", "a\tAnt\t", "b\tBee\t", "a\tAnt\tsmall", "b\tBee\t", "a\t\tbig"]
    source = read(write(tmp_path, {"edges.tsv": edges, "nodes.tsv": same}))
    assert names(source, "description") == {"a": "small", "b": None}
    place = f"{tmp_path / 'nodes.tsv'}, line 6"
    assert left_out(source) == {"second, different descriptions": (1, f"{place}: 'big'")}
    write(tmp_path, {"nodes.tsv": ["id\tname", "a\tAnt", "b\tBee", "a\tApe"]})
    with pytest.raises(GraphError, match=r"line 4: a second name for the same id, 'Ape'; .*line 2 has 'Ant'"):
        read(tmp_path)


def test_names_in_tables_of_nodes_win_over_those_beside_edges(tmp_path):
    edges = ["source\tsource_name\ttarget\ttarget_name\ttype", "a\tant\tb\tbee\tr", "a\tANT\tc\tcat\tr"]
    source = read(write(tmp_path, {"edges.tsv": edges, "nodes.tsv": ["id\tname", "a\tAnt"]}))
    assert names(source) == {"a": "Ant", "b": "bee", "c": "cat"}
    assert [part.count for part in source.left_out] == [2]


def test_other_files_and_unknown_tables_are_left_out(tmp_path):
    files = {"edges.tsv": ["head\trelation\ttail", "a\tr\tb"], "stats.csv": ["day,visits", "1,2"], "notes.md": ["hi"]}
    source = read(write(tmp_path, files))
    assert left_out(source) == {"rows of stats.csv": (2, "day, visits")}


# Real files


@pytest.mark.skipif(not DATA.is_dir(), reason="needs LASS_DATA_DIR")
def test_neo4j_and_kgx_hold_the_same_facts():
    neo4j, kgx = read(DATA / "neo4j"), read(DATA / "kgx")
    predicates = {
        "Compound_Treats_Disease": "biolink:treats",
        "Compound_Palliates_Disease": "biolink:ameliorates_condition",
        "Compound_Resembles_Compund": "biolink:similar_to",
        "Disease_Localizes_Anatomy": "biolink:located_in",
        "Disease_Resembles_Disease": "biolink:similar_to",
    }
    facts = [(head, predicates[relation], tail) for head, relation, tail in triplets(neo4j)]
    bare = [tuple(name.removeprefix("DRUGBANK:") for name in triplet) for triplet in triplets(kgx)]
    assert sorted(facts) == sorted(bare)
    assert len(facts) == 11_776
    assert names(neo4j) == {id.removeprefix("DRUGBANK:"): name for id, name in names(kgx).items()}
    assert len(names(neo4j)) == 2091
