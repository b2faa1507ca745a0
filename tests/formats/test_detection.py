"""Which format a file is in: by ending and content, with the remedy for what cannot be read."""

import gzip
import os
from pathlib import Path

import pytest

from lass_hf.core.errors import GraphError
from lass_hf.formats.detection import ENDINGS, detect_format

TURTLE = "# words\n@prefix a: <http://a/> .\na:x a:y a:z .\n"
TRIPLE = "<http://a/x> <http://a/y> <http://a/z> .\n"
QUAD = '_:b <http://a/y> "z \\" ."@en <http://a/g> .\n'
RDF_XML = (
    '<?xml version="1.0"?>\n<!DOCTYPE rdf:RDF [<!ENTITY a "http://a/">]>\n<!-- a <b> -->\n'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF>\n'
)
OBO = "format-version: 1.2\n\n[Term]\nid: A:1\n"
JSON_LD = '{\n "@context": {"a": "http://a/"},\n "@id": "a:x"\n}'
OBOGRAPHS = '{"graphs": [{"nodes": [], "edges": []}]}'
ROWS = '{"head": "a", "relation": "b", "tail": "c"}\n{"head": "a"}\n'
HTML = "<!DOCTYPE html>\n<html lang='en'><body>404</body></html>\n"
WORDS = "head\trelation\ttail\n"


def write(path: Path, content: str | bytes, *, compressed: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content) if compressed else content)
    return path


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("ending", "content", "family", "name"),
    [
        (".ttl", TURTLE, "rdf", "Turtle"),
        (".ttl", TRIPLE, "rdf", "Turtle"),
        (".ttl", "[] <http://a/y> [ ] .\n", "rdf", "Turtle"),
        (".nt", TRIPLE, "rdf", "N-Triples"),
        (".nq", QUAD, "rdf", "N-Quads"),
        (".nq", TRIPLE, "rdf", "N-Quads"),
        (".trig", TURTLE, "rdf", "TriG"),
        (".rdf", RDF_XML, "rdf", "RDF/XML"),
        (".OWL", RDF_XML, "rdf", "RDF/XML"),
        (".xml", "\ufeff" + RDF_XML, "rdf", "RDF/XML"),
        (".jsonld", JSON_LD, "rdf", "JSON-LD"),
        (".json", JSON_LD, "rdf", "JSON-LD"),
        (".json", '[{"@id": "http://a/x"}]', "rdf", "JSON-LD"),
        (".obo", OBO, "obo", "OBO"),
        (".json", OBOGRAPHS, "obo", "obographs JSON"),
        (".csv", "a,b,c\n", "tables", "CSV"),
        (".tsv", WORDS, "tables", "TSV"),
        (".txt", WORDS, "tables", "TSV"),
        (".tab", "<a>\t<b>\t<c>\n", "tables", "TSV"),
        (".jsonl", ROWS, "tables", "JSON Lines"),
        (".ndjson", ROWS, "tables", "JSON Lines"),
        (".json", ROWS, "tables", "JSON Lines"),
        (".jsonl", '{"id": "a", "description": "' + "long " * 20_000 + '"}\n', "tables", "JSON Lines"),
        (".json", '[\n{"head": "a"}]', "tables", "JSON"),
        (".jsonl", '[{"head": "a"}]', "tables", "JSON Lines"),
        (".txt", "\ufeff".encode("utf-16-le") + WORDS.encode("utf-16-le"), "tables", "TSV"),
        (".parquet", b"PAR1" + bytes(20), "tables", "Parquet"),
    ],
)
def test_a_file_is_known_by_its_ending(tmp_path, ending, content, family, name, compressed):
    if compressed and name == "Parquet":
        return  # compressed in itself
    path = write(tmp_path / f"x{ending}{'.gz' if compressed else ''}", content, compressed=compressed)
    found = detect_format(path)
    assert (found.family, found.name, found.compressed, found.notes) == (family, name, compressed, ())
    with found.open() as file:
        assert file.read() == (content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize(
    ("file", "content", "name"),
    [
        ("x.nt", TURTLE, "Turtle"),
        ("x.nt", QUAD, "N-Quads"),
        ("x.nq", TURTLE, "TriG"),
        ("x.ttl", RDF_XML, "RDF/XML"),
        ("x.owl", TURTLE, "Turtle"),
        ("x.owl", OBO, "OBO"),
        ("x.txt", OBO, "OBO"),
        ("x.txt", TRIPLE, "N-Triples"),
        ("x.rdf", JSON_LD, "JSON-LD"),
        ("x", OBO, "OBO"),
        ("x.dat", RDF_XML, "RDF/XML"),
        ("x.ttl", "subject,predicate,object\na,b,c\nd,b,e\n", "CSV"),
        ("x.obo", "subject\tpredicate\tobject\na\tb\tc\n", "TSV"),
    ],
)
def test_content_that_is_surely_another_format_is_read_as_that_and_this_is_said(tmp_path, file, content, name):
    path = write(tmp_path / file, content)
    found = detect_format(path)
    assert found.name == name
    assert found.notes == (f"{path} is {name}, whatever its name ends in, and read as that",)


def test_compression_that_the_name_does_not_say_is_seen(tmp_path):
    found = detect_format(write(tmp_path / "x.ttl", TURTLE, compressed=True))
    assert (found.name, found.compressed) == ("Turtle", True)
    assert "compressed with gzip" in found.notes[0]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("x.ttl", HTML, r"x\.ttl: a web page \(HTML\), which is not read; the download gave a page"),
        ("x.csv", b"PK\x03\x04" + b" xl/workbook.xml", "an Excel file, which is not read; save the sheet as CSV"),
        ("x.csv", b"PK\x03\x04", "a zip archive, which is not read; unpack it"),
        ("x.xlsx", "a", "an Excel file"),
        ("x.tsv", b"%PDF-1.7", "a PDF"),
        ("x.ttl", TURTLE.encode("utf-16"), "text in UTF-16, which is not read; save the file as UTF-8"),
        ("x.tsv", WORDS.encode("utf-16-le"), "text in UTF-16"),
        ("x.ofn", "Ontology(<http://a>)\n", r"robot convert --input x\.ofn --output x-rdf\.owl --format owl"),
        (
            "x.owl",
            "Prefix(a:=<http://a/>)\nOntology(<http://a>)\n",
            "OWL functional syntax, which is not read; convert",
        ),
        ("x.omn", "Prefix: a: <http://a/>\nOntology: <http://a>\n", "OWL in Manchester syntax, which is not read"),
        ("x.owl", '<?xml version="1.0"?>\n<Ontology xmlns="http://www.w3.org/2002/07/owl#">', "OWL/XML, which"),
        ("x.hdt", b"$HDT\x01", r"hdt2rdf x\.hdt x\.nt"),
        ("x.graphml", "<graphml>", r"GraphML, which is not read; .*from_networkx"),
        ("x.xml", '<?xml version="1.0"?>\n<gexf version="1.3">', "GEXF"),
        ("x.xml", '<?xml version="1.0"?>\n<library/>', "XML, but not RDF/XML"),
        ("neo4j.dump", b"DZV1\0" + b"x" * 20, "a Neo4j dump, which is not read; export nodes and relationships as CSV"),
        ("x.txt", "http://a/1\n<?xml version='1.0'?><rdf:RDF/>\n", "many documents of RDF/XML.* a file of its own"),
        ("train2id.txt", "2\n0 1 0\n1 0 0\n", "OpenKE.* entity2id.txt"),
        ("entity2id.txt", "2\n/m/1\t0\n/m/2\t1\n", "OpenKE.* entity2id.txt"),
        ("x.json", '[{"id": "Q1", "claims": {"P31": [{"mainsnak": 1}]}}]', "dump of Wikidata.*latest-truthy"),
        ("x.json", '{"P1": {"label":\n "a"}}', "JSON of no known kind"),
        ("x.pkl", b"\x80\x04", "a pickle, which is not read; pickles can run code"),
        ("x.ttl.bz2", b"BZh9", r"bunzip2 x\.ttl\.bz2"),
        ("x.dat", "words", "name a table of any kind .tsv; expected a name that ends in .ttl, .nt"),
        ("x.csv", "", "the file is empty"),
        ("x.csv", "\ufeff \n", "the file is empty"),
        ("x.csv.gz", "a,b\n", r"ends in \.gz, but it is not compressed"),
        ("x.csv.gz", b"\x1f\x8b\x08 damaged", "its gzip compression is damaged, or the file is cut off"),
        ("x.csv.gz", gzip.compress(b"", mtime=0), "the file is empty"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_remedy(tmp_path, file, content, message):
    with pytest.raises(GraphError, match=message) as error:
        detect_format(write(tmp_path / file, content))
    assert len(str(error.value).splitlines()) == 1


def test_what_is_no_file_is_said(tmp_path):
    (tmp_path / "link.ttl").symlink_to("gone.ttl")
    os.mkfifo(tmp_path / "pipe.ttl")
    for file, message in [
        ("none.ttl", "no such file or folder"),
        ("link.ttl", r"a link to gone\.ttl, which does not exist"),
        ("pipe.ttl", "a pipe or device; save its content as a file"),
        (f"{'x' * 300}.ttl", "too long"),
    ]:
        with pytest.raises(GraphError, match=message):
            detect_format(tmp_path / file)


def test_a_folder_has_the_formats_of_its_files(tmp_path):
    for file in ("nodes/a.csv", "edges/b.tsv", "README.txt", "LICENSE", "names.json", ".hidden.csv"):
        write(tmp_path / "tables" / file, WORDS)
    found = detect_format(tmp_path / "tables")
    assert (found.family, found.name) == ("tables", "folder of tables")
    assert [(part.path.name, part.name) for part in found.files] == [("b.tsv", "TSV"), ("a.csv", "CSV")]
    assert [path.name for path in found.others] == ["LICENSE", "README.txt", "names.json"]
    write(tmp_path / "rdf/a.nt", TURTLE)
    write(tmp_path / "rdf/b.rdf", RDF_XML)
    found = detect_format(tmp_path / "rdf")
    assert (found.family, found.name) == ("rdf", "folder of RDF files")
    assert [part.name for part in found.files] == ["Turtle", "RDF/XML"]
    assert len(found.notes) == 1
    write(tmp_path / "one/a.obo", OBO)
    assert detect_format(tmp_path / "one").path == tmp_path / "one/a.obo"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no file that can be read in this folder, which holds nothing; expected files that end in .ttl"),
        ({f"{n}.md": "a" for n in range(7)}, r"which holds 0\.md, 1\.md, 2\.md, 3\.md, 4\.md and 2 more"),
        ({"a.ttl": TURTLE, "b.csv": WORDS}, r"do not belong to one graph \(.*a\.ttl is Turtle; b\.csv is CSV"),
        ({"a.obo": OBO, "b.obo": OBO}, r"do not belong to one graph \(a\.obo is OBO; b\.obo is OBO\); give one file"),
        ({"a.ttl": TURTLE, "b.ttl": HTML}, r"b\.ttl: a web page"),
    ],
)
def test_a_folder_that_is_no_graph_says_what_is_there(tmp_path, files, message):
    for file, content in files.items():
        write(tmp_path / file, content)
    with pytest.raises(GraphError, match=message):
        detect_format(tmp_path)


def test_the_real_files_are_known(tmp_path):
    folder = Path(os.environ.get("LASS_DATA_DIR", "")) / "formats"
    if not folder.is_dir():
        pytest.skip("needs formats/ in LASS_DATA_DIR")
    names = {
        name: detect_format(folder / name).name for name in ("pato.obo", "schemaorg.ttl", "uat.rdf", "neo4j", "kgx")
    }
    assert list(names.values()) == ["OBO", "Turtle", "RDF/XML", "folder of tables", "folder of tables"]
    assert set(ENDINGS) >= {".ttl", ".obo", ".tsv"}
