"""The output folder of an audit: `findings.tsv`, judged triplets that people review, with their signals and a page."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..core.knowledge_graph import KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..scoring.output_folders import LISTS, PROGRESS_FOLDER, RESULTS, check_own, only_writer
from ..scoring.precision import scoring_dtype
from ..scoring.step_progress import StepProgress
from ..structure.facts import false_fingerprint
from ..utils.atomic_files import write_whole
from ..utils.fingerprints import (
    graph_fingerprint,
    graph_texts_fingerprint,
    scores_fingerprint,
    starting_weights_fingerprint,
    texts_fingerprint,
)
from ..utils.result_files import REPORT_FILE, write_results
from ..version import __version__
from ..writers.judged_triplets import FileMetadata, columns_of, judged_triplets
from ..writers.writing import write_judged_triplets
from .auditing import SHARE, Audit
from .findings import Findings, find_reasons
from .report import SHOWN, describe_signals, render_audit
from .text_signals import load_encoder

FINDINGS_FILE, SIGNALS_FILE = LISTS["audit"]
LEVELS = (0.5, 0.8, 0.95)  # of suspicion, for which triplets are counted
UNTRAINED = "untrained texts and structure"  # what stands for the model where there is none
MOST_ENTITIES = 200  # odd entities of each kind in `audit.json`


@contextmanager
def only_audit(folder: str | Path, identity: Mapping[str, Any]) -> Iterator[StepProgress]:
    """Keeps other runs out of an output folder, which is made if there is none.

    Args:
        folder: The folder.
        identity: Everything that the list depends on, as JSON values, of `audit_identity`.

    Yields:
        The steps that a killed run of the same audit has finished.

    Raises:
        LassError: Another run is writing into the folder or has written into it, or it cannot be written.
    """
    identity = json.loads(json.dumps(identity))
    with only_writer(folder):
        check_own(folder, "audit", identity)
        progress = Path(folder, PROGRESS_FOLDER)
        yield StepProgress(progress, {name: value for name, value in identity.items() if name != "most"}, "audit")


def audit_identity(
    graph: KnowledgeGraph,
    model: LassForKGCompletion | None,
    processor: LassProcessor | None,
    most: int,
    *,
    encoder: str,
    dtype: str,
    **choices: Any,
) -> dict[str, Any]:
    """Returns everything that the findings of an audit depend on.

    Args:
        graph: The graph.
        model: The text model, if there is one.
        processor: Its processor.
        most: The most findings.
        encoder: As in `audit_graph`.
        dtype: As in `audit_graph`.
        **choices: The other arguments of `audit_graph`, as JSON values.

    Raises:
        ModelError: There is no such encoder.
    """
    untrained = load_encoder(encoder)
    return {
        "version": __version__,
        "graph": graph_fingerprint(graph),
        "graph_texts": graph_texts_fingerprint(graph),
        "labeled_false": false_fingerprint(graph, *graph.splits),
        "model": None if model is None else scores_fingerprint(model),
        "texts": None if processor is None else texts_fingerprint(processor.token_store(graph)),
        "encoder": encoder,
        "encoder_weights": starting_weights_fingerprint(untrained.encoder),
        "dtype": str(scoring_dtype(dtype, untrained.device) or untrained.dtype),
        "device": untrained.device.type,
        **choices,
        "most": most,
    }


def write_audit(
    folder: str | Path,
    audit: Audit,
    graph: KnowledgeGraph,
    identity: Mapping[str, Any],
    *,
    model: str | None = None,
    graph_name: str | None = None,
    **settings: Any,
) -> None:
    """Writes the findings, their signals, the page and the audit into a folder, each file whole or not at all.

    `rank` 1 is the most suspicious triplet. `score` and `probability` are those of being true, 1 - suspicion, as in all
    files of judged triplets. `kind` names the kinds of signals.

    Args:
        folder: The folder.
        audit: The audit.
        graph: The graph.
        identity: Of `audit_identity`, with the most findings.
        model: The folder or name of the text model, if there is one.
        graph_name: The folder or name of the graph.
        **settings: What else the audit depends on, for both files.
    """
    folder, digest = Path(folder), identity["graph"]
    findings = find_reasons(audit, graph, identity["most"])
    triplets, suspicion = audit.triplets[findings.positions], audit.suspicion[findings.positions]
    rows = judged_triplets(
        **columns_of(graph, triplets),
        score=(1 - suspicion).astype(np.float32),
        probability=np.clip(1 - suspicion, 0, 1),
        rank=np.arange(1, len(suspicion) + 1),
        known=np.ones(len(suspicion), bool),
        kind=findings.kinds,
        reasons=[[*against, *better] for against, better in zip(findings.against, findings.better, strict=True)],
    )
    settings = {"score": "1 - suspicion", "assumed_share_of_errors": SHARE, **settings}
    metadata = FileMetadata(model or UNTRAINED, graph_name, graph_digest=digest, settings=settings)
    write_judged_triplets(rows, folder / FINDINGS_FILE, metadata)
    content: dict[str, Any] = {
        "metrics": {
            "triplets": len(audit.triplets),
            "findings": len(rows),
            **{f"suspicion_of_{level:.2f}_or_more": int((audit.suspicion >= level).sum()) for level in LEVELS},
            **({"duplicates": len(audit.entities.duplicates)} if audit.entities.are_compared else {}),
            "misfits": len(audit.entities.misfits),
        },
        "settings": {"graph": graph_name, "model": model, **settings},
        "injected": audit.num_injected,
        "by_heart": audit.by_heart,
        "model_counts": audit.model_counts,
        "held_out": audit.num_held_out,
        **_odd_entities(audit, graph),
    }
    shown = [
        {
            **row,
            "against": findings.against[place],
            "better": findings.better[place],
            "signals": describe_signals(audit, findings, place),
        }
        for place, row in enumerate(rows.slice(0, SHOWN).to_pylist())
    ]
    write_whole(folder / SIGNALS_FILE, _signals_table(audit, findings))
    write_whole(folder / REPORT_FILE, render_audit(content, shown))
    write_results(
        folder / RESULTS["audit"],
        **content,
        task="audit",
        graph=graph_name,
        graph_digest=digest,
        model=model,
        identity=identity,
        signals=list(audit.signals.names),
        seconds_of=audit.seconds,
    )


def _signals_table(audit: Audit, findings: Findings) -> str:
    """Returns the signals of the findings as tab-separated lines, by the rank that a finding has in the list."""
    lines = ["\t".join(("rank", "suspicion", *audit.signals.names))]
    for rank, position in enumerate(findings.positions.tolist(), start=1):
        numbers = [audit.suspicion[position], *audit.signals.values[:, position].tolist()]
        lines.append("\t".join([str(rank), *("" if np.isnan(one) else f"{one:.6g}" for one in numbers)]))
    return "\n".join(lines) + "\n"


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
