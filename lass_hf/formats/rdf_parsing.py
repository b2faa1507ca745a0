"""Parses files of RDF with pyoxigraph; what is wrong with a file becomes one line.

Nothing is fetched: no context of JSON-LD, no entity of XML, no import of OWL.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO
from xml.parsers import expat

import numpy as np

from ..core.errors import GraphError, first_line, library_errors
from ..core.vocabulary import escaped
from .detection import Format, gzip_errors

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAX_ENTITY = 10_000  # characters of an XML entity with the entities in it; namespaces have some dozens
MAX_DEPTH = 500  # of values inside of values in JSON-LD; at some thousands pyoxigraph ends the whole process
BLOCK = 2**24  # bytes of JSON-LD that are looked at in one step
HINTS = {  # part of a parser's message -> what to do
    "has not been declared": "declare the prefix at the top of the file",
    "remote context": "a context elsewhere is not fetched: put the context itself into the file, "
    'such as {"@vocab": "https://schema.org/"}',
    "No scheme found in": "a relative IRI needs a base: write whole IRIs, or declare a base (@base, xml:base)",
    "UTF-8": "save the file as UTF-8",
    "nexpected end": "the file may be cut off: get it again",
}
_WHERE = re.compile(
    r"Parser error at line \d+ (?:column \d+|between columns \d+ and \d+)(?: and line \d+ column \d+)?: "
)
_ENTITY = re.compile(r"<!ENTITY\s+(%\s+)?([^\s\"'%]+)\s+(SYSTEM|PUBLIC)?\s*(?:\"([^\"]*)\"|'([^']*)')")
_REFERENCE = re.compile(r"&([^#;&\s][^;&\s]*);")


def parse(part: Format, prefixes: dict[str, str]) -> Iterator[Any]:
    """Parses one file.

    Args:
        part: the file.
        prefixes: prefix -> namespace; those of the file are added while it is read, if they are new.

    Yields:
        The statements: quads of pyoxigraph.

    Raises:
        GraphError: the file is damaged, or refers to what is elsewhere.
    """
    import pyoxigraph as ox

    formats = {
        **{"Turtle": ox.RdfFormat.TURTLE, "N-Triples": ox.RdfFormat.N_TRIPLES, "N-Quads": ox.RdfFormat.N_QUADS},
        **{"TriG": ox.RdfFormat.TRIG, "RDF/XML": ox.RdfFormat.RDF_XML, "JSON-LD": ox.RdfFormat.JSON_LD},
    }
    failed = f"{part.path}: cannot be read"
    with library_errors(failed, kind=GraphError), gzip_errors(part.path), _one_line_errors(part):
        if part.name == "RDF/XML":
            with _open(part) as file:
                _check_xml(part, file)
        if part.name == "JSON-LD":
            with _open(part) as file:
                _check_depth(part, file)
            yield from _parse_json_ld(part, prefixes)
            return
        with _open(part) as file:
            statements = ox.parse(file, formats[part.name])
            for number, statement in enumerate(statements):
                if not number:  # RDF/XML and JSON-LD forget their prefixes at the end
                    _add_prefixes(prefixes, statements.prefixes)
                yield statement
            _add_prefixes(prefixes, statements.prefixes)


def _parse_json_ld(part: Format, prefixes: dict[str, str]) -> Iterator[Any]:
    """Parses a document of JSON-LD, or one in each line, as the Library of Congress publishes them.

    A relative IRI has the base `file:///`: without one, the library would leave its statements out in silence.
    """
    import pyoxigraph as ox

    with _open(part) as file:
        start = file.tell()
        first = file.readline()
        try:
            is_in_lines = isinstance(json.loads(first), dict) and any(line.strip() for line in islice(file, 10))
        except (ValueError, RecursionError):
            is_in_lines = False
        file.seek(start)
        documents: Iterable[Any] = file if is_in_lines else [file]
        for number, document in enumerate(documents, start=1):
            if is_in_lines and not document.strip():
                continue
            statements = ox.parse(document, ox.RdfFormat.JSON_LD, base_iri="file:///")
            try:
                yield from statements
            except SyntaxError as error:
                error.lineno = number if is_in_lines else error.lineno
                raise
            _add_prefixes(prefixes, statements.prefixes)


def _add_prefixes(prefixes: dict[str, str], new: dict[str, str]) -> None:
    for prefix, namespace in new.items():
        prefixes.setdefault(prefix, namespace)


def _open(part: Format) -> BinaryIO:
    file = part.open()
    if file.read(len(BYTE_ORDER_MARK)) != BYTE_ORDER_MARK:
        file.seek(0)
    return file


@contextmanager
def _one_line_errors(part: Format) -> Iterator[None]:
    try:
        yield
    except SyntaxError as error:
        message = _WHERE.sub("", first_line(SyntaxError(error.msg)))
        if "LoadDocumentCallback" in message:  # that is the library's word for it
            message = "remote context"
        number = error.lineno or _find_line(part, "'@context'" if message == "remote context" else message)
        line = f", line {number}" if number else ""
        hints = [hint for sign, hint in HINTS.items() if sign in message] or ["mend the statement there"]
        raise GraphError(f"{part.path}{line}: not valid {part.name} ({message}); {hints[0]}") from None
    except expat.ExpatError as error:
        message = expat.ErrorString(error.code)
        hint = "the file may be cut off, damaged or not in UTF-8"
        if "amplification" in message:
            message, hint = "its entities grow without end", "entities are not expanded: write the content itself"
        raise GraphError(f"{part.path}, line {error.lineno}: not valid XML ({message}); {hint}") from None


def _find_line(part: Format, message: str) -> int | None:
    """Returns the first line with the value that a message quotes, where the parser counts no lines."""
    if quoted := re.search(r"'([^']+)'", message):
        with _open(part) as file:
            for number, line in enumerate(file, start=1):
                if re.search(rb"""["']%s["']""" % re.escape(quoted[1].encode()), line):
                    return number
    return None


def _check_depth(part: Format, file: BinaryIO) -> None:
    """Checks that no value of a file of JSON is too deep inside of others."""
    depth, is_inside, rest, num_lines = 0, False, b"", 1
    while block := file.read(BLOCK):
        block = re.sub(rb"\\.", b"..", rest + block, flags=re.DOTALL)  # a quotation mark behind \ ends no string
        rest = b"\\" * block.endswith(b"\\")
        letters = np.frombuffer(block[: len(block) - len(rest)], np.uint8)
        inside = (np.cumsum(letters == ord('"')) + is_inside) % 2 == 1
        steps = np.isin(letters, (*b"[{",)).astype(np.int8) - np.isin(letters, (*b"]}",))
        depths = depth + np.cumsum(np.where(inside, 0, steps))
        if (too_deep := depths > MAX_DEPTH).any():
            line = num_lines + block.count(b"\n", 0, int(too_deep.argmax()))
            raise GraphError(
                f"{part.path}, line {line}: more than {MAX_DEPTH} values inside of each other; write them side by "
                "side, each with its @id"
            )
        if len(letters):
            depth, is_inside = int(depths[-1]), bool(inside[-1])
        num_lines += block.count(b"\n")


def _check_xml(part: Format, file: BinaryIO) -> None:
    """Checks that an XML file is complete, which pyoxigraph does not, and that its entities are short.

    Entities of namespaces are usual in OWL. Nested ones may grow to gigabytes, and pyoxigraph would expand them.
    """
    parser = expat.ParserCreate()

    def end_prolog(*_: Any) -> None:
        parser.StartElementHandler = None
        position = file.tell()
        file.seek(0)
        _check_entities(part, file.read(parser.CurrentByteIndex + len(BYTE_ORDER_MARK)).decode(errors="replace"))
        file.seek(position)

    parser.StartElementHandler = end_prolog
    parser.ParseFile(file)


def _check_entities(part: Format, prolog: str) -> None:
    sizes: dict[str, int] = {}
    for parameter, name, elsewhere, *values in _ENTITY.findall(prolog):
        value = "".join(values)
        size = len(value) + sum(sizes.get(inner, 0) for inner in _REFERENCE.findall(value))
        sizes[name] = max(size, sizes.get(name, 0))
        if parameter or elsewhere or size > MAX_ENTITY:
            raise GraphError(
                f"{part.path}: the XML entity {escaped(name[:40])} is {'elsewhere' if elsewhere else 'too large'}, and "
                "not expanded; write its content where it is used"
            )
