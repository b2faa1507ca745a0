"""Files of RDF that are wrong: one line says where, and what to do; nothing elsewhere is fetched or expanded."""

import gzip
import sys

import pytest

from lass_hf.core.errors import GraphError
from lass_hf.formats import rdf_parsing
from lass_hf.formats.rdf import read_rdf
from lass_hf.names.source import ReadingOptions

pytest.importorskip("pyoxigraph")

TURTLE = "@prefix ex: <http://example.org/> .\nex:a ex:r ex:b .\n"
XML = """<?xml version="1.0"?>
<!DOCTYPE rdf:RDF [{}]>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:ex="http://example.org/">
<rdf:Description rdf:about="http://example.org/a"><ex:r rdf:resource="http://example.org/b"/><ex:t>{}</ex:t>
</rdf:Description>
</rdf:RDF>"""
BOMB = "<!ENTITY a 'ha ha ha ha'>" + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def error_of(folder, name, content):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(GraphError) as raised:
        read_rdf(folder / name, ReadingOptions())
    message = str(raised.value)
    assert message.startswith(str(folder / name))
    assert "\n" not in message
    assert len(message) < 600
    return message.removeprefix(str(folder / name))


@pytest.mark.parametrize(
    ("name", "content", "where", "remedy"),
    [
        ("cut.ttl", f'{TURTLE}ex:c ex:r "no end', ", line 3: not valid Turtle", "may be cut off"),
        (
            "prefix.ttl",
            f"{TURTLE}ex:c ex:r other:d .",
            ", line 3: not valid Turtle (The prefix other:",
            "declare the prefix",
        ),
        ("latin.ttl", f'{TURTLE}ex:c ex:r "caf\u00e9" .'.encode("latin-1"), ", line 3:", "save the file as UTF-8"),
        ("relative.ttl", f"{TURTLE}<c> ex:r ex:b .", ", line 3:", "declare a base"),
        ("space.nt", "<http://x.org/a b> <http://x.org/r> <http://x.org/c> .\n", ", line 1:", "mend the statement"),
        ("cut.jsonld", '{"@id": "http://x.org/a",\n"http://x.org/r":', ", line 2:", "may be cut off"),
        (
            "remote.jsonld",
            '{"@context": "https://schema.org/", "@id": "ex:a", "name": "b"}',
            ", line 1:",
            "put the context itself",
        ),
        (
            "file.jsonld",
            '{"@context": "c.jsonld",\n "@id": "ex:a", "name": "b"}',
            ", line 1:",
            "put the context itself",
        ),
        (
            "import.jsonld",
            '{"@context": {"@import": "http://x.org/c"}, "@id": "ex:a", "ex:r": 1}',
            ", line 1:",
            "put the context",
        ),
        ("cut.rdf", XML.format("", "x")[:-12], ", line 5: not valid XML", "may be cut off"),
        ("latin.rdf", XML.format("", "\u00e9").encode("latin-1"), ", line 4: not valid XML", "not in UTF-8"),
        (
            "declared.rdf",
            XML.format("", "\u00e9").replace('"1.0"', '"1.0" encoding="ISO-8859-1"').encode("latin-1"),
            ": not valid RDF/XML (Only UTF-8",
            "save the file as UTF-8",
        ),
        (
            "relative.rdf",
            XML.format("", "").replace("http://example.org/a", "#a"),
            ", line 4: not valid RDF/XML",
            "declare a base",
        ),
        ("bomb.owl", XML.format(BOMB, "&i;"), ": the XML entity 'd' is too large", "not expanded"),
        (
            "again.owl",
            XML.format('<!ENTITY a "ha">' + '<!ENTITY a "&a;&a;">' * 40, "x"),
            ": the XML entity 'a'",
            "not expanded",
        ),
        ("many.owl", XML.format(f'<!ENTITY a "{"ha" * 4000}">', "&a;" * 9000), ", line 4:", "write the content itself"),
        (
            "file.owl",
            XML.format('<!ENTITY a SYSTEM "file:///etc/passwd">', "&a;"),
            ": the XML entity 'a' is elsewhere",
            "",
        ),
        (
            "deep.jsonld",
            '{"@id": "http://a/b",\n"http://a/p": ' * 600 + "1" + "}" * 600,
            ", line 501: more than 500",
            "@id",
        ),
        (
            "cut.ttl.gz",
            gzip.compress(TURTLE.encode() * 9000)[:-400],
            ": its gzip compression is damaged",
            "get it again",
        ),
    ],
)
def test_a_damaged_file_is_refused_with_the_line_and_what_to_do(tmp_path, name, content, where, remedy):
    message = error_of(tmp_path, name, content)
    assert message.startswith(where)
    assert remedy in message


def test_brackets_inside_of_json_strings_are_text(tmp_path, monkeypatch):
    monkeypatch.setattr(rdf_parsing, "BLOCK", 7)
    text = r'{"@id": "http://x.org/a", "http://x.org/p": {"@id": "http://x.org/b"}, "http://x.org/q": "\"{%s\\"}'
    (tmp_path / "plain.jsonld").write_text(text % ("[{" * 600))
    assert len(read_rdf(tmp_path / "plain.jsonld", ReadingOptions()).splits["train"].codes) == 1


def test_entities_that_name_namespaces_are_expanded(tmp_path):
    (tmp_path / "plain.owl").write_text(XML.format('<!ENTITY a "http://x.org/"> <!ENTITY b "&a;b#">', "&b;c"))
    source = read_rdf(tmp_path / "plain.owl", ReadingOptions(include="literals"))
    assert '"http://x.org/b#c"' in source.entities["id"].to_pylist()


def test_a_missing_pyoxigraph_says_which_extra_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyoxigraph", None)
    assert 'Turtle needs an extra that is not installed: pip install "lass-hf[rdf]"' in error_of(
        tmp_path, "a.ttl", TURTLE
    )
