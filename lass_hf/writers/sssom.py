"""Writes judged triplets of mapping relations as SSSOM: TSV with the metadata in commented YAML above it."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import yaml

from ..names.cells import cells_of
from ..names.own_headers import SSSOM_COLUMNS
from ..names.source import LeftOut
from .judged_triplets import FileMetadata
from .source_ids import STANDARD, TERMS, SourceIds
from .tables import as_cells, write_tsv_lines

if TYPE_CHECKING:
    import pyarrow as pa

MAPPINGS = {
    *(f"{STANDARD['skos']}{kind}Match" for kind in ("exact", "close", "broad", "narrow", "related")),
    *(f"{STANDARD['owl']}{name}" for name in ("sameAs", "equivalentClass", "equivalentProperty")),
    f"{STANDARD['oboInOwl']}hasDbXref",
    f"{STANDARD['semapv']}crossSpeciesExactMatch",
}
JUSTIFICATION = "semapv:SemanticSimilarityThresholdMatching"
OWN = {
    **{"score": "float", "rank": "integer", "known": "boolean", "label": "boolean"},
    **{"kind": "string", "reasons": "string"},
}
REASON = "SSSOM holds mapping relations (skos:exactMatch, owl:sameAs, ...); write the others in another format"


class _Prefixes:
    """The prefixes of a file: those of the source that occur, and numbered ones for other namespaces."""

    def __init__(self, source: SourceIds):
        self.source = source
        self.namespaces = {"semapv": STANDARD["semapv"]}

    def shorten(self, name: str, kind: str = "entity") -> str:
        """Returns the prefixed name of an id, whose namespace is remembered."""
        wanted, namespace, local = self.source.prefixed(name, kind)
        prefix, number = wanted or "ns1", 1
        while self.namespaces.setdefault(prefix, namespace) != namespace:
            number += 1
            prefix = f"{wanted or 'ns'}{number}"
        return f"{prefix}:{local}"


def write_sssom(
    chunks: "Iterator[pa.Table]", handle: BinaryIO, metadata: FileMetadata, source: SourceIds
) -> list[LeftOut]:
    """Writes an SSSOM file.

    Returns:
        The triplets of other relations, which are left out.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    prefixes = _Prefixes(source)
    is_mapping: dict[str, bool] = {}
    left_out: Counter[str] = Counter()
    with tempfile.TemporaryFile() as rows:  # the prefixes that occur stand above the rows
        for chunk in chunks:
            counts = {one["values"]: one["counts"] for one in pc.value_counts(chunk["relation"]).to_pylist()}
            for name in counts.keys() - is_mapping.keys():
                is_mapping[name] = source.iri(name, "relation") in MAPPINGS
            left_out.update({name: count for name, count in counts.items() if not is_mapping[name]})
            kept = [name for name in counts if is_mapping[name]]
            wanted = chunk.filter(pc.is_in(chunk["relation"], pa.array(kept, pa.large_string())))
            if len(wanted):
                write_tsv_lines(_columns(wanted, prefixes), rows)
        rows.seek(0)
        text = yaml.safe_dump(_header(metadata, prefixes.namespaces), allow_unicode=False, sort_keys=False)
        handle.write("".join(f"#{line}\n" for line in text.splitlines()).encode())
        handle.write(("\t".join(SSSOM_COLUMNS) + "\n").encode())
        shutil.copyfileobj(rows, handle)
    return [LeftOut(f"triplets of {name}", count, name, REASON) for name, count in sorted(left_out.items())]


def _columns(chunk: "pa.Table", prefixes: _Prefixes) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = as_cells(chunk)

    def shortened(slot: str, kind: str) -> Any:
        names = chunk[slot].combine_chunks().dictionary_encode()
        short = [prefixes.shorten(name, kind) for name in names.dictionary.to_pylist()]
        return cells_of(pa.array(short, pa.large_string())).take(names.indices)

    columns = {
        "subject_id": shortened("head", "entity"),
        "subject_label": cells["head_text"],
        "predicate_id": shortened("relation", "relation"),
        "predicate_label": cells["relation_text"],
        "predicate_modifier": pc.if_else(pc.equal(cells["label"], False), "Not", ""),
        "object_id": shortened("tail", "entity"),
        "object_label": cells["tail_text"],
        "mapping_justification": pa.array([JUSTIFICATION] * len(chunk), pa.large_string()),
        "confidence": cells["probability"],
        "reviewer_label": cells["reviewer"],
    }
    return columns | {f"lass_{name}": cells[name] for name in OWN}


def _header(metadata: FileMetadata, namespaces: dict[str, str]) -> dict[str, Any]:
    return {
        "curie_map": dict(sorted(namespaces.items())),
        "mapping_set_id": metadata.run,
        "mapping_set_description": f"Predictions of {metadata.model}, to be reviewed",
        "license": "https://w3id.org/sssom/license/unspecified",
        "mapping_tool": "lass-hf",
        "mapping_tool_version": metadata.version,
        "mapping_date": metadata.date[:10],
        "extension_definitions": [
            {
                "slot_name": f"lass_{name}",
                "property": f"{TERMS}{name}",
                "type_hint": f"{STANDARD['xsd']}{kind}",
            }
            for name, kind in OWN.items()
        ],
        "other": metadata.as_json(),
    }
