"""RDF: what of it becomes triplets, entities and texts, and what is left out."""

import gzip

import pytest
from helpers.sources import column, left_out, triplets

from lass_hf.core.errors import GraphError
from lass_hf.formats.rdf import read_rdf
from lass_hf.names.source import ReadingOptions

pytest.importorskip("pyoxigraph")

PREFIXES = """
@prefix ex: <http://example.org/> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix dcterms: <http://purl.org/dc/terms/> .
"""


def read(folder, text, name="graph.ttl", **options):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(PREFIXES + text if name.endswith(".ttl") else text, encoding="utf-8")
    return read_rdf(folder / name, ReadingOptions(**options))


def test_statements_between_resources_become_triplets_and_labels_become_names(tmp_path):
    source = read(
        tmp_path,
        """
        ex:marie ex:bornIn ex:warsaw ; rdfs:label "Marie Curie" ; rdfs:comment "physicist" ; ex:year 1867 .
        ex:bornIn rdfs:label "was born in" .
        ex:unlinked skos:prefLabel "a lone thing" .
        """,
    )
    assert triplets(source) == [("ex:marie", "ex:bornIn", "ex:warsaw")]
    assert column(source, "name") == {"ex:marie": "Marie Curie", "ex:warsaw": None, "ex:unlinked": "a lone thing"}
    assert column(source, "description")["ex:marie"] == "physicist"
    assert column(source, "source_id")["ex:warsaw"] == "http://example.org/warsaw"
    assert column(source, "name", "relations") == {"ex:bornIn": "was born in"}
    assert source.prefixes["ex"] == "http://example.org/"
    assert left_out(source) == {"literals of ex:year": 1}
    assert source.left_out[0].example == 'ex:marie ex:year "1867"'
    assert (source.format, source.files) == ("Turtle", [tmp_path / "graph.ttl"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.nt", "<http://x.org/a> <http://x.org/r> <http://x.org/b> .\n"),
        ("a.nq", "<http://x.org/a> <http://x.org/r> <http://x.org/b> <http://x.org/g> .\n"),
        ("a.trig", "@prefix x: <http://x.org/> . x:g { x:a x:r x:b }"),
        (
            "a.jsonld",
            '{"@context": {"r": {"@id": "http://x.org/r", "@type": "@id"}}, "@id": "http://x.org/a", "r": "http://x.org/b"}',
        ),
        (
            "a.rdf",
            '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:x="http://x.org/">'
            '<rdf:Description rdf:about="http://x.org/a"><x:r rdf:resource="http://x.org/b"/></rdf:Description></rdf:RDF>',
        ),
    ],
)
def test_all_syntaxes_are_read_plain_and_compressed_with_a_byte_order_mark_too(tmp_path, name, text):
    (tmp_path / name).write_text("\ufeff" + text, encoding="utf-8")
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    plain, compressed = (read_rdf(tmp_path / file, ReadingOptions()) for file in (name, f"{name}.gz"))
    expand = {"a": "http://x.org/a", "r": "http://x.org/r", "b": "http://x.org/b"}
    for source in (plain, compressed):
        sources = {**column(source, "source_id"), **column(source, "source_id", "relations")}
        assert [tuple(sources[each] or each for each in triplet) for triplet in triplets(source)] == [
            tuple(expand.values())
        ]
    assert ("named graphs that are read as one graph: 1" in plain.notes) == (name in ("a.nq", "a.trig"))


def test_a_folder_is_one_graph_whose_blank_nodes_stay_apart(tmp_path):
    (tmp_path / "1.ttl").write_text(f"{PREFIXES} ex:a ex:r _:x . ex:a ex:r ex:b .", encoding="utf-8")
    (tmp_path / "2.ttl").write_text(f"{PREFIXES} ex:b ex:r _:x . ex:a ex:r ex:b .", encoding="utf-8")
    source = read_rdf(tmp_path, ReadingOptions(include="blank_nodes"))
    assert triplets(source) == [("ex:a", "ex:r", "_:1"), ("ex:a", "ex:r", "ex:b"), ("ex:b", "ex:r", "_:2")]
    assert left_out(source) == {"repeated statements": 1}


def test_what_belongs_to_the_schema_languages_is_counted_and_left_out(tmp_path):
    text = """
        ex:C a owl:Class ; rdfs:subClassOf ex:D, owl:Thing ; rdfs:seeAlso ex:page ; dcterms:creator ex:me .
        ex:C ex:noted ex:N .
        ex:p a owl:ObjectProperty ; rdfs:label "p" ; rdfs:domain ex:C .
        ex:noted a owl:AnnotationProperty ; rdfs:label "noted" .
        ex:old owl:deprecated true ; rdfs:label "old" ; rdfs:subClassOf ex:D .
        ex:i a ex:C ; ex:p [ ex:p ex:C ] ; dcterms:creator ex:me .
        <http://example.org/> a owl:Ontology ; owl:imports <http://example.org/other.owl> ; rdfs:label "the ontology" .
    """
    source = read(tmp_path, text)
    kept = [("ex:C", "rdfs:subClassOf", "ex:D"), ("ex:i", "rdf:type", "ex:C"), ("ex:i", "dcterms:creator", "ex:me")]
    assert triplets(source) == kept
    assert list(column(source, "id")) == ["ex:C", "ex:D", "ex:me", "ex:i"]
    assert left_out(source) == {
        "types and superclasses that belong to RDF, RDFS, OWL or SKOS": 5,
        "statements with blank nodes": 2,
        "statements about properties, ontologies, concept schemes and labels": 2,
        "annotations": 2,
        "statements about the provenance of terms": 1,
        "statements with obsolete terms": 1,
        "obsolete terms": 1,
        "other names": 4,
    }
    assert [note for note in source.notes if "owl:imports <http://example.org/other.owl>: not fetched" in note]
    assert set(triplets(read(tmp_path, text, include="annotations"))) == {
        *kept,
        *(
            ("ex:C", *rest)
            for rest in (("rdfs:seeAlso", "ex:page"), ("dcterms:creator", "ex:me"), ("ex:noted", "ex:N"))
        ),
    }
    assert ("ex:p", "rdfs:domain", "ex:C") in triplets(read(tmp_path, text, relations=["rdfs:domain"]))
    assert ("ex:i", "ex:p", "_:1") in triplets(read(tmp_path, text, include=["blank_nodes"]))


def test_axioms_about_relations_are_no_facts_and_a_vocabulary_stays_a_graph(tmp_path):
    text = """
        ex:contains owl:inverseOf ex:in . ex:in rdfs:subPropertyOf ex:near ; rdfs:range ex:Place .
        ex:a ex:in ex:b . ex:b ex:contains ex:a . ex:a ex:borders ex:b .
    """
    source = read(tmp_path, text)
    assert triplets(source) == [
        ("ex:a", "ex:in", "ex:b"),
        ("ex:b", "ex:contains", "ex:a"),
        ("ex:a", "ex:borders", "ex:b"),
    ]
    assert left_out(source) == {"axioms about relations": 3}
    assert ("ex:contains", "owl:inverseOf", "ex:in") in triplets(read(tmp_path, text, relations=["owl:inverseOf"]))
    vocabulary = "ex:name rdfs:subPropertyOf ex:label ; rdfs:domain ex:Person . ex:age rdfs:domain ex:Person ."
    assert len(triplets(read(tmp_path, vocabulary))) == 3


def test_restrictions_are_triplets_and_other_class_expressions_are_not(tmp_path):
    source = read(
        tmp_path,
        """
        ex:finger rdfs:subClassOf [ a owl:Restriction ; owl:onProperty ex:part_of ; owl:someValuesFrom ex:hand ] ,
            [ a owl:Restriction ; owl:onProperty ex:part_of ; owl:allValuesFrom ex:body ] ,
            [ a owl:Restriction ; owl:onProperty ex:part_of ; owl:someValuesFrom [ owl:unionOf ( ex:hand ex:foot ) ] ] .
        ex:hand owl:equivalentClass [ owl:intersectionOf ( ex:part ex:end ) ] .
        """,
    )
    assert triplets(source) == [("ex:finger", "ex:part_of", "ex:hand")]
    assert list(left_out(source)) == ["statements of class expressions, axioms and lists"]
    assert "OWL restrictions (someValuesFrom) that are read as triplets of their property: 1" in source.notes


def test_literals_become_entities_where_they_are_asked_for(tmp_path):
    text = 'ex:a ex:r ex:b ; ex:year 1867 ; ex:motto "1867", "a\\tb"@en ; rdfs:label "A" .'
    year = '"1867"^^<http://www.w3.org/2001/XMLSchema#integer>'
    source = read(tmp_path, text, include="literals")
    tails = {tail for _, _, tail in triplets(source)}
    assert tails == {"ex:b", year, '"1867"', '"a\\tb"@en'}
    assert column(source, "name") == {"ex:a": "A", "ex:b": None, year: "1867", '"1867"': "1867", '"a\\tb"@en': "a\tb"}
    assert {tail for _, _, tail in triplets(read(tmp_path, text, relations=["ex:year"]))} == {"ex:b", year}
    chosen = read(tmp_path, text, relations="http://example.org/year", include="literals")
    assert left_out(chosen) == {"literals of ex:motto": 2}  # only the relations that are asked for


def test_the_preferred_language_decides_about_names_then_the_property_then_the_alphabet(tmp_path):
    text = """
        ex:a ex:r ex:b, ex:c, ex:d, ex:e .
        ex:a rdfs:label "Katze"@de , "cat"@en , " "@en ; skos:prefLabel "chat"@fr , "moggy"@en .
        ex:b rdfs:label "Hund"@de ; skos:prefLabel "dog"@en-GB .
        ex:c rdfs:label "Pferd"@de , "cheval"@fr .
        ex:d rdfs:label "Esel"@de , "donkey" .
        ex:e rdfs:label "zebu"@en , "ox"@en .
    """
    source = read(tmp_path, text)
    assert column(source, "name") == dict(
        zip(("ex:a", "ex:b", "ex:c", "ex:d", "ex:e"), ("cat", "dog", "Pferd", "donkey", "ox"), strict=True)
    )
    assert left_out(source) == {"other names": 8}
    tied = "names of which there are several in one language and property: 1; the first by alphabet is taken"
    assert f"{tied}, such as 'ox' for ex:e" in source.notes
    assert "names in another language, as there are none in en: 1 (de: 1)" in source.notes
    german = ("Katze", "Hund", "Pferd", "Esel", "ox")
    assert tuple(column(read(tmp_path, text, language="de"), "name").values()) == german
    assert column(read(tmp_path, text, name_of="skos:prefLabel"), "name")["ex:a"] == "moggy"
    with pytest.raises(GraphError, match=r"language='xx': no name .* expected one of \(none\), de, en, en-gb, fr"):
        read(tmp_path, text, language="xx")
    with pytest.raises(GraphError, match=r"name_of='ex:title': no statement has this property; expected .*rdfs:label"):
        read(tmp_path, text, name_of="ex:title")


def test_labels_that_are_resources_give_names(tmp_path):
    source = read(
        tmp_path,
        """
        @prefix skosxl: <http://www.w3.org/2008/05/skos-xl#> .
        ex:a skos:broader ex:b ; skosxl:prefLabel ex:label, [ a skosxl:Label ; skosxl:literalForm "Katze"@de ] .
        ex:label a skosxl:Label ; skosxl:literalForm "cat"@en ; dcterms:creator ex:me .
        ex:b skosxl:prefLabel [ skosxl:literalForm "animal" ] .
        """,
    )
    assert triplets(source) == [("ex:a", "skos:broader", "ex:b")]
    assert column(source, "name") == {"ex:a": "cat", "ex:b": "animal"}
    assert left_out(source) == {
        "statements with blank nodes": 3,
        "statements about properties, ontologies, concept schemes and labels": 3,
        "other names": 1,
    }


def test_descriptions_are_freed_of_html_and_links_but_not_of_comparisons(tmp_path):
    source = read(
        tmp_path,
        r"""
        ex:a ex:r ex:b .
        ex:a rdfs:comment
            "<p id=\"x\">A [[Thing]] of <a href='u'>H<sub>2</sub>O</a> &amp; [more](https://x.org).</p>\\n\\nThe\nEnd" .
        ex:b rdfs:comment "p < 0.05 and a <b and c> d; AT&T; List<b, c>; [1](see) \\nu" .
        """,
    )
    assert list(column(source, "description").values()) == [
        "A Thing of H2O & more. The\nEnd",
        "p < 0.05 and a <b and c> d; AT&T; List<b, c>; [1](see) \\nu",
    ]
    assert "descriptions that were freed of HTML, links and escaped line breaks: 1" in source.notes


def test_no_two_iris_share_an_id_and_each_id_leads_back(tmp_path):
    text = """
        @prefix urn: <http://urn.example/> . @prefix long: <http://example.org/long/> . @prefix : <http://empty.org/> .
        urn:x ex:r <urn:x> , ex:long , <http://example.org/long/a> , <http://example.org/> , :e ,
            <http://other.org/#a> , <http://purl.obolibrary.org/obo/PATO_0000001> ,
            <http://purl.obolibrary.org/obo/pato#has> , <http://n.org/\\u2003> , <http://example.org/\\u00a0> .
    """
    source = read(tmp_path, text)
    ids = [tail for _, _, tail in triplets(source)]
    assert ids == [
        *(
            "urn:x",
            "ex:long",
            "long:a",
            "http://example.org/",
            ":e",
            "http://other.org/#a",
            "PATO:0000001",
            "obo:pato#has",
        ),
        *("<http://n.org/\u2003>", "<http://example.org/\u00a0>"),
    ]
    assert triplets(source)[0][0] == "http://urn.example/x"
    for name, iri in column(source, "source_id").items():
        prefix, _, local = name.partition(":")
        assert (iri or name) == (source.prefixes[prefix] + local if prefix in source.prefixes else name.strip("<>"))


def test_statements_about_statements_are_counted(tmp_path):
    source = read(tmp_path, "ex:a ex:r ex:b {| ex:since 1999 |} .")
    assert triplets(source) == [("ex:a", "ex:r", "ex:b")]
    assert left_out(source) == {"statements about statements": 1, "literals of ex:since": 1}


def test_a_result_without_triplets_says_where_the_statements_went(tmp_path):
    with pytest.raises(
        GraphError, match=r"no triplet in 2 statements; left out: 1 annotations .*; left out: 1 literals of ex:y"
    ):
        read(tmp_path, "ex:a rdfs:seeAlso ex:b ; ex:y 1 .")
    with pytest.raises(GraphError, match=r"head_column means nothing for Turtle"):
        read(tmp_path, "ex:a ex:r ex:b .", head_column="h")


def test_statements_about_statements_are_no_triplets(tmp_path):
    text = """@prefix e: <http://e.org/> . @prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
        e:a e:likes e:b . e:s a rdf:Statement ; rdf:subject e:a ; rdf:predicate e:likes ; rdf:object e:b ;
        e:by e:me ."""
    (tmp_path / "graph.ttl").write_text(text)
    source = read_rdf(tmp_path / "graph.ttl", ReadingOptions())
    assert triplets(source) == [("e:a", "e:likes", "e:b")]
    assert left_out(source)["statements about statements"] == 5


def test_a_predicate_of_wikidata_is_called_as_its_property(tmp_path):
    source = read(
        tmp_path,
        """
        @prefix wikibase: <http://wikiba.se/ontology#> .
        @prefix wd: <http://www.wikidata.org/entity/> .
        @prefix wdt: <http://www.wikidata.org/prop/direct/> .
        wd:P36 rdfs:label "capital"@en, "Hauptstadt"@de ; wikibase:directClaim wdt:P36 .
        wd:P37 rdfs:label "language"@en ; wikibase:directClaim wdt:P37 .
        wdt:P36 a owl:ObjectProperty .
        wdt:P37 a owl:ObjectProperty .
        wd:Q31 wdt:P36 wd:Q239 .
        """,
        language="de",
    )
    assert source.relations.select(["id", "name"]).to_pylist() == [{"id": "wdt:P36", "name": "Hauptstadt"}]
    assert "wdt:P37" not in source.entities["id"].to_pylist()


@pytest.mark.parametrize("name", ["lines.jsonld", "lines.ndjson", "lines.json"])
def test_documents_of_json_ld_in_lines_are_one_graph(tmp_path, name):
    line = '{"@context": {"x": "http://x.org/"}, "@id": "/g", "@graph": [{"@id": "x:%d", "x:r": {"@id": "x:%d"}}]}\n'
    source = read(tmp_path, line % (1, 2) + "\n" + line % (2, 3), name)
    assert triplets(source) == [("x:1", "x:r", "x:2"), ("x:2", "x:r", "x:3")]
    with pytest.raises(GraphError, match=r"line 2: not valid JSON-LD"):
        read(tmp_path, line % (1, 2) + '{"@context": {}, "@id": 1}\n', name)


def test_relative_iris_of_json_ld_are_read(tmp_path):
    document = '{"@id": "a", "http://x.org/r": {"@id": "/b"}}'
    assert triplets(read(tmp_path, document, "x.jsonld")) == [("file:///a", "http://x.org/r", "file:///b")]
