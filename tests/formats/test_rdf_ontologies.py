"""Ontologies and thesauri: against pronto, which reads the same ontology as OBO, and against SPARQL."""

import os
from pathlib import Path

import pytest
from helpers.sources import column, left_out, triplets

from lass_hf.formats.rdf import read_rdf
from lass_hf.names.source import ReadingOptions

pyoxigraph = pytest.importorskip("pyoxigraph")
DATA = Path(os.environ.get("LASS_DATA_DIR", "missing"), "formats")


def accounted(source):
    """How many statements became triplets and texts, or were left out."""
    taken = [text for table in ("entities", "relations") for text in column(source, "name", table).values() if text]
    taken += [text for text in column(source, "description").values() if text]
    return len(triplets(source)) + len(taken) + sum(left_out(source).values())


OBO = """format-version: 1.4
ontology: test

[Term]
id: TEST:0000001
name: body part
def: "A part of a body, <5 m long." [TEST:x]
synonym: "organ" BROAD []

[Term]
id: TEST:0000002
name: hand
is_a: TEST:0000001 ! body part
relationship: BFO:0000050 TEST:0000003 ! arm

[Term]
id: TEST:0000003
name: arm
def: "It holds the hand." []
is_a: TEST:0000001
relationship: RO:0002202 TEST:0000004

[Term]
id: TEST:0000004
name: limb bud

[Term]
id: TEST:0000009
name: obsolete claw
is_obsolete: true

[Typedef]
id: BFO:0000050
name: part of
is_transitive: true

[Typedef]
id: RO:0002202
name: develops from
"""
OWL = """<?xml version="1.0"?>
<!DOCTYPE rdf:RDF [
    <!ENTITY owl "http://www.w3.org/2002/07/owl#" >
    <!ENTITY obo "http://purl.obolibrary.org/obo/" >
    <!ENTITY test "&obo;TEST_" >
]>
<rdf:RDF xmlns="http://purl.obolibrary.org/obo/test.owl#" xml:base="http://purl.obolibrary.org/obo/test.owl"
    xmlns:obo="http://purl.obolibrary.org/obo/" xmlns:owl="http://www.w3.org/2002/07/owl#"
    xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#"
    xmlns:oboInOwl="http://www.geneontology.org/formats/oboInOwl#">
  <owl:Ontology rdf:about=""/>
  <owl:AnnotationProperty rdf:about="&obo;IAO_0000115"><rdfs:label>definition</rdfs:label></owl:AnnotationProperty>
  <owl:ObjectProperty rdf:about="&obo;BFO_0000050">
    <rdf:type rdf:resource="&owl;TransitiveProperty"/><rdfs:label>part of</rdfs:label>
  </owl:ObjectProperty>
  <owl:ObjectProperty rdf:about="&obo;RO_0002202"><rdfs:label>develops from</rdfs:label></owl:ObjectProperty>
  <owl:Class rdf:about="&test;0000001">
    <obo:IAO_0000115>A part of a body, &lt;5 m long.</obo:IAO_0000115>
    <oboInOwl:hasBroadSynonym>organ</oboInOwl:hasBroadSynonym>
    <rdfs:label>body part</rdfs:label>
  </owl:Class>
  <owl:Axiom>
    <owl:annotatedSource rdf:resource="&test;0000001"/>
    <owl:annotatedProperty rdf:resource="&obo;IAO_0000115"/>
    <owl:annotatedTarget>A part of a body, &lt;5 m long.</owl:annotatedTarget>
    <oboInOwl:hasDbXref>TEST:x</oboInOwl:hasDbXref>
  </owl:Axiom>
  <owl:Class rdf:about="&test;0000002">
    <rdfs:subClassOf rdf:resource="&test;0000001"/>
    <rdfs:subClassOf>
      <owl:Restriction>
        <owl:onProperty rdf:resource="&obo;BFO_0000050"/><owl:someValuesFrom rdf:resource="&test;0000003"/>
      </owl:Restriction>
    </rdfs:subClassOf>
    <rdfs:label>hand</rdfs:label>
  </owl:Class>
  <owl:Class rdf:about="&test;0000003">
    <rdfs:subClassOf rdf:resource="&test;0000001"/>
    <rdfs:subClassOf>
      <owl:Restriction>
        <owl:onProperty rdf:resource="&obo;RO_0002202"/><owl:someValuesFrom rdf:resource="&test;0000004"/>
      </owl:Restriction>
    </rdfs:subClassOf>
    <obo:IAO_0000115>It holds the hand.</obo:IAO_0000115>
    <rdfs:label>arm</rdfs:label>
  </owl:Class>
  <owl:Class rdf:about="&test;0000004"><rdfs:label>limb bud</rdfs:label></owl:Class>
  <owl:Class rdf:about="&test;0000009">
    <rdfs:label>obsolete claw</rdfs:label>
    <owl:deprecated rdf:datatype="http://www.w3.org/2001/XMLSchema#boolean">true</owl:deprecated>
  </owl:Class>
</rdf:RDF>
"""


def test_an_ontology_in_owl_gives_what_pronto_reads_of_it_in_obo(tmp_path):
    pronto = pytest.importorskip("pronto")
    (tmp_path / "test.obo").write_text(OBO, encoding="utf-8")
    (tmp_path / "test.owl").write_text(OWL, encoding="utf-8")
    terms = [term for term in pronto.Ontology(tmp_path / "test.obo").terms() if not term.obsolete]
    expected = set()
    for term in terms:
        supers = term.superclasses(distance=1, with_self=False)
        expected |= {(term.id, "rdfs:subClassOf", other.id) for other in supers}
        expected |= {(term.id, kind.id, other.id) for kind, others in term.relationships.items() for other in others}
    source = read_rdf(tmp_path / "test.owl", ReadingOptions())
    assert len(expected) == 4
    assert sorted(triplets(source)) == sorted(expected)
    assert column(source, "name") == {term.id: term.name for term in terms}
    assert column(source, "description") == {term.id: term.definition and str(term.definition) for term in terms}
    names = column(source, "name", "relations")
    assert names == {"rdfs:subClassOf": None, "BFO:0000050": "part of", "RO:0002202": "develops from"}
    assert source.prefixes["TEST"] == "http://purl.obolibrary.org/obo/TEST_"
    assert left_out(source)["obsolete terms"] == 1


@pytest.mark.skipif(not (DATA / "uat.rdf").exists(), reason="needs the thesaurus uat.rdf")
def test_a_thesaurus_has_the_triplets_and_names_that_sparql_finds():
    store = pyoxigraph.Store()
    store.load(path=str(DATA / "uat.rdf"), format=pyoxigraph.RdfFormat.RDF_XML)
    current = """FILTER NOT EXISTS { ?s owl:deprecated true } FILTER NOT EXISTS { ?o owl:deprecated true }"""
    prefixes = "PREFIX skos: <http://www.w3.org/2004/02/skos/core#> PREFIX owl: <http://www.w3.org/2002/07/owl#> "
    source = read_rdf(DATA / "uat.rdf", ReadingOptions())
    for relation in ("broader", "narrower", "related"):
        rows = store.query(f"{prefixes} SELECT DISTINCT ?s ?o {{ ?s skos:{relation} ?o . {current} }}")
        expected = {(row["s"].value, row["o"].value) for row in rows}
        found = [(head, tail) for head, name, tail in triplets(source) if name == f"skos:{relation}"]
        assert len(found) == len(expected) > 600
        assert set(found) == expected
    rows = store.query(
        f"{prefixes} SELECT ?s (COUNT(?t) AS ?n) {{ ?s a skos:Concept ; skos:prefLabel ?t . "
        "FILTER NOT EXISTS { ?s owl:deprecated true } FILTER (LANG(?t) = 'en') } GROUP BY ?s"
    )
    labeled = {row["s"].value for row in rows}
    assert labeled == {name for name, text in column(source, "name").items() if text}
    statements = sum(1 for _ in pyoxigraph.parse(path=DATA / "uat.rdf", format=pyoxigraph.RdfFormat.RDF_XML))
    assert accounted(source) == statements


@pytest.mark.skipif(not (DATA / "schemaorg.ttl").exists(), reason="needs the vocabulary schemaorg.ttl")
def test_a_vocabulary_has_the_triplets_that_sparql_finds():
    store = pyoxigraph.Store()
    store.load(path=str(DATA / "schemaorg.ttl"), format=pyoxigraph.RdfFormat.TURTLE)
    source = read_rdf(DATA / "schemaorg.ttl", ReadingOptions())
    twice = sum(bool(column(source, "name").get(name)) for name in column(source, "name", "relations"))
    assert accounted(source) - twice == len(store)
    for relation in ("domainIncludes", "rangeIncludes"):
        rows = list(store.query(f"SELECT ?s ?o {{ ?s <https://schema.org/{relation}> ?o }}"))
        assert sum(name == f"schema:{relation}" for _, name, _ in triplets(source)) == len(rows) > 2000
    descriptions = column(source, "description")
    texts = [text.replace("[[value] and", "") for text in descriptions.values() if text]  # a slip of the source
    assert not [text for text in texts if any(sign in text for sign in ("[[", "</a>", "<code>", "\\n\\n"))]
    assert sum(text is not None for text in descriptions.values()) == 2987
