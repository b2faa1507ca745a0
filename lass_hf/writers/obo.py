"""Writes accepted triplets as OBO: `is_a:` and `relationship:` lines in the stanzas of their heads.

The file is read by itself, and can be merged into an ontology: its stanzas have ids and lines, and no names.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from ..names.source import LeftOut
from .judged_triplets import FileMetadata, short_doubles
from .source_ids import STANDARD, SourceIds, minted_iri

if TYPE_CHECKING:
    import pyarrow as pa

IS_A = ("is_a", "subClassOf", "rdfs:subClassOf")
_FOUNDRY = re.compile(r"http://purl\.obolibrary\.org/obo/([A-Za-z]+)_(\w+)", re.ASCII)
REASON = "OBO holds accepted triplets; a label comes from the threshold that lass-hf classify fits"


def write_obo(
    chunks: "Iterator[pa.Table]", handle: BinaryIO, metadata: FileMetadata, source: SourceIds
) -> list[LeftOut]:
    """Writes an OBO file. All accepted triplets are in memory until the last row: those of a head stand together.

    Returns:
        The triplets that are left out, because their label is not true.
    """
    import pyarrow.compute as pc

    stanzas: dict[str, list[tuple[str | None, str]]] = {}  # relation, None for is_a, and the rest of the line
    left, example = 0, ""
    for chunk in chunks:
        accepted = pc.fill_null(chunk["label"], False)
        others = chunk.filter(pc.invert(accepted))
        if len(others) and not left:
            example = " ".join(others[name][0].as_py() for name in ("head", "relation", "tail"))
        left += len(others)
        kept = chunk.filter(accepted)
        names = ("head", "relation", "tail", "tail_text", "probability", "reviewer")
        columns = [kept[name].to_pylist() for name in names]
        scores = short_doubles(kept["score"]).to_pylist()
        for head, relation, tail, text, probability, reviewer, score in zip(*columns, scores, strict=True):
            values = {"lass_probability": probability, "lass_score": score, "lass_reviewer": _quoted(reviewer) or None}
            qualifiers = ", ".join(f'{name}="{value}"' for name, value in values.items() if value is not None)
            subject, target = _ident(head, source), _ident(tail, source)
            is_a = relation in IS_A or source.iri(relation, "relation") == f"{STANDARD['rdfs']}subClassOf"
            comment = f" ! {_unquoted(text)}" if text else ""
            line = f"{target} {{{qualifiers}}}{comment}"
            stanzas.setdefault(subject, []).append((None if is_a else relation, line))
            stanzas.setdefault(target, [])  # a reader wants a stanza for each id
    relations: dict[str | None, str] = {}
    for name in {relation for lines in stanzas.values() for relation, _ in lines if relation is not None}:
        ident = _ident(name, source, "relation")
        relations[name] = _minted(name, "relation") if ident in stanzas else ident
    header = [
        "format-version: 1.4",
        f"auto-generated-by: lass-hf {metadata.version}",
        *(f"idspace: lass.{kind} {minted_iri('', kind)}" for kind in ("entity", "relation")),
        f"remark: {_unquoted(metadata.as_json())}",
    ]
    parts = ["\n".join(header)]
    for ident, lines in stanzas.items():
        shown = [f"is_a: {rest}" if one is None else f"relationship: {relations[one]} {rest}" for one, rest in lines]
        parts.append("\n".join(["[Term]", f"id: {ident}", *shown]))
    parts += [f"[Typedef]\nid: {ident}" for ident in sorted(set(relations.values()))]
    handle.write(("\n\n".join(parts) + "\n").encode())
    return [LeftOut("triplets that are not labeled true", left, example, REASON)] if left else []


def _ident(name: str, source: SourceIds, kind: str = "entity") -> str:
    """Returns an id as OBO has it; a minted one where readers would not make the same id of it again."""
    if found := _FOUNDRY.fullmatch(source.own(name, kind)):
        return f"{found[1]}:{found[2]}"
    if not name.isprintable() or name.strip() != name or (kind == "entity" and name in IS_A):
        return _minted(name, kind)
    if ":" in name:
        is_plain = re.fullmatch(r'\w[\w.-]*:[^\\ ,{}()\[\]"!:]*', name) and (
            "//" not in name or source.iri(name) == name
        )
        return name if is_plain else _minted(name, kind)
    return re.sub(r'([\\ ,{}()\[\]"!])', r"\\\1", name)


def _minted(name: str, kind: str) -> str:
    """Returns a minted IRI by the prefix that the header declares."""
    return f"lass.{kind}:{minted_iri(name, kind).removeprefix(minted_iri('', kind))}"


def _quoted(text: str) -> str:
    """Returns a text as it may stand between quotation marks."""
    line = _unquoted(text).replace('"', '\\"')
    return f"{line} " if line.endswith("\\") else line  # pronto takes a backslash before the mark for an escape of it


def _unquoted(text: str) -> str:
    """Returns a text as one line, as it may stand at the end of one."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return re.sub(r"([\\{}])", r"\\\1", line).strip()
