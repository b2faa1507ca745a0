"""The words of an id."""

import pytest

from lass_hf.names.words import words_of_id


@pytest.mark.parametrize(
    ("id", "words"),
    [
        ("subClassOf", "sub class of"),
        ("biolink:SmallMolecule", "small molecule"),
        ("biolink:treats", "treats"),
        ("http://schema.org/domainIncludes", "domain includes"),
        ("http://www.w3.org/2004/02/skos/core#broader", "broader"),
        ("http://example.org/has_part/", "has part"),
        ("/people/person/nationality", "people person nationality"),
        ("Compound_Palliates_Disease", "compound palliates disease"),
        ("hasDNASequence", "has DNA sequence"),
        ("ACTED_IN", "acted in"),
        ("isA", "is a"),
        ("part-of", "part-of"),
        ("größer_als", "größer als"),
        ("hat Sitz in", "hat Sitz in"),
        ("ex:Tochter von", "Tochter von"),
        (":Pizza", "pizza"),
        ("http://example.org/Caf%C3%A9%20noir", "Café noir"),
        ("DRUGBANK::target::Compound:Gene", "target compound:gene"),
    ],
)
def test_an_id_becomes_its_words(id, words):
    assert words_of_id(id) == words


@pytest.mark.parametrize(
    ("id", "code"),
    [
        ("P31", "P31"),
        ("RO:0002211", "RO:0002211"),
        ("http://purl.obolibrary.org/obo/BFO_0000050", "BFO_0000050"),
        ("http://www.wikidata.org/prop/direct/P31", "P31"),
        ("007", "007"),
        ("http://example.org/%FF1", "%FF1"),
        ("関係", "関係"),
        (":", ":"),
        ("_", "_"),
    ],
)
def test_a_code_stays_what_it_is(id, code):
    assert words_of_id(id) == code
