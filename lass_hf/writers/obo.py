"""Writes accepted triplets as OBO: `is_a:` and `relationship:` lines in the stanzas of their heads.

The file is read by itself, and can be merged into an ontology: its stanzas have ids and lines, and no names.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from ..formats.source import LeftOut
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
    """Writes an OBO file. The accepted triplets are in memory until all of a head are known.

    Returns:
        The triplets that are left out, because their label is not true.
    """
    import pyarrow.compute as pc

    stanzas: dict[str, list[str]] = {}
    relations: dict[str, str] = {}
    left, example = 0, ""
    for chunk in chunks:
        accepted = pc.fill_null(chunk["label"], False)
        others = chunk.filter(pc.invert(accepted))
        if len(others) and not left:
            example = " ".join(others[name][0].as_py() for name in ("head", "relation", "tail"))
        left += len(others)
        kept = chunk.filter(accepted)
        columns = [kept[name].to_pylist() for name in ("head", "relation", "tail", "tail_text", "probability")]
        scores = short_doubles(kept["score"]).to_pylist()
        for head, relation, tail, text, probability, score in zip(*columns, scores, strict=True):
            values = {"lass_probability": probability, "lass_score": score}
            qualifiers = ", ".join(f'{name}="{value}"' for name, value in values.items() if value is not None)
            subject, target = _ident(head, source), _ident(tail, source)
            if relation in IS_A or source.iri(relation, "relation") == f"{STANDARD['rdfs']}subClassOf":
                line = f"is_a: {target}"
            else:
                relations[relation] = _ident(relation, source, "relation")
                line = f"relationship: {relations[relation]} {target}"
            comment = f" ! {_unquoted(text)}" if text else ""
            stanzas.setdefault(subject, []).append(f"{line} {{{qualifiers}}}{comment}")
            stanzas.setdefault(target, [])  # a reader wants a stanza for each id
    header = [
        "format-version: 1.4",
        f"auto-generated-by: lass-hf {metadata.version}",
        f"remark: {_unquoted(metadata.as_json())}",
    ]
    parts = ["\n".join(header)]
    parts += ["\n".join(["[Term]", f"id: {name}", *lines]) for name, lines in stanzas.items()]
    parts += [f"[Typedef]\nid: {name}" for name in sorted(set(relations.values()))]
    handle.write(("\n\n".join(parts) + "\n").encode())
    return [LeftOut("triplets that are not labeled true", left, example, REASON)] if left else []


def _ident(name: str, source: SourceIds, kind: str = "entity") -> str:
    """Returns an id with the escapes of OBO; a minted one where it has characters that OBO cannot hold."""
    if found := _FOUNDRY.fullmatch(source.source_id.get(name, name)):
        return f"{found[1]}:{found[2]}"
    if not name.isprintable() or name.strip() != name:
        name = minted_iri(name, kind)
    prefix, colon, local = name.partition(":")
    if colon and re.fullmatch(r"\w[\w.-]*", prefix):
        return f"{prefix}:{_escaped(local)}"
    return _escaped(name)


def _escaped(text: str) -> str:
    return re.sub(r'([\\ :,{}()\[\]"!])', r"\\\1", text)


def _unquoted(text: str) -> str:
    """Returns a text as one line, as it may stand at the end of one."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return re.sub(r"([\\{}])", r"\\\1", line).strip()
