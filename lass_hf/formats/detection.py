"""Which format a file or folder is in: by the ending of its name, checked against the beginning of its content.

Where the content is surely of another format that can be read, it is read as that, and `Format.notes` says so: the
reader that is named by the ending would fail. Where it cannot be read, the error names what to do.
"""

import gzip
import json
import os
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from ..core.errors import GraphError, first_line

HEAD = 65536  # bytes at the beginning of a file that are looked at
FAMILIES = {  # format -> family
    **dict.fromkeys(("Turtle", "N-Triples", "N-Quads", "TriG", "RDF/XML", "JSON-LD"), "rdf"),
    **dict.fromkeys(("OBO", "obographs JSON"), "obo"),
    **dict.fromkeys(("CSV", "TSV", "Parquet", "JSON Lines", "JSON", "JSON graph"), "tables"),
}
ENDINGS = {
    **{".ttl": "Turtle", ".nt": "N-Triples", ".nq": "N-Quads", ".trig": "TriG", ".jsonld": "JSON-LD", ".obo": "OBO"},
    **dict.fromkeys((".rdf", ".owl", ".xml"), "RDF/XML"),
    **{".csv": "CSV", ".tsv": "TSV", ".txt": "TSV", ".tab": "TSV", ".parquet": "Parquet"},
    **dict.fromkeys((".jsonl", ".ndjson"), "JSON Lines"),
    ".json": "JSON",  # of any kind; the format of that name is a list of objects, and a JSON graph has nodes and edges
    **dict.fromkeys((".sif", ".edgelist"), "TSV"),
}
# A format of the ending that also holds the one of the content: N-Triples are Turtle.
CONTAINED = {
    "N-Triples": ("Turtle", "TriG", "N-Quads"),
    "Turtle": ("TriG",),
    "JSON": ("JSON Lines",),
}
ROBOT = "convert it: robot convert --input {name} --output {stem}-rdf.owl --format owl"
NETWORKX = "read it with networkx, and pass the graph to KnowledgeGraph.from_networkx"
# What cannot be read, by what it looks like: the name in a sentence, and what to do.
UNREADABLE = {
    "OWL functional syntax": ROBOT,
    "OWL in Manchester syntax": ROBOT,
    "OWL/XML": ROBOT,
    "HDT": "convert it: hdt2rdf {name} {stem}.nt",
    "an Excel file": "save the sheet as CSV",
    "GraphML": NETWORKX,
    "GEXF": NETWORKX,
    "GML": NETWORKX,
    "a graph of Pajek": NETWORKX,
    "a Neo4j dump": "export nodes and relationships as CSV: neo4j-admin database export, or apoc.export.csv.all",
    "a web page (HTML)": "the download gave a page instead of the file: download the file itself",
    "a PDF": "give the data, as CSV or RDF",
    "a pickle": "pickles can run code: save the data as CSV or Parquet",
    "a SQLite database": "export its tables as CSV",
    "a zip archive": "unpack it, and give the file or the folder",
    "compressed with bzip2": "unpack it: bunzip2 {name}",
    "compressed with xz": "unpack it: unxz {name}",
    "compressed with Zstandard": "unpack it: unzstd {name}",
    "a tar archive": "unpack it, and give the file or the folder",
    "text in UTF-16": "save the file as UTF-8",
    "XML, but not RDF/XML": "expected RDF/XML, with rdf:RDF as its root",
    "a JSON dump of Wikidata": "get the same as N-Triples: latest-truthy.nt.gz",
    "many documents of RDF/XML": "write each to a file of its own in one folder, or convert them to N-Triples",
    "a graph of numbers (OpenKE)": (
        "write train.txt and the like with the ids of entity2id.txt and relation2id.txt: head, relation, tail"
    ),
    "JSON of no known kind": (
        "expected JSON-LD (@context or @graph), obographs JSON (graphs), nodes and edges, or a list of objects"
    ),
}
UNREADABLE_ENDINGS = {
    **{".ofn": "OWL functional syntax", ".omn": "OWL in Manchester syntax", ".owx": "OWL/XML", ".hdt": "HDT"},
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "an Excel file"),
    **{".graphml": "GraphML", ".gexf": "GEXF", ".gml": "GML", ".net": "a graph of Pajek", ".dump": "a Neo4j dump"},
    **{".zip": "a zip archive", ".pdf": "a PDF"},
    **dict.fromkeys((".html", ".htm"), "a web page (HTML)"),
    **dict.fromkeys((".pkl", ".pickle"), "a pickle"),
    **{".bz2": "compressed with bzip2", ".xz": "compressed with xz", ".zst": "compressed with Zstandard"},
    **dict.fromkeys((".tar", ".tgz"), "a tar archive"),
}
MAGIC = {
    b"PK\x03\x04": "a zip archive",
    b"%PDF": "a PDF",
    b"PAR1": "Parquet",
    b"$HDT": "HDT",
    b"SQLite format 3": "a SQLite database",
    b"\xd0\xcf\x11\xe0": "an Excel file",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ\0": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with Zstandard",
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}
_ROOT = re.compile(
    r"(?>\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*(?:\[.*?\])?\s*>)*+<(?:[\w.-]+:)?([\w.-]+)[\s/>]", re.S | re.I
)
_ROOTS = {"rdf": "RDF/XML", "ontology": "OWL/XML", "graphml": "GraphML", "gexf": "GEXF", "html": "a web page (HTML)"}
_IRI = r"<[A-Za-z][\w+.-]*:[^<>\s]*>"
_NODE = rf"(?:{_IRI}|_:\S+)"
_LITERAL = rf'"(?:[^"\\\n]|\\.)*"(?:\^\^{_IRI}|@[\w-]+)?'
_STATEMENT = re.compile(rf"(?m)^[ \t]*{_NODE}\s+{_IRI}\s+(?:{_NODE}|{_LITERAL})[ \t]*({_NODE})?[ \t]*\.[ \t]*\r?$")
_TEXTS = {  # format -> pattern of a line that no other format has
    "many documents of RDF/XML": re.compile(r"(?m)\A\s*(?:<\?xml.*<\?xml|https?://\S+\s*\n\s*<\?xml)"),
    "a graph of numbers (OpenKE)": re.compile(r"\A\d+\s*\n(?:\d+[ \t]\d+[ \t]\d+\s*|\S+[ \t]\d+\s*)(?:\n|\Z)"),
    "Turtle": re.compile(r"(?mi)^\s*@?(?:prefix\s+[^\s:]*:|base)\s*<"),
    "OBO": re.compile(r"(?m)^(?:format-version[ \t]*:|\[(?:Term|Typedef)\][ \t]*\r?$)"),
    "OWL functional syntax": re.compile(r"(?m)^\s*(?:Prefix|Ontology)\s*\("),
    "OWL in Manchester syntax": re.compile(r"(?m)^\s*(?:Prefix|Ontology):\s"),
}


@dataclass(frozen=True)
class Format:
    """The format of a file or folder.

    Attributes:
        family: which reader reads it: "rdf", "obo" or "tables".
        name: the format in words: a key of `FAMILIES`, "folder of RDF files" or "folder of tables".
        path: the file or folder.
        compressed: the file is compressed with gzip.
        parts: the formats of the readable files in a folder, sorted by path; those in subfolders too.
        others: the other files in a folder.
        notes: what is to be said about it, a sentence each: that the content is of another format than the ending.
    """

    family: str
    name: str
    path: Path
    compressed: bool = False
    parts: tuple["Format", ...] = ()
    others: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> list["Format"]:
        """The formats of the files to read: those in the folder, or this file's own."""
        return list(self.parts) or [self]

    def open(self) -> BinaryIO:
        """Opens the file for reading, decompressed."""
        return gzip.open(self.path) if self.compressed else self.path.open("rb")  # type: ignore[return-value]


def detect_format(path: str | Path) -> Format:
    """Finds out which format a file or folder is in.

    Args:
        path: the file or folder.

    Returns:
        Its format.

    Raises:
        GraphError: it does not exist, is empty, or is of no format that can be read; the message says what it looks
            like and what to do.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        why = error.strerror
        if isinstance(error, FileNotFoundError):
            is_link = path.is_symlink()
            why = f"a link to {os.readlink(path)}, which does not exist" if is_link else "no such file or folder"
        raise GraphError(f"{path}: {why}") from None
    if stat.S_ISDIR(mode):
        return _detect_folder(path)
    if not stat.S_ISREG(mode):
        raise GraphError(f"{path}: neither a file nor a folder, but a pipe or device; save its content as a file")
    return _detect_file(path)


def ending_of(path: Path) -> str:
    """Returns the ending of a file's name in lower case, without .gz: ".ttl" of `x.TTL.gz`."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


@contextmanager
def gzip_errors(path: Path) -> Iterator[None]:
    """Turns the errors of a file that is cut off, or damaged otherwise, while it is decompressed, into one line."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise GraphError(
            f"{path}: its gzip compression is damaged, or the file is cut off ({first_line(error)}); get it again"
        ) from None


def _detect_file(path: Path) -> Format:
    head, compressed = _read_head(path)
    ending = ending_of(path)
    expected, found = ENDINGS.get(ending), _look_at(head)
    if found == "text in UTF-16" and head[0] >= 0xFE and FAMILIES.get(expected or "") == "tables":
        found = None  # as Excel saves text: its byte-order mark says it, and the reader of tables decodes it
    if expected in CONTAINED.get(found or "", ()):
        found = expected
    if found is None and FAMILIES.get(expected or "") in ("rdf", "obo") and (table := _look_for_rows(head)):
        found = table
    if found == "Turtle" and expected == "N-Quads":
        found = "TriG"  # which holds quads, and prefixes
    found = found or UNREADABLE_ENDINGS.get(ending) or ("JSON of no known kind" if expected == "JSON" else expected)
    if found is None:
        raise GraphError(
            f"{path}: of no known format; name a table of any kind .tsv; expected a name that ends in "
            f"{', '.join(ENDINGS)} (or these and .gz)"
        )
    if found in UNREADABLE:
        remedy = UNREADABLE[found].format(name=path.name, stem=path.name.split(".")[0])
        raise GraphError(f"{path}: {found}, which is not read; {remedy}")
    notes = []
    if expected not in (found, "JSON"):
        notes.append(f"{path} is {found}, whatever its name ends in, and read as that")
    if compressed and not path.name.lower().endswith(".gz"):
        notes.append(f"{path} is compressed with gzip, without .gz in its name")
    return Format(FAMILIES[found], found, path, compressed, notes=tuple(notes))


def _read_head(path: Path) -> tuple[bytes, bool]:
    """Reads the beginning of a file, and whether the file is compressed with gzip."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
        if compressed := head.startswith(b"\x1f\x8b"):
            with gzip_errors(path), gzip.open(path) as file:
                head = file.read(HEAD)
    except OSError as error:
        raise GraphError(f"{path}: cannot be read ({error.strerror})") from None
    if not head.strip(b"\xef\xbb\xbf \t\r\n"):
        raise GraphError(f"{path}: the file is empty")
    if path.name.lower().endswith(".gz") and not compressed:
        raise GraphError(f"{path}: its name ends in .gz, but it is not compressed; rename it")
    return head, compressed


def _look_at(head: bytes) -> str | None:
    """Returns the format that the beginning of a file surely is in, a key of FAMILIES or UNREADABLE, or None."""
    for magic, name in MAGIC.items():
        if head.startswith(magic):
            return "an Excel file" if name == "a zip archive" and b"xl/" in head else name
    if head[257:262] == b"ustar":
        return "a tar archive"
    if head[:200].count(0) > len(head[:200]) / 3:  # every second byte of Latin letters
        return "text in UTF-16"
    text = head.decode("utf-8-sig", errors="replace")
    if (root := _ROOT.match(text)) and (known := _ROOTS.get(root[1].lower())):
        return known
    if text.lstrip().startswith("<?xml"):
        return "RDF/XML" if "http://www.w3.org/1999/02/22-rdf-syntax-ns#" in text else "XML, but not RDF/XML"
    if text.lstrip()[:1] in "[{" and (kind := _kind_of_json(text)):
        return kind
    for name, pattern in _TEXTS.items():
        if pattern.search(text):
            return name
    if statement := _STATEMENT.search(text):
        return "N-Quads" if statement[1] else "N-Triples"
    return None


def _look_for_rows(head: bytes) -> str | None:
    """Returns "TSV" or "CSV" if the first lines have as many separators each, and nothing of RDF or OBO; else None."""
    lines = [line for line in head.decode("utf-8-sig", errors="replace").splitlines()[:20] if line.strip()][:3]
    if len(lines) < 2 or any(re.search(r"[<>{}]|[.;,]\s*$", line) for line in lines):
        return None
    for separator, name in (("\t", "TSV"), (",", "CSV"), (";", "CSV"), ("|", "CSV")):
        counts = {line.count(separator) for line in lines}
        if len(counts) == 1 and counts != {0}:
            return name
    return None


def _kind_of_json(text: str) -> str | None:
    """Returns the format of a text that may begin with a JSON value, None if it does not."""
    text = text.lstrip()
    if not re.match(r'\[\s*[\[{"]|\{\s*["}]', text):
        return None  # [] and [ ... ] begin blank nodes in Turtle
    if re.search(r'"graphs"\s*:\s*\[', text):
        return "obographs JSON"
    first_line, _, rest = text.partition("\n")
    try:
        is_line = isinstance(json.loads(first_line), dict)
    except (ValueError, RecursionError):
        is_line = False
    if is_line and rest.lstrip().startswith("{"):
        return "JSON-LD" if re.search(r'"@(?:context|graph|id)"\s*:', first_line) else "JSON Lines"
    if re.search(r'"@(?:context|graph|id|type)"\s*:', text):
        return "JSON-LD"
    if re.search(r'"mainsnak"\s*:', text):
        return "a JSON dump of Wikidata"
    if text[0] == "{" and re.search(r'"(?:nodes|links|edges)"\s*:\s*\[', text):
        return "JSON graph"
    if is_line or (text[0] == "{" and "\n" not in text):  # a line may be longer than the part that is looked at
        return "JSON Lines"
    return "JSON" if re.match(r"\[\s*\{", text) else "JSON of no known kind"


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and not path.is_dir():
            yield path


def _detect_folder(folder: Path) -> Format:
    parts, others = [], []
    for path in _walk(folder):
        is_prose = re.match(r"(?i)(?:readme|licen[cs]e|citation|changelog|notice|copying)\b", path.name)
        if ending_of(path) in ENDINGS and not is_prose:
            try:
                parts.append(detect_format(path))
                continue
            except GraphError:
                if ending_of(path) != ".json":
                    raise
        others.append(path)
    families = sorted({part.family for part in parts})
    if not parts:
        there = ", ".join(str(path.relative_to(folder)) for path in others[:5]) or "nothing"
        more = f" and {len(others) - 5} more" if others[5:] else ""
        raise GraphError(
            f"{folder}: no file that can be read in this folder, which holds {there}{more}; expected files that end in "
            f"{', '.join(ENDINGS)}"
        )
    if len(families) > 1 or (families == ["obo"] and len(parts) > 1):
        kinds = "; ".join(f"{part.path.relative_to(folder)} is {part.name}" for part in _one_of_each(parts))
        raise GraphError(
            f"{folder}: files that do not belong to one graph ({kinds}); give one file, or a folder of one kind"
        )
    if families == ["obo"]:
        return replace(parts[0], others=tuple(others))
    name = {"rdf": "folder of RDF files", "tables": "folder of tables"}[families[0]]
    notes = tuple(note for part in parts for note in part.notes)
    return Format(families[0], name, folder, parts=tuple(parts), others=tuple(others), notes=notes)


def _one_of_each(parts: list[Format]) -> list[Format]:
    """Returns the first part of each family; the first two parts if all are of one family."""
    first = [part for number, part in enumerate(parts) if part.family not in {one.family for one in parts[:number]}]
    return first if len(first) > 1 else parts[:2]
