"""KGX, SSSOM and OBO: what their own tools expect is there, and pronto, a YAML parser and csv read it."""

import csv
import io
import json
import uuid
from urllib.parse import unquote

import pytest
import yaml
from helpers.judged import METADATA, ROW, small_table, table_of
from helpers.properties import for_all
from helpers.tiny import one_line
from hypothesis import strategies as st

from lass_hf.core.errors import LassError
from lass_hf.writers.judged_triplets import judged_triplets
from lass_hf.writers.source_ids import SourceIds
from lass_hf.writers.writing import write_judged_triplets

OBO_SOURCE = SourceIds(
    {"obo:PATO_0000002": "http://purl.obolibrary.org/obo/PATO_0000002"},
    prefixes={"obo": "http://purl.obolibrary.org/obo/"},
)


def lines_of(file):
    """The commented header of a TSV file, and its rows as dicts."""
    lines = file.read_text(encoding="utf-8").split("\n")
    header = [line[1:] for line in lines if line.startswith("#")]
    body = "\n".join(line for line in lines if not line.startswith("#"))
    return "\n".join(header), list(csv.DictReader(io.StringIO(body), dialect="excel-tab"))


# KGX


def test_kgx_edges_say_that_a_model_predicts(tmp_path):
    table = small_table(relation=["biolink:treats", "eats"])
    write_judged_triplets(table, tmp_path / "edges.kgx.tsv", METADATA)
    _, (first, second) = lines_of(tmp_path / "edges.kgx.tsv")
    assert (first["subject"], first["predicate"], first["object"]) == ("cat", "biolink:treats", "mouse")
    assert (second["predicate"], second["original_predicate"]) == ("biolink:related_to", "eats")
    for row in (first, second):
        assert row["knowledge_level"] == "prediction"
        assert row["primary_knowledge_source"].startswith("infores:")
        assert uuid.UUID(row["id"]).version == 5
    # The words of the Biolink Model: Ada reviewed the first one.
    assert first["agent_type"] == "manual_validation_of_automated_agent"
    assert second["agent_type"] == "computational_model"
    assert [(row["kind"], row["reviewer"]) for row in (first, second)] == [("new", "Ada"), ("conflict", "")]
    assert float(first["has_confidence_score"]) == 0.9
    assert first["id"] != second["id"]
    assert json.loads((tmp_path / "edges.kgx.tsv.metadata.json").read_text())["graph_digest"] == "ab12"


@pytest.mark.parametrize(
    ("ending", "column", "words"),
    [("kgx.tsv", "negated", ["false", "true", ""]), ("sssom.tsv", "predicate_modifier", ["", "Not", ""])],
)
def test_a_triplet_that_is_labeled_false_is_denied_in_the_words_of_the_format(ending, column, words, tmp_path):
    names = {"head": ["a", "b", "c"], "relation": ["skos:exactMatch"] * 3, "tail": ["d", "e", "f"]}
    table = judged_triplets(**names, score=[1.0, 0.0, 0.5], label=[True, False, None])
    write_judged_triplets(table, tmp_path / f"rows.{ending}", METADATA)
    assert [row[column] for row in lines_of(tmp_path / f"rows.{ending}")[1]] == words


def test_an_edge_has_the_same_id_in_each_file(tmp_path):
    write_judged_triplets(small_table(), tmp_path / "one.kgx.tsv", METADATA)
    write_judged_triplets(small_table().slice(1), tmp_path / "two.kgx.tsv", METADATA)
    assert lines_of(tmp_path / "one.kgx.tsv")[1][1]["id"] == lines_of(tmp_path / "two.kgx.tsv")[1][0]["id"]


def test_a_relation_whose_source_is_biolink_is_one(tmp_path):
    source = SourceIds(relations={"treats": "https://w3id.org/biolink/vocab/treats"})
    write_judged_triplets(small_table(relation=["treats", "treats"]), tmp_path / "e.kgx.tsv", METADATA, source=source)
    assert {row["predicate"] for row in lines_of(tmp_path / "e.kgx.tsv")[1]} == {"biolink:treats"}


# SSSOM


def test_sssom_has_mapping_relations_with_a_header_of_yaml(tmp_path):
    table = small_table(
        head=["PATO:1", "http://a.org/x#one"], relation=["skos:exactMatch", "owl:sameAs"], tail=["DOID:2", "a b"]
    )
    source = SourceIds(prefixes={"PATO": "http://purl.obolibrary.org/obo/PATO_"})
    written = write_judged_triplets(table, tmp_path / "maps.sssom.tsv", METADATA, source=source)
    assert (written.rows, written.left_out) == (2, [])
    header, rows = lines_of(tmp_path / "maps.sssom.tsv")
    header = yaml.safe_load(header)
    assert header["mapping_set_id"] == METADATA.run
    assert header["license"].startswith("https://")
    assert (header["mapping_tool"], header["mapping_date"]) == ("lass-hf", METADATA.date[:10])
    assert json.loads(header["other"])["settings"] == METADATA.settings
    assert [row["predicate_id"] for row in rows] == ["skos:exactMatch", "owl:sameAs"]
    assert (rows[0]["subject_id"], rows[0]["subject_label"]) == ("PATO:1", "cat, a small animal")
    assert {row["mapping_justification"] for row in rows} == {"semapv:SemanticSimilarityThresholdMatching"}
    assert [float(row["confidence"]) for row in rows] == [0.9, 0.25]
    assert [(row["reviewer_label"], row["lass_kind"]) for row in rows] == [("Ada", "new"), ("", "conflict")]
    assert {one["slot_name"] for one in header["extension_definitions"]} <= set(rows[0])

    def expanded(curie):
        prefix, _, local = curie.partition(":")
        return header["curie_map"][prefix] + local

    assert expanded(rows[0]["subject_id"]) == "http://purl.obolibrary.org/obo/PATO_1"
    assert expanded(rows[1]["subject_id"]) == "http://a.org/x#one"
    assert expanded(rows[0]["object_id"]) == "urn:lass-hf:entity:DOID%3A2"
    assert expanded(rows[1]["object_id"]) == "urn:lass-hf:entity:a%20b"
    assert expanded(rows[0]["mapping_justification"]).startswith("https://w3id.org/semapv/")


def test_sssom_counts_what_is_no_mapping_and_refuses_nothing_but_that(tmp_path):
    file = tmp_path / "maps.sssom.tsv"
    written = write_judged_triplets(small_table(relation=["skos:exactMatch", "eats"]), file, METADATA)
    (left_out,) = written.left_out
    assert (written.rows, left_out.count, left_out.example) == (1, 1, "eats")
    before = file.read_bytes()
    with pytest.raises(LassError) as error:
        write_judged_triplets(small_table(), file, METADATA)
    one_line(error, "none of the 2 triplets can be written", "write the others in another format")
    assert file.read_bytes() == before


def test_every_prefix_of_sssom_is_declared_once(tmp_path, request):
    file = tmp_path / "maps.sssom.tsv"
    namespaces = {"a": "http://a.org/", "x y": "http://a.org/a", "ns1": "http://b.org/", "lass.entity": "http://c.org/"}
    source = SourceIds(prefixes=namespaces)
    ids = [
        "a:1",
        "http://a.org/ab",
        "http://d.org/1",
        "http://e.org/1",
        "b",
        "http://b.org/#x",
        "http://c.org/f",
        "f:g",
    ]

    def check(heads):
        table = judged_triplets(
            head=heads, relation=["skos:closeMatch"] * len(heads), tail=heads[::-1], score=[0.0] * len(heads)
        )
        write_judged_triplets(table, file, METADATA, source=source)
        header, rows = lines_of(file)
        prefixes = yaml.safe_load(header)["curie_map"]
        for row, head in zip(rows, heads, strict=True):
            prefix, _, local = row["subject_id"].partition(":")
            assert prefixes[prefix] + local == source.iri(head)
        return True

    for_all(request, 6, heads=st.lists(st.sampled_from(ids), max_size=8))(check)


# OBO


def load(file):
    return pytest.importorskip("pronto").Ontology(str(file), encoding="utf-8", threads=1)


def test_obo_has_accepted_triplets_in_the_stanzas_of_their_heads(tmp_path):
    table = small_table(
        head=["PATO:1", "PATO:1"],
        relation=["is_a", "part_of"],
        tail=["obo:PATO_0000002", "a b,c"],
        label=[True, True],
        tail_text=["two {x} ! \\y\nz", ""],
        reviewer=['Ada "A" {x}\n', ""],
    )
    write_judged_triplets(table, tmp_path / "new.obo", METADATA, source=OBO_SOURCE)
    lines = (tmp_path / "new.obo").read_text(encoding="utf-8").splitlines()
    qualifiers = r'lass_probability="0.9", lass_score="0.1", lass_reviewer="Ada \"A\" \{x\}"'
    expected = rf"is_a: PATO:0000002 {{{qualifiers}}} ! two \{{x\}} ! \\y z"
    assert lines[lines.index("id: PATO:1") + 1] == expected
    ontology = load(tmp_path / "new.obo")
    term = ontology["PATO:1"]
    assert [one.id for one in term.superclasses(with_self=False)] == ["PATO:0000002"]
    assert [one.id for one in term.relationships[ontology.get_relationship("part_of")]] == ["a b,c"]
    (remark,) = ontology.metadata.remarks
    assert json.loads(remark)["settings"] == METADATA.settings


def test_obo_leaves_out_what_is_not_accepted(tmp_path):
    written = write_judged_triplets(small_table(), tmp_path / "new.obo", METADATA)
    (left_out,) = written.left_out
    assert (written.rows, left_out.count, left_out.example) == (1, 1, "dog is_a animal")
    with pytest.raises(LassError) as error:
        write_judged_triplets(small_table(label=[None, False]), tmp_path / "none.obo", METADATA)
    one_line(error, "none of the 2 triplets", "lass-hf classify")
    assert not (tmp_path / "none.obo").exists()


def test_every_accepted_triplet_is_in_the_ontology(tmp_path, request):
    pytest.importorskip("pronto")
    rows = st.lists(st.fixed_dictionaries({**ROW, "label": st.just(True)}), min_size=1, max_size=8)

    def check(rows):
        write_judged_triplets(table_of(rows), tmp_path / "new.obo", METADATA)
        ontology = load(tmp_path / "new.obo")

        def plain(id):
            return unquote(id.partition(":")[2]) if id.startswith(("lass.entity:", "lass.relation:")) else id

        related = [
            (term.id, relation.id, other.id)
            for term in ontology.terms()
            for relation, others in term.relationships.items()
            for other in others
        ]
        found = {tuple(map(plain, triplet)) for triplet in related}
        assert found == {tuple(map(plain, (row["head"], row["relation"], row["tail"]))) for row in rows}
        return len(rows)

    for_all(request, 6, rows=rows)(check)
