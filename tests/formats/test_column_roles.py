"""What the columns of tables are for, by their names."""

from pathlib import Path

import pytest

from lass_hf.core.errors import GraphError
from lass_hf.formats.column_roles import Column, edge_columns, find_column, node_columns
from lass_hf.names.source import ReadingOptions

FILE = Path("graph.csv")


def edges(header, flags=(), **options):
    found = edge_columns(FILE, header.split(","), ReadingOptions(**options), flags.__contains__)
    return found and [column and column.name for column in found.ends]


def nodes(header, **options):
    found = node_columns(FILE, header.split(","), ReadingOptions(**options))
    if not found:
        return None
    parts = [found.id, *found.names, None, *found.descriptions, None, found.category]
    return [part.name if part else "-" for part in parts]


@pytest.mark.parametrize(
    ("header", "ends"),
    [
        ("subject,predicate,object", ["subject", "predicate", "object"]),
        ("Subject ID,Predicate ID,Object ID", ["Subject ID", "Predicate ID", "Object ID"]),
        ("head,relation,tail", ["head", "relation", "tail"]),
        ("h,r,t", ["h", "r", "t"]),
        ("s,p,o", ["s", "p", "o"]),
        ("source,target", ["source", None, "target"]),
        ("Source,Target,Relationship", ["Source", "Relationship", "Target"]),
        ("source,target,type", ["source", "type", "target"]),
        ("source,target,label", ["source", "label", "target"]),
        ("from,to,weight", ["from", None, "to"]),
        ("start,end,type", ["start", "type", "end"]),
        ("id,node1,label,node2", ["node1", "label", "node2"]),
        ("relation,display_relation,x_id,y_id", ["x_id", "relation", "y_id"]),
        ("protein1,protein2,combined_score", ["protein1", None, "protein2"]),
        (":START_ID(Compound),:END_ID(Disease)", [":START_ID(Compound)", None, ":END_ID(Disease)"]),
        (":START_ID,since:int,:END_ID,:TYPE", [":START_ID", ":TYPE", ":END_ID"]),
        ("id,subject,predicate,object,relation,knowledge_level", ["subject", "predicate", "object"]),
        ("head,relation,tail,start,end", ["head", "relation", "tail"]),
        ("node_id_start,node_id_end,rel_type,start_date", ["node_id_start", "rel_type", "node_id_end"]),
        ("Entity A,Relation Type,Entity B", ["Entity A", "Relation Type", "Entity B"]),
        ("source,metaedge,target", ["source", "metaedge", "target"]),
        ("item,itemLabel,prop,value,valueLabel", ["item", "prop", "value"]),
        ("~id,~from,~to,~label,weight:Double", ["~from", "~label", "~to"]),
        ("_id,_labels,name,_start,_end,_type", ["_start", "_type", "_end"]),
    ],
)
def test_columns_of_edges_are_known_by_their_names(header, ends):
    assert edges(header) == ends


@pytest.mark.parametrize(
    "header", ["id,name", "id,name,start,end", "id,name,x,y", "gene,synonym", "id,synonym1,synonym2", "source,name"]
)
def test_tables_of_other_things_have_no_edges(header):
    assert edges(header) is None


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("id,category,name,description", ["id", "name", "-", "description", "-", "category"]),
        ("compoundId:ID(Compound),name:string,:LABEL", ["compoundId:ID(Compound)", "name:string", "-", "-", ":LABEL"]),
        ("curie,preferred_label,definition", ["curie", "preferred_label", "-", "definition", "-", "-"]),
        ("Concept ID,Title,Abstract,Type", ["Concept ID", "Title", "-", "Abstract", "-", "Type"]),
        ("drug_id,drug_name", ["drug_id", "drug_name", "-", "-", "-"]),
        ("id,title,text", ["id", "title", "-", "text", "-", "-"]),
        ("id,text", ["id", "text", "-", "-", "-"]),
        ("id:ID,name:IGNORE,label", ["id:ID", "label", "-", "-", "-"]),
        ("id", ["id", "-", "-", "-"]),
    ],
)
def test_columns_of_nodes_are_known_by_their_names(header, columns):
    assert nodes(header) == columns


def test_a_table_without_ids_has_no_nodes():
    assert nodes("David,knows,Mary") is None


def test_spaces_and_lists_of_neo4j_are_read_from_the_header():
    assert Column.of(":START_ID(Compound)").space == "Compound"
    assert Column.of("personId:ID(Person){id-type: long}") == Column(
        "personId:ID(Person){id-type: long}", "personid", "ID", "Person"
    )
    assert Column.of("names:string[]").is_array
    assert Column.of("biolink:category").role is None


def test_given_columns_win():
    assert edges("a,b,c", head_column="a", relation_column="b", tail_column="c") == ["a", "b", "c"]
    assert edges("subject,predicate,object,target", tail_column="target") == ["subject", "predicate", "target"]
    assert edges("subject,predicate,relation,object", relation_column="RELATION") == ["subject", "relation", "object"]
    assert nodes("id,key,name,label", id_column="key", name_of=("label", "name"))[:3] == ["key", "label", "name"]
    assert nodes("id,name,note", description_of="note") == ["id", "name", "-", "note", "-", "-"]


def test_a_column_of_truth_values_is_no_relation():
    header = ["node1", "node2", "label"]
    found = edge_columns(FILE, header, ReadingOptions(), {"label"}.__contains__)
    assert found.ends[1] is None
    assert found.label.name == "label"
    assert edges("source,target,type,label", flags={"type"}) == ["source", "label", "target"]


def test_a_label_beside_a_relation_is_the_truth_only_if_its_values_are():
    header = ["head", "relation", "tail", "label"]
    assert edge_columns(FILE, header, ReadingOptions(), {"label"}.__contains__).label.name == "label"
    assert edge_columns(FILE, header, ReadingOptions(), set().__contains__).label is None


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "subject,predicate,object,object_id",
            "columns 'object' and 'object_id' may both be the tails; .*--tail_column",
        ),
        ("source,subject,target,object", "columns 'subject' and 'source' may both be the heads; .*--head_column"),
        ("source,target,type,label", "columns 'type' and 'label' may both be the relations; .*--relation_column"),
        ("source,target,rel,relation", "columns 'rel' and 'relation' may both be the relations"),
    ],
)
def test_two_columns_for_one_end_are_an_error_that_names_both(header, message):
    with pytest.raises(GraphError, match=f"^graph.csv: {message}"):
        edges(header)


def test_two_columns_of_names_are_an_error_that_names_both():
    with pytest.raises(GraphError, match="'name' and 'label' may both be the names; give one of them as --name_of"):
        nodes("id,name,label")


def test_a_head_alone_asks_for_the_tail():
    with pytest.raises(GraphError, match="no column is known to hold the tails; give --tail_column, one of 'a', 'b'"):
        edges("a,b", head_column="a")


def test_names_of_the_ends_are_found_beside_their_ids():
    header = ["subject_id", "subject_label", "subject_category", "predicate_id", "predicate_label"]
    header += ["object_id", "object_label"]
    found = edge_columns(FILE, header, ReadingOptions(), lambda _: False)
    assert [column.name for column in found.names] == ["subject_label", "predicate_label", "object_label"]
    assert found.categories[0].name == "subject_category"


def test_a_column_is_found_by_what_only_it_is_called():
    assert find_column(["Drug ID", "drug"], "drug_id").name == "Drug ID"
    assert find_column(["Drug", "drug"], "DRUG") is None
    assert find_column(["name:string"], "name").name == "name:string"
