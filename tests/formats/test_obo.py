"""OBO files and obographs JSON, compared with a plain parser of lines; and what their errors say."""

import gzip
import json
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lass_hf.core.errors import GraphError
from lass_hf.formats.reading import read_source
from lass_hf.names.source import ReadingOptions

pytest.importorskip("fastobo")

HEADER = "format-version: 1.2\nontology: x\n"
ONTOLOGY = (
    HEADER
    + r"""idspace: B http://example.org/b/
import: http://example.org/other.owl
! a comment in the header

[Term]
id: A:1
name: one\, the first \! ! not its name
def: "The \"first\" one,\nin words." [A:ref "with, a comma"] {source="me"}
synonym: "uno" EXACT []
synonym: "first" RELATED []
alt_id: A:101
namespace: numbers
xref: Wikipedia:One "1"
is_a: A:3 {is_inferred="true"} ! three
is_a: B:9 ! which the file lacks
relationship: RO:0002100 A:2 {source="x", note="y"} ! two
relationship: part_of A:101 ! one itself, by its other id

[Term]
id: A:2
name: zwei, дві 二
synonym: "two" EXACT []
synonym: "deux" EXACT []
relationship: part_of A:4
intersection_of: A:3
intersection_of: part_of A:1

! between stanzas
[Term]
id: A:3

[Term]
id: A:4
name: old
is_obsolete: true

[Typedef]
id: RO:0002100
name: has soma location
is_a: part_of

[Typedef]
id: part_of
name: part of

[Instance]
id: I:1
instance_of: A:1
"""
)


def write(folder: Path, text: str, name: str = "x.obo") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def rows_of(source):
    split = source.splits["train"]
    return [tuple(row) for row in np.asarray(split.names.to_pylist(), dtype=object)[split.codes]]


def entities_of(source):
    return {row.pop("id"): row for row in source.entities.to_pylist()}


def counts_of(source):
    return {one.what: one.count for one in source.left_out}


def parse_lines(text):
    """Returns (name, obsolete, triplets) of the terms in an OBO file, read line by line."""
    names, obsolete, triplets, kind, id = {}, set(), [], "", ""
    for line in text.splitlines():
        tag, _, value = line.partition(": ")
        value = re.sub(r"\s+(\{.*\}\s*)?(! .*)?$", "", value + " ")
        if line.startswith("["):
            kind = line
        elif kind != "[Term]":
            continue
        elif tag == "id":
            id = value
        elif tag == "name":
            names[id] = value
        elif tag == "is_obsolete" and value == "true":
            obsolete.add(id)
        elif tag == "is_a":
            triplets.append((id, "is_a", value))
        elif tag == "relationship":
            triplets.append((id, *value.split()))
    return names, obsolete, triplets


def test_terms_relations_and_texts_of_a_file(tmp_path):
    source = read_source(write(tmp_path, ONTOLOGY))
    assert rows_of(source) == [
        ("A:1", "is_a", "A:3"),
        ("A:1", "is_a", "B:9"),
        ("A:1", "RO:0002100", "A:2"),
        ("A:1", "part_of", "A:1"),
    ]
    assert entities_of(source) == {
        "A:1": {
            "name": "one, the first !",
            "description": 'The "first" one,\nin words.',
            "category": "numbers",
            "source_id": None,
        },
        "A:2": {"name": "zwei, дві 二", "description": "also called two, deux", "category": None, "source_id": None},
        "A:3": {"name": None, "description": None, "category": None, "source_id": None},
    }
    relations = {row["id"]: row["name"] for row in source.relations.to_pylist()}
    assert relations == {"is_a": "is a", "RO:0002100": "has soma location", "part_of": "part of"}
    assert source.prefixes["B"] == "http://example.org/b/"
    assert source.prefixes["A"] == "http://purl.obolibrary.org/obo/A_"


def test_what_became_no_triplet_is_counted(tmp_path):
    source = read_source(write(tmp_path, ONTOLOGY))
    assert counts_of(source) == {
        "synonyms": 2,
        "cross-references": 1,
        "qualifiers of is_a and relationship": 2,
        "logical definitions (intersection_of)": 2,
        "typedefs": 2,
        "instances": 1,
        "obsolete terms": 1,
        "triplets of obsolete terms": 1,
    }
    assert next(one.example for one in source.left_out if one.what == "triplets of obsolete terms") == "A:2 part_of A:4"
    notes = "\n".join(source.notes)
    assert "import: http://example.org/other.owl is not fetched" in notes
    assert "other ids of terms (alt_id): 1, such as A:101 of A:1; triplets that name one: 1" in notes
    assert "ids that are no terms of the file: 1, such as B:9; their ids stand in for texts" in notes


def test_a_real_ontology_is_read_as_its_lines_say():
    folder = Path(os.environ.get("LASS_DATA_DIR", "")) / "formats"
    if not (folder / "pato.obo").is_file():
        pytest.skip("needs formats/pato.obo in LASS_DATA_DIR")
    names, obsolete, triplets = parse_lines((folder / "pato.obo").read_text(encoding="utf-8"))
    source = read_source(folder / "pato.obo")
    assert rows_of(source) == triplets
    assert Counter(relation for _, relation, _ in triplets)["is_a"] == 2227
    assert {id: row["name"] for id, row in entities_of(source).items()} == {
        id: name for id, name in names.items() if id not in obsolete
    }
    assert counts_of(source)["obsolete terms"] == len(obsolete) == 898


@pytest.mark.parametrize("ending", ["\r\n", "\n"])
def test_byte_order_mark_compression_and_line_ends_change_nothing(tmp_path, ending):
    path = tmp_path / "x.obo.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + ONTOLOGY.replace("\n", ending).encode()))
    source, plain = read_source(path), read_source(write(tmp_path, ONTOLOGY))
    assert rows_of(source) == rows_of(plain)
    assert source.entities.equals(plain.entities)


def test_few_letters_that_are_not_ascii_are_read_as_utf8(tmp_path):
    text = HEADER + '\n[Term]\nid: A:1\nname: café\ndef: "µ" []\nis_a: A:2\n'
    assert entities_of(read_source(write(tmp_path, text)))["A:1"]["name"] == "café"


def test_a_second_stanza_of_a_term_adds_to_the_first(tmp_path):
    text = HEADER + "\n[Term]\nid: A:1\nname: one\nis_a: A:2\n\n[Term]\nid: A:1\nis_a: A:3\n"
    source = read_source(write(tmp_path, text))
    assert rows_of(source) == [("A:1", "is_a", "A:2"), ("A:1", "is_a", "A:3")]
    assert "second stanzas of terms, read as one with the first: 1, such as A:1 in line 9" in source.notes


def test_a_cycle_of_is_a_is_noted(tmp_path):
    text = HEADER + "".join(f"\n[Term]\nid: A:{n}\nis_a: A:{(n + 1) % 3}\n" for n in range(3))
    cycle = next(note for note in read_source(write(tmp_path, text)).notes if "cycle" in note)
    assert {f"A:{n} is a A:{(n + 1) % 3}" in cycle for n in range(3)} >= {True}
    assert cycle.startswith("is_a has a cycle: A:")


TERM = HEADER + "\n[Term]\nid: A:1\nname: one\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TERM + 'def: "He sa', r"x\.obo, line 7: 'def: \"He sa' is not as OBO has it .*; the file seems to be cut off"),
        (TERM + "\n[Te", r"x\.obo, line 8: .*cut off"),
        (TERM + "\n[Term]\n", r"x\.obo, line \d: .*cut off"),
        (TERM + "\n[Term]\nname: two\nis_a: A:1\n", r"x\.obo, line 9: the stanza \[Term\] does not begin with its id"),
        (TERM + "relationship: part_of\nis_a: A:2\n", r"x\.obo, line 7: 'relationship: part_of' is not as OBO has it"),
        (TERM + "color: red\nis_a: A:2\n", r"x\.obo, line 7: 'color: red' is not as OBO has it"),
        (TERM + "name: two\n", r"x\.obo, line 4: a second, different name of 'A:1'; expected one"),
        (TERM + "\n[Term]\nid: A:1\nname: two\n", r"x\.obo, line 8: a second, different name of 'A:1'; expected one"),
        ("A graph\n" + TERM, r"x\.obo, line 1: 'A graph' is not as OBO has it"),
        (TERM, r"x\.obo: no triplet is left; it has none"),
        (TERM + "comment: \0\n", r"x\.obo, line 7: a NUL character, as UTF-16 has them; save the file as UTF-8"),
    ],
)
def test_bad_input_names_the_line(tmp_path, text, message):
    with pytest.raises(GraphError, match=message) as error:
        read_source(write(tmp_path, text))
    assert len(str(error.value).splitlines()) == 1


def test_other_encodings_and_options_are_refused(tmp_path):
    path = tmp_path / "x.obo"
    path.write_bytes((TERM + "comment: caf\xe9\n").encode("latin-1"))
    with pytest.raises(GraphError, match=r"x\.obo, line 7: not UTF-8"):
        read_source(path)
    with pytest.raises(GraphError, match="language means nothing for OBO"):
        read_source(write(tmp_path, ONTOLOGY), ReadingOptions(language="en"))


def test_an_ending_that_misleads_and_other_files_of_a_folder_are_said(tmp_path):
    path = write(tmp_path, ONTOLOGY, "x.txt")
    write(tmp_path, "words", "notes.md")
    source = read_source(tmp_path)
    assert source.path == path
    assert source.notes[0] == f"{path} is OBO, whatever its name ends in, and read as that"
    assert [(one.count, one.example) for one in source.left_out if one.what == "other files"] == [(1, "notes.md")]


def test_a_damaged_archive_is_an_error_of_one_line(tmp_path):
    path = tmp_path / "x.obo.gz"
    path.write_bytes(gzip.compress(HEADER.encode() + np.random.default_rng(0).bytes(200_000), 1)[:-500])
    with pytest.raises(GraphError, match=r"x\.obo\.gz: its gzip compression is damaged"):
        read_source(path)


OBO = "http://purl.obolibrary.org/obo/"
GRAPH = {
    "graphs": [
        {
            "id": f"{OBO}x.owl",
            "meta": None,
            "nodes": [
                {
                    "id": f"{OBO}A_1",
                    "lbl": "one",
                    "type": "CLASS",
                    "meta": {
                        "definition": {"val": "The first.", "xrefs": []},
                        "synonyms": [{"pred": "hasExactSynonym", "val": "uno"}],
                        "xrefs": [{"val": "Wikipedia:with a space"}],
                        "subsets": [f"{OBO}x#slim"],
                        "basicPropertyValues": [
                            {"pred": "http://www.geneontology.org/formats/oboInOwl#hasOBONamespace", "val": "numbers"},
                            {"pred": "http://purl.org/dc/terms/date", "val": "2020"},
                        ],
                    },
                },
                {"id": f"{OBO}A_2", "meta": {"synonyms": [{"pred": "hasExactSynonym", "val": "two"}]}},
                {"id": f"{OBO}A_3", "lbl": "old", "type": "CLASS", "meta": {"deprecated": True}},
                {"id": "http://example.org/joe", "lbl": "Joe", "type": "INDIVIDUAL"},
                {"id": f"{OBO}BFO_0000050", "lbl": "part of", "type": "PROPERTY", "propertyType": "OBJECT"},
            ],
            "edges": [
                {"sub": f"{OBO}A_1", "pred": "is_a", "obj": f"{OBO}A_2"},
                {"sub": f"{OBO}A_2", "pred": f"{OBO}BFO_0000050", "obj": "http://example.org/joe"},
                {"sub": f"{OBO}A_3", "pred": "is_a", "obj": f"{OBO}A_2"},
                {"sub": f"{OBO}BFO_0000050", "pred": "subPropertyOf", "obj": f"{OBO}BFO_0000051"},
            ],
        }
    ]
}


def test_a_term_has_what_each_graph_of_obographs_says_of_it(tmp_path):
    nodes = GRAPH["graphs"][0]["nodes"]
    bare = [{name: node[name] for name in ("id", "type") if name in node} for node in nodes]
    alone = read_source(write(tmp_path, json.dumps(GRAPH), "x.json"))
    for number, order in enumerate(([bare, nodes], [nodes, bare], [nodes, nodes])):
        graphs = [{**GRAPH["graphs"][0], "nodes": order[0]}, {"id": f"{OBO}y.owl", "nodes": order[1]}]
        source = read_source(write(tmp_path, json.dumps({"graphs": graphs}), f"{number}.json"))
        assert entities_of(source) == entities_of(alone)
        assert source.relations.equals(alone.relations)
        assert number == 0 or source.left_out == alone.left_out


def test_obographs_hold_the_same_as_obo(tmp_path):
    source = read_source(write(tmp_path, json.dumps(GRAPH), "x.json"))
    assert source.format == "obographs JSON"
    assert rows_of(source) == [("A:1", "is_a", "A:2"), ("A:2", "BFO:0000050", "http://example.org/joe")]
    assert entities_of(source) == {
        "A:1": {"name": "one", "description": "The first.", "category": "numbers", "source_id": f"{OBO}A_1"},
        "A:2": {"name": None, "description": "also called two", "category": None, "source_id": f"{OBO}A_2"},
        "http://example.org/joe": {"name": "Joe", "description": None, "category": None, "source_id": None},
    }
    relations = [(row["id"], row["name"], row["source_id"]) for row in source.relations.to_pylist()]
    subclass = "http://www.w3.org/2000/01/rdf-schema#subClassOf"
    assert relations == [("is_a", "is a", subclass), ("BFO:0000050", "part of", f"{OBO}BFO_0000050")]
    assert counts_of(source) == {
        "synonyms": 1,
        "cross-references": 1,
        "memberships of subsets": 1,
        "property values": 1,
        "typedefs": 1,
        "edges between relations": 1,
        "obsolete terms": 1,
        "triplets of obsolete terms": 1,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(GRAPH, indent=1)[:900], r"x\.json, line \d+: not JSON .*cut off"),
        (
            '{"graphs": [{"nodes": [{"lbl": "one"}]}]}',
            r"x\.json, node 1 of graph 1: not as obographs have it .*expected",
        ),
        (
            '{"graphs": [{"nodes": [], "edges": [{"sub": "a"}]}]}',
            r"x\.json, edge 1 of graph 1: not as obographs have it",
        ),
        ('{"graphs": [7]}', r"x\.json: cannot be read as obographs JSON"),
        ('{"graphs": [{"nodes": []}]}', r"x\.json: no triplet is left"),
    ],
)
def test_bad_obographs_name_the_place(tmp_path, text, message):
    with pytest.raises(GraphError, match=message) as error:
        read_source(write(tmp_path, text, "x.json"))
    assert len(str(error.value).splitlines()) == 1
