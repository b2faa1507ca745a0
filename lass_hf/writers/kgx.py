"""Writes judged triplets as KGX edges, in the words of the Biolink Model.

Ids stay as they are, so that the edges fit the table of nodes that the graph was made of.
"""

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from ..names.cells import cells_of
from ..names.own_headers import KGX_COLUMNS
from .source_ids import STANDARD, SourceIds
from .tables import as_cells, write_tsv_lines

if TYPE_CHECKING:
    import pyarrow as pa

FIXED = {"primary_knowledge_source": "infores:lass-hf", "knowledge_level": "prediction"}  # no assertion
AGENT, REVIEWED_AGENT = "computational_model", "manual_validation_of_automated_agent"
UNNAMED = "biolink:related_to"  # of a relation that is no predicate of Biolink; `original_predicate` has it


def write_kgx(chunks: "Iterator[pa.Table]", handle: BinaryIO, source: SourceIds) -> None:
    """Writes a TSV file of KGX edges.

    The id of an edge is a UUID of its triplet, so that the same triplet has the same in each file.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    handle.write(("\t".join(KGX_COLUMNS) + "\n").encode())
    for chunk in chunks:
        names = zip(*(chunk[name].to_pylist() for name in ("head", "relation", "tail")), strict=True)
        ids = [f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, chr(0).join(triplet))}" for triplet in names]
        relations = chunk["relation"].combine_chunks().dictionary_encode()
        own = [source.iri(name, "relation") for name in relations.dictionary.to_pylist()]
        space = STANDARD["biolink"]
        predicates = [f"biolink:{one.removeprefix(space)}" if one.startswith(space) else UNNAMED for one in own]
        cells = as_cells(chunk)
        cells |= {name: pa.array([text] * len(chunk), pa.large_string()) for name, text in FIXED.items()}
        cells |= {
            "id": pa.array(ids, pa.large_string()),
            "subject": cells["head"],
            "subject_label": cells["head_text"],
            "predicate": cells_of(pa.array(predicates, pa.large_string())).take(relations.indices),
            "predicate_label": cells["relation_text"],
            "object": cells["tail"],
            "object_label": cells["tail_text"],
            "original_predicate": cells["relation"],
            "negated": pc.invert(cells["label"]),
            "agent_type": pc.if_else(pc.equal(chunk["reviewer"].combine_chunks(), ""), AGENT, REVIEWED_AGENT),
            "has_confidence_score": cells["probability"],
        }
        write_tsv_lines({name: cells[name] for name in KGX_COLUMNS}, handle)
