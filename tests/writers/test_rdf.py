"""Judged triplets as RDF: what is stated, what is said of each triplet, and IRIs that are never broken."""

import json
from urllib.parse import unquote

import pytest
from helpers.judged import METADATA, name, small_table, tables
from helpers.properties import for_all
from helpers.tiny import one_line
from hypothesis import strategies as st

from lass_hf.core.errors import LassError
from lass_hf.writers.judged_triplets import NAMES, NOTES, TEXTS
from lass_hf.writers.source_ids import SourceIds
from lass_hf.writers.writing import write_judged_triplets

ox = pytest.importorskip("pyoxigraph")

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
TERMS = "urn:lass-hf:terms:"
SYNTAX = {"ntriples": ox.RdfFormat.N_TRIPLES, "nquads": ox.RdfFormat.N_QUADS, "turtle": ox.RdfFormat.TURTLE}
FORMATS = ["ntriples", "nquads", "turtle", "ntriples-1.2", "nquads-1.2", "turtle-1.1"]
SOURCE = SourceIds(
    {"own": "http://example.org/own form"}, {"": "http://e.org/", "a": "http://e.org/a#", "x y": "no iri"}
)


def parsed(file, format):
    """The quads of a file, as an independent store has them."""
    return list(ox.parse(path=str(file), format=SYNTAX[format.partition("-")[0]]))


def rows_of(quads, run):
    """What is said of each row, by its number: values by term; and all statements beside these and the run's."""
    rows, stated = {}, []
    for quad in quads:
        subject = quad.subject.value
        if subject.startswith(f"{run}#row"):
            row = rows.setdefault(int(subject.removeprefix(f"{run}#row")), {})
            row.setdefault(quad.predicate.value.removeprefix(TERMS).removeprefix(RDF), []).append(quad.object)
        elif subject != run:
            stated.append((quad.subject, quad.predicate, quad.object))
    return rows, stated


def triplet_of(row):
    if "reifies" in row:
        (statement,) = row["reifies"]
        return statement.subject, statement.predicate, statement.object
    assert [one.value for one in row["type"]] == [f"{RDF}Statement"]
    return tuple(row[slot][0] for slot in ("subject", "predicate", "object"))


def value_of(row, name):
    return row[name][0].value if name in row else None


@pytest.mark.parametrize("format", FORMATS)
def test_every_table_is_in_the_statements(format, tmp_path, request):
    file = tmp_path / "rows"

    def check(table):
        write_judged_triplets(table, file, METADATA, format, SOURCE)
        quads = parsed(file, format)
        rows, stated = rows_of(quads, METADATA.run)
        expected = table.to_pylist()
        for number, row in enumerate(expected, start=1):
            found = rows[number]
            for node, slot in zip(triplet_of(found), NAMES, strict=True):
                kind = "relation" if slot == "relation" else "entity"
                minted = f"urn:lass-hf:{kind}:"
                if node.value != SOURCE.iri(row[slot], kind) or node.value.startswith(minted) > row[slot].startswith(
                    minted
                ):
                    assert unquote(node.value.removeprefix(minted)) == row[slot]
            words = (*TEXTS, *NOTES)
            assert [value_of(found, text) or "" for text in words] == [row[text] for text in words]
            assert float(value_of(found, "score")) == pytest.approx(row["score"], rel=1e-6)
            assert float(value_of(found, "probability") or -1) == (
                -1 if row["probability"] is None else row["probability"]
            )
            assert value_of(found, "rank") == (None if row["rank"] is None else str(row["rank"]))
            for column in ("known", "label"):
                assert value_of(found, column) == (None if row[column] is None else str(row[column]).lower())
            assert {one.value for one in found.get("reasons", [])} == set(row["reasons"])
            assert (triplet_of(found) in stated) or not row["label"]
        accepted = {triplet_of(rows[number]) for number, row in enumerate(expected, start=1) if row["label"]}
        assert set(stated) == accepted
        return True

    for_all(request, 6, table=tables)(check)


@pytest.mark.parametrize("format", FORMATS)
def test_the_run_is_described_and_names_the_graph_of_n_quads(format, tmp_path):
    write_judged_triplets(small_table(), tmp_path / "rows", METADATA, format)
    quads = parsed(tmp_path / "rows", format)
    about = {quad.predicate.value: quad for quad in quads if quad.subject.value == METADATA.run}
    assert about[f"{TERMS}model"].object.value == "runs/m"
    assert about[f"{TERMS}graph_digest"].object.value == "ab12"
    assert json.loads(about[f"{TERMS}settings"].object.value) == METADATA.settings
    assert about["http://www.w3.org/ns/prov#generatedAtTime"].object.value == METADATA.date
    assert f"{TERMS}model_revision" not in about
    graph = ox.NamedNode(METADATA.run) if format.startswith("nquads") else ox.DefaultGraph()
    assert {quad.graph_name for quad in quads if quad.subject.value != METADATA.run} == {graph}
    assert {quad.graph_name for quad in about.values()} == {ox.DefaultGraph()}


@pytest.mark.parametrize(
    ("id", "iri"),
    [
        ("http://a.org/b?c=d#e", "http://a.org/b?c=d#e"),
        ("own", "http://e.org/the/own"),
        ("ex:b", "http://e.org/b"),
        ("skos:broader", "http://www.w3.org/2004/02/skos/core#broader"),
        ("unknown:b", "urn:lass-hf:entity:unknown%3Ab"),
        ("cat", "urn:lass-hf:entity:cat"),
        ("a b/é", "urn:lass-hf:entity:a%20b%2F%C3%A9"),
        ("http://a.org/b c", "urn:lass-hf:entity:http%3A%2F%2Fa.org%2Fb%20c"),
        ("http://a.org/100%", "urn:lass-hf:entity:http%3A%2F%2Fa.org%2F100%25"),
        ("ex:a<b>", "urn:lass-hf:entity:ex%3Aa%3Cb%3E"),
        ("javascript:alert(1)", "urn:lass-hf:entity:javascript%3Aalert%281%29"),
    ],
)
def test_an_id_gets_its_own_iri_or_a_minted_one(id, iri):
    source = SourceIds({"own": "http://e.org/the/own"}, prefixes={"ex": "http://e.org/"})
    assert source.iri(id) == iri


def test_relations_and_entities_of_one_name_get_different_minted_iris():
    assert SourceIds().iri("is_a", "relation") == "urn:lass-hf:relation:is_a"
    assert SourceIds({"r": "http://e.org/e"}, {"r": "http://e.org/r"}).iri("r", "relation") == "http://e.org/r"


def test_no_id_makes_a_broken_iri_or_that_of_another(tmp_path, request):
    def check(ids):
        table = small_table(head=ids, tail=list(reversed(ids)))
        write_judged_triplets(table, tmp_path / "rows.nt", METADATA)
        rows, _ = rows_of(parsed(tmp_path / "rows.nt", "ntriples"), METADATA.run)
        heads = [triplet_of(rows[number])[0].value for number in (1, 2)]
        assert (heads[0] == heads[1]) == (ids[0] == ids[1])
        return True

    plain = name.filter(lambda id: not id.startswith("urn:lass-hf:"))
    for_all(request, 15, ids=st.lists(plain, min_size=2, max_size=2))(check)


def test_turtle_uses_the_prefixes_of_the_source(tmp_path):
    bad = {"bad prefix": "http://f.org/", "_g": "http://g.org/", "1h": "http://h.org/", "worse": "no iri"}
    source = SourceIds(prefixes={"ex": "http://e.org/", **bad})
    write_judged_triplets(small_table(head=["ex:cat", "ex:dog"]), tmp_path / "rows.ttl", METADATA, source=source)
    text = (tmp_path / "rows.ttl").read_text()
    assert "@prefix ex: <http://e.org/> ." in text
    assert "rdf:reifies <<( ex:cat" in text
    assert len(rows_of(parsed(tmp_path / "rows.ttl", "turtle"), METADATA.run)[0]) == 2


def test_without_the_library_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LassError) as error:
        write_judged_triplets(small_table(), tmp_path / "rows.nt", METADATA)
    one_line(error, "rows.nt", 'pip install "lass-hf[rdf]"')
    assert not list(tmp_path.iterdir())
