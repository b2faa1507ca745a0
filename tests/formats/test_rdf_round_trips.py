"""Graphs in many scripts, written by pyoxigraph in each syntax, are read back as they were."""

import pytest
from helpers.properties import for_all
from helpers.sources import column, triplets
from hypothesis import strategies as st

from lass_hf.core.vocabulary import BLANKS
from lass_hf.formats.rdf import read_rdf
from lass_hf.names.source import ReadingOptions

ox = pytest.importorskip("pyoxigraph")

SYNTAXES = {"ttl": "TURTLE", "nt": "N_TRIPLES", "nq": "N_QUADS", "trig": "TRIG", "rdf": "RDF_XML", "jsonld": "JSON_LD"}
RELATIONS = ["http://example.org/r", "http://example.org/s#t", "http://www.w3.org/2004/02/skos/core#broader"]
LABEL = ox.NamedNode("http://www.w3.org/2000/01/rdf-schema#label")
SCRIPTS = "aZ9.-_~%41/:éßЖאبहไ한日𝄞😀👩\u200d🔬\u0301\u200f\u00a0\u2003\u200b'()"
LOCALS = st.text(st.sampled_from(SCRIPTS), max_size=6).map(lambda local: local.replace("%", "%41"))
IRIS = st.builds(
    lambda start, local: start + local,
    st.sampled_from(
        ["http://example.org/", "http://example.org/s#", "urn:x:", "ex:", "http://purl.obolibrary.org/obo/"]
    ),
    LOCALS,
)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=20),
    st.sampled_from(
        ["שלום عالم", "👩\u200d🔬", "a\u0301", "tab\tand\nline", 'quote " and \\', "x" * 100_000, "\u202eabc", "&lt;"]
    ),
)


def write(path, syntax, statements):
    options = (
        {"prefixes": {"ex": "http://example.org/", "exs": "http://example.org/s#"}} if syntax != "N_TRIPLES" else {}
    )
    path.write_bytes(ox.serialize(statements, format=getattr(ox.RdfFormat, syntax), **options))


@pytest.mark.parametrize("ending", SYNTAXES)
def test_what_is_written_is_read(request, tmp_path, ending):
    def check(rows, texts):
        names = sorted({name for head, _, tail in rows for name in (head, tail)})
        statements = [ox.Triple(*map(ox.NamedNode, row)) for row in rows]
        labels = dict(zip(names, texts, strict=False))
        statements += [ox.Triple(ox.NamedNode(name), LABEL, ox.Literal(text)) for name, text in labels.items()]
        write(tmp_path / f"a.{ending}", SYNTAXES[ending], statements)
        source = read_rdf(tmp_path / f"a.{ending}", ReadingOptions())
        iri_of = {**column(source, "source_id"), **column(source, "source_id", "relations")}
        found = [tuple(iri_of[name] or name for name in triplet) for triplet in triplets(source)]
        assert sorted(found) == sorted(set(rows))
        for name, text in column(source, "name").items():
            expected = labels.get(iri_of[name] or name, "")
            assert text == (expected if expected.strip(BLANKS) else None)
        for name, iri in iri_of.items():
            prefix, _, local = name.partition(":")
            assert (iri or name) == (source.prefixes[prefix] + local if prefix in source.prefixes else name.strip("<>"))
            assert name == name.strip(BLANKS)
        return len(rows)

    rows = st.lists(st.tuples(IRIS, st.sampled_from(RELATIONS), IRIS), min_size=1, max_size=4)
    for_all(request, 15, rows=rows, texts=st.lists(TEXTS, max_size=4))(check)


@pytest.mark.parametrize("ending", ["ttl", "nt", "jsonld"])
def test_control_characters_in_names_survive(tmp_path, ending):
    every = "".join(map(chr, range(160)))
    head = ox.NamedNode("http://example.org/a")
    statements = [ox.Triple(head, ox.NamedNode(RELATIONS[0]), head), ox.Triple(head, LABEL, ox.Literal(every))]
    write(tmp_path / f"a.{ending}", SYNTAXES[ending], statements)
    assert list(column(read_rdf(tmp_path / f"a.{ending}", ReadingOptions()), "name").values()) == [every]
