"""Pieces of graphs in tables, each with the columns of a well-known publication or program."""

import gzip
import json
import re

import pytest

from lass_hf.core.errors import GraphError

from .test_graph_tables import left_out, names, read, triplets, write

SEPARATE = {
    "movies_header.csv": ["movieId:ID(Movie),title,:LABEL"],
    "movies.csv": ['m1,"The Matrix",Movie'],
    "people-header.csv": ["id:ID(Person),name,:LABEL"],
    "people-part1.csv": ["p1,Keanu,Actor"],
    "people-part2.csv": ["p2,Laurence,Actor"],
    "roles_header.csv": [":START_ID(Person),:END_ID(Movie),:TYPE"],
    "roles.csv": ["p1,m1,ACTED_IN", "p2,m1,ACTED_IN"],
}


def test_headers_of_neo4j_can_be_files_of_their_own(tmp_path):
    source = read(write(tmp_path, SEPARATE))
    assert triplets(source) == [("p1", "ACTED_IN", "m1"), ("p2", "ACTED_IN", "m1")]
    assert names(source) == {"m1": "The Matrix", "p1": "Keanu", "p2": "Laurence"}
    assert source.format == "Neo4j import folder"


def test_a_header_of_other_columns_than_its_file_is_an_error(tmp_path):
    write(tmp_path, SEPARATE | {"people-part2.csv": ["p2,Laurence"]})
    with pytest.raises(GraphError, match=r"people-part2.csv, line 1: 2 column\(s\), expected 3, .*people-header.csv"):
        read(tmp_path)


def test_columns_of_neptune_have_their_roles_behind_a_tilde(tmp_path):
    nodes = ["~id,~label,name:String", "v1,person,marko", "v2,software,lop"]
    source = read(write(tmp_path, {"n.csv": nodes, "e.csv": ["~id,~from,~to,~label", "e1,v1,v2,created"]}))
    assert triplets(source) == [("v1", "created", "v2")]
    assert names(source) == {"v1": "marko", "v2": "lop"}
    assert names(source, "category") == {"v1": "person", "v2": "software"}
    assert source.format == "Neptune import folder"


def test_gephi_has_relations_in_its_labels_or_none(tmp_path):
    header = "Source,Target,Type,Id,Label,Weight"
    write(tmp_path, {"labels.csv": [header, "1,2,Directed,0,knows,1"], "edges.csv": [header, "1,2,Undirected,0,,1"]})
    assert triplets(read(tmp_path / "labels.csv")) == [("1", "knows", "2")]
    assert triplets(read(tmp_path / "edges.csv")) == [("1", "edges", "2")]


def test_an_index_tells_nodes_apart_whose_ids_are_from_several_sources(tmp_path):
    header = "relation,x_index,x_id,x_type,x_name,x_source,y_index,y_id,y_type,y_name,y_source"
    lines = [header, "ppi,0,9796,gene,PHYHIP,NCBI,1,9796,disease,pain,MONDO"]
    source = read(
        write(tmp_path, {"kg.csv": lines, "own.csv": ["head_id,head_index,r,tail_id", "Q1,0,P1,Q2"]}) / "kg.csv"
    )
    assert triplets(source) == [("0", "ppi", "1")]
    assert names(source) == {"0": "PHYHIP", "1": "pain"}
    assert triplets(read(tmp_path / "own.csv")) == [("Q1", "P1", "Q2")]


def test_links_between_spaces_are_a_table(tmp_path):
    lines = ["protein1 protein2 combined_score", "9606.A 9606.B 490", "9606.B 9606.C 198"]
    path = tmp_path / "protein.links.txt.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    assert triplets(read(path)) == [("9606.A", "protein.links", "9606.B"), ("9606.B", "protein.links", "9606.C")]


def test_columns_without_names_are_given_by_their_numbers(tmp_path):
    rows = [
        ["/a/[/r/IsA/,/c/en/cat/,/c/en/pet/]", "/r/IsA", "/c/en/cat", "/c/en/pet", '{"weight": 1.0, "x": 1}'],
        ["/a/[/r/IsA/,/c/en/dog/,/c/en/pet/]", "/r/IsA", "/c/en/dog", "/c/en/pet", '{"weight": 2.0, "x": 1}'],
    ]
    path = write(tmp_path, {"assertions.csv": ["\t".join(row) for row in rows]}) / "assertions.csv"
    source = read(path, head_column="3", relation_column="2", tail_column="4")
    assert triplets(source) == [("/c/en/cat", "/r/IsA", "/c/en/pet"), ("/c/en/dog", "/r/IsA", "/c/en/pet")]
    with pytest.raises(GraphError, match=r"line 1: .* give their numbers, as in --head_column 1"):
        read(path)


@pytest.mark.parametrize("others", [["."], ["2014-02-14"], ["0.93"], ["1990", "1995"]])
def test_points_numbers_and_dates_behind_a_triplet_are_left_out(tmp_path, others):
    rows = ["\t".join([*row, *others]) for row in (("a", "r", "b"), ("b", "r", "c"))]
    source = read(write(tmp_path, {"facts.tsv": rows}) / "facts.tsv")
    assert triplets(source) == [("a", "r", "b"), ("b", "r", "c")]
    assert left_out(source)["values of column 4 of facts.tsv"] == (2, repr(others[0]))


@pytest.mark.parametrize("header", ["Subjekt;Prädikat;Objekt", "sujet;prédicat;objet", "node_1;edge;node_2"])
def test_words_of_other_languages_and_tools_name_columns(tmp_path, header):
    assert triplets(read(write(tmp_path, {"x.csv": [header, "Köln;in;NRW"]}) / "x.csv")) == [("Köln", "in", "NRW")]


NODES = [{"id": "HGNC:1", "name": "A1BG", "category": ["biolink:Gene"]}, {"id": "MONDO:1", "name": "pain"}]
EDGE = {"subject": "HGNC:1", "predicate": "biolink:related_to", "object": "MONDO:1"}
LINK = {"source": "HGNC:1", "relation": "biolink:related_to", "target": "MONDO:1"}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    "graph",
    [
        {"nodes": NODES, "edges": [EDGE]},
        {"directed": True, "nodes": NODES, "links": [LINK]},
        {"elements": {"nodes": [{"data": node} for node in NODES], "edges": [{"data": LINK}]}},
        {"nodes": NODES, "edges": [EDGE], "note": " " * 70000},
    ],
)
def test_nodes_and_edges_can_be_lists_of_one_json_object(tmp_path, graph, indent):
    (tmp_path / "g.json").write_text(json.dumps(graph, indent=indent))
    source = read(tmp_path / "g.json")
    assert triplets(source) == [("HGNC:1", "biolink:related_to", "MONDO:1")]
    assert names(source) == {"HGNC:1": "A1BG", "MONDO:1": "pain"}


@pytest.mark.parametrize("graph", [{"nodes": NODES}, {"elements": [1], "edges": []}, {"nodes": [], "edges": {}}])
def test_a_json_object_without_edges_says_what_is_missing(tmp_path, graph):
    (tmp_path / "g.json").write_text(json.dumps(graph))
    with pytest.raises(GraphError, match=r"without edges; expected a list of objects as its edges \(or links\)"):
        read(tmp_path / "g.json")


def test_a_list_in_one_long_line_is_read(tmp_path):
    (tmp_path / "g.json").write_text(
        json.dumps([{"subject": f"e{i}", "predicate": "r", "object": "e0"} for i in range(2000)])
    )
    assert len(triplets(read(tmp_path / "g.json"))) == 2000


def test_nodes_of_several_kinds_have_names_in_several_columns(tmp_path):
    rows = ["1,:Person,Keanu,,,,", "2,:Movie,,Speed,,,", "3,:Book,Dune,A title,,,", ",,,,1,2,ACTED_IN"]
    source = read(write(tmp_path, {"all.csv": ["_id,_labels,name,title,_start,_end,_type", *rows]}) / "all.csv")
    assert names(source) == {"1": "Keanu", "2": "Speed", "3": "Dune"}
    assert left_out(source) == {"values of column title of all.csv": (1, "'A title'")}


@pytest.mark.parametrize(
    ("column", "value"), [("negated", "True"), ("negated", " True "), ("negated", "t"), ("predicate_modifier", "Not")]
)
def test_rows_that_deny_a_triplet_are_left_out(tmp_path, column, value):
    rows = [f"subject_id,{column},predicate_id,object_id", "a,,skos:exactMatch,b", f"a,{value},skos:exactMatch,c"]
    source = read(write(tmp_path, {"x.csv": rows}) / "x.csv")
    assert triplets(source) == [("a", "skos:exactMatch", "b")]
    assert left_out(source)[f"rows with {column} of x.csv"] == (1, f"{tmp_path / 'x.csv'}, line 3")


def test_a_cell_that_does_not_say_whether_its_row_is_denied_is_refused(tmp_path):
    rows = ["subject,predicate,object,negated", "a,r,b,no", "a,r,c,perhaps"]
    place = re.escape(f"{tmp_path / 'x.csv'}, line 3")
    with pytest.raises(GraphError, match=f"{place}: negated is 'perhaps'; expected true or false"):
        read(write(tmp_path, {"x.csv": rows}) / "x.csv")


def test_a_row_that_is_denied_and_labeled_false_is_a_false_triplet(tmp_path):
    rows = ["subject,predicate,object,negated,label", "a,r,b,false,true", "a,r,c,true,false", "a,r,d,true,true"]
    source = read(write(tmp_path, {"x.csv": rows}) / "x.csv")
    assert triplets(source) == [("a", "r", "b"), ("a", "r", "c")]
    assert source.splits["train"].labels.tolist() == [1, 0]
    assert left_out(source)["rows with negated of x.csv"] == (1, f"{tmp_path / 'x.csv'}, line 4")
