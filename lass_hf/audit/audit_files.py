"""The output folder of an audit: `findings.tsv`, judged triplets that people review, and `audit.json`."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..utils.fingerprints import graph_fingerprint
from ..utils.result_files import read_results, write_results
from ..writers.judged_triplets import FileMetadata, judged_triplets
from ..writers.source_ids import SourceIds
from ..writers.writing import write_judged_triplets
from .auditing import SHARE, Audit
from .findings import find_reasons

FINDINGS_FILE, AUDIT_FILE = "findings.tsv", "audit.json"
UNTRAINED = "untrained texts and structure"  # what stands for the model where there is none
MOST_ENTITIES = 200  # odd entities of each kind in `audit.json`


def check_output(folder: str | Path, graph: KnowledgeGraph) -> None:
    """Refuses a folder that an audit of another graph wrote, before any work.

    Args:
        folder: The output folder, which need not exist.
        graph: The graph.

    Raises:
        LassError: The folder has the audit of another graph, or is a file.
    """
    folder = Path(folder)
    if os.path.lexists(folder) and not folder.is_dir():
        raise LassError(f"{folder}: a file; expected a folder, which gets {FINDINGS_FILE} and {AUDIT_FILE}")
    file = folder / AUDIT_FILE
    if os.path.lexists(file) and read_results(file).get("graph_digest") != graph_fingerprint(graph):
        raise LassError(f"{file}: the audit of another graph; expected another output folder, or that one removed")


def write_audit(
    folder: str | Path,
    audit: Audit,
    graph: KnowledgeGraph,
    most: int,
    *,
    model: str | None = None,
    graph_name: str | None = None,
    source: SourceIds | None = None,
    **settings: Any,
) -> None:
    """Writes the findings and the audit into a folder, each file whole or not at all.

    `score` is the suspicion, from 0 to 1, and `rank` 1 is the most suspicious triplet; `probability` is that of being
    true, 1 - `score`, as in all files of judged triplets. `kind` names the kinds of signals.

    Args:
        folder: The folder, which is made.
        audit: The audit.
        graph: The graph.
        most: The most findings.
        model: The folder or name of the text model, if there is one.
        graph_name: The folder or name of the graph.
        source: The ids in the form of the graph's source.
        **settings: What else the audit depends on, for both files.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    digest = graph_fingerprint(graph)
    findings = find_reasons(audit, graph, most)
    triplets, suspicion = audit.triplets[findings.positions], audit.suspicion[findings.positions]
    columns: dict[str, Any] = {}
    for slot, name in enumerate(("head", "relation", "tail")):
        vocabulary = graph.relations if slot == 1 else graph.entities
        columns[name] = [vocabulary.ids[one] for one in triplets[:, slot].tolist()]
        columns[f"{name}_text"] = [vocabulary.texts[one] for one in triplets[:, slot].tolist()]
    rows = judged_triplets(
        **columns,
        score=suspicion.astype(np.float32),
        probability=np.clip(1 - suspicion, 0, 1),
        rank=np.arange(1, len(suspicion) + 1),
        known=np.ones(len(suspicion), bool),
        kind=findings.kinds,
        reasons=findings.reasons,
    )
    settings = {"score": "suspicion, from 0 to 1", "assumed_share_of_errors": SHARE, **settings}
    metadata = FileMetadata(model or UNTRAINED, graph_name, graph_digest=digest, settings=settings)
    write_judged_triplets(rows, folder / FINDINGS_FILE, metadata, source=source)
    levels = np.array([0.5, 0.8, 0.95])
    metrics = {
        "triplets": len(audit.triplets),
        "findings": len(rows),
        **{f"suspicion_of_{level:.2f}_or_more": int((audit.suspicion >= level).sum()) for level in levels.tolist()},
    }
    write_results(
        folder / AUDIT_FILE,
        metrics,
        task="audit",
        graph=graph_name,
        graph_digest=digest,
        model=model,
        settings=settings,
        injected=audit.num_injected,
        signals=list(audit.signals.names),
        **_odd_entities(audit, graph),
        seconds_of=audit.seconds,
    )


def _odd_entities(audit: Audit, graph: KnowledgeGraph) -> dict[str, list[dict[str, Any]]]:
    """Returns the odd entities, by ids and texts, as `audit.json` has them."""
    odd, ids, texts = audit.entities, graph.entities.ids, graph.entities.texts
    pairs = zip(odd.duplicates[:MOST_ENTITIES].tolist(), odd.cosines.tolist(), odd.common.tolist(), strict=False)
    return {
        "duplicates": [
            {
                "ids": [ids[one] for one in pair],
                "texts": [texts[one] for one in pair],
                "cosine_of_texts": round(cosine, 4),
                "share_of_common_neighbors": round(common, 4),
            }
            for pair, cosine, common in pairs
        ],
        "misfits": [
            {"id": ids[one], "text": texts[one], "share_that_fits_worse": round(fit, 4)}
            for one, fit in zip(odd.misfits[:MOST_ENTITIES].tolist(), odd.fits.tolist(), strict=False)
        ],
    }
