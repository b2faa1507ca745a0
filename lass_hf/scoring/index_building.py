"""Makes the entity index of a graph, or reads what is there of it; decides where it is kept."""

import logging
import os
from pathlib import Path

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..utils.fingerprints import digest, vectors_fingerprint
from .entity_index import EntityIndex
from .triplet_scorer import TripletScorer

logger = logging.getLogger(__name__)

INDEX_FOLDER = "entity_index"  # in the model's


def index_folder(model: str | Path) -> Path | None:
    """Where the index of a model's own graph is kept: in its folder; None for a model of the hub."""
    return Path(model, INDEX_FOLDER) if Path(model).is_dir() else None


def index_folder_of(model: str | Path, own: KnowledgeGraph | None, graph: KnowledgeGraph) -> Path | None:
    """Where the index of a graph is kept: with the model, for its own graph and for one that adds entities to it."""
    if own is None:
        return None
    known = slice(own.num_entities)
    same = (own.entities.ids, own.entities.texts) == (graph.entities.ids[known], graph.entities.texts[known])
    return index_folder(model) if same else None


def entity_index(
    scorer: TripletScorer, folder: str | Path | None = None, quiet: bool = True, shared: bool = True
) -> EntityIndex:
    """All entities of the scorer's texts, encoded, or read from `folder` as far as they are there, and kept there.

    Each precision of scoring has a folder of its own in it; where that is not there and cannot be made, the index is in
    memory only. Several processes share the work, and must all call it, unless `shared` is False.

    Raises LassError for a cross-encoder, whose vectors of an entity depend on the whole triplet.
    """
    if not scorer.is_bi_encoder:
        raise LassError("an entity index needs a bi-encoder: a cross-encoder's vectors depend on the whole triplet")
    store = scorer.store

    def texts(start: int, stop: int) -> str:
        offsets = store.offsets[store.num_relations + start : store.num_relations + stop + 1]
        template = repr(store.template).encode()
        return digest([template, offsets - offsets[0], store.tokens[offsets[0] : offsets[-1]]])

    kept = None if folder is None else Path(folder, str(scorer.model.encoder.dtype).removeprefix("torch."))
    if kept is not None and not kept.is_dir() and not _can_be_made(kept):
        logger.warning("%s cannot be made: the vectors of entities are kept in memory, and made again next time", kept)
        kept = None
    return EntityIndex.build(
        scorer.encode_entities,
        store.num_entities,
        texts,
        vectors_fingerprint(scorer.model),
        kept,
        quiet,
        shared,
    )


def _can_be_made(folder: Path) -> bool:
    there = next(parent for parent in folder.absolute().parents if parent.exists())
    return there.is_dir() and os.access(there, os.W_OK)
