"""Makes the entity index of a graph, or reads it from the folder in which it is kept."""

import logging
import os
from pathlib import Path

import numpy as np

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.processing_lass import LassProcessor
from ..utils.fingerprints import digest, vectors_fingerprint
from .entity_index import EntityIndex
from .triplet_scorer import TripletScorer

logger = logging.getLogger(__name__)

INDEX_FOLDER = "entity_index"  # The name of the folder inside a model's folder.


def find_index_folder(model: str | Path) -> Path | None:
    """Returns the folder that keeps the index of a model's own graph.

    Args:
        model: The model's folder, or its name on the hub.

    Returns:
        A folder inside the model's folder; None for a model of the hub, and for one that was not saved, whose name is
        "".
    """
    return Path(model, INDEX_FOLDER) if str(model) and Path(model).is_dir() else None


def find_index_folder_for_graph(model: str | Path, processor: LassProcessor, graph: KnowledgeGraph) -> Path | None:
    """Returns the folder that keeps the index of a graph, which is the model's for its own graph.

    Args:
        model: The model's folder, or its name on the hub.
        processor: The model's processor, with the graph that was saved with it, or none.
        graph: The graph.

    Returns:
        The folder of the model's index, if the graph is the model's own or adds entities to it, else None. For texts
        that are followed by neighbors, it needs the same training triplets, too.
    """
    own = processor.graph
    if own is None:
        return None
    first = slice(own.num_entities)
    same = (own.entities.ids, own.entities.texts) == (graph.entities.ids[first], graph.entities.texts[first])
    if same and processor.num_neighbors:
        same = np.array_equal(own.known_in_train.triplets(), graph.known_in_train.triplets())
    return find_index_folder(model) if same else None


def build_entity_index(
    scorer: TripletScorer, folder: str | Path | None = None, quiet: bool = True, shared: bool = True
) -> EntityIndex:
    """Returns the entity index of the scorer's texts; it encodes the entities that the folder lacks, and keeps them.

    Args:
        scorer: The scorer of a bi-encoder.
        folder: The folder, in which each precision of scoring has a folder of its own. None keeps the index in memory,
            and so does a folder that cannot be made, with a warning.
        quiet: Whether no progress bar is shown.
        shared: Whether several processes, which must all call this function, share the work.

    Returns:
        The vectors of all entities.

    Raises:
        LassError: The scorer is that of a cross-encoder, whose vectors of an entity depend on the whole triplet.
        IndexFolderError: The folder holds the index of another model or graph, or cannot be written.
    """
    if not scorer.is_bi_encoder:
        raise LassError("an entity index needs a bi-encoder: a cross-encoder's vectors depend on the whole triplet")
    store = scorer.store

    def digest_texts(start: int, stop: int) -> str:
        offsets = store.offsets[store.num_relations + start : store.num_relations + stop + 1]
        template = repr(store.template).encode()
        parts = [template, offsets - offsets[0], store.tokens[offsets[0] : offsets[-1]]]
        if store.neighbors is not None:
            parts.append(store.assemble(store.candidates(np.arange(start, stop)))["input_ids"].numpy())
        return digest(parts)

    path = None if folder is None else Path(folder, str(scorer.model.encoder.dtype).removeprefix("torch."))
    if path is not None and not path.is_dir() and not _can_be_made(path):
        logger.warning("%s cannot be made: the vectors of entities are kept in memory, and made again next time", path)
        path = None
    return EntityIndex.build(
        scorer.encode_entities,
        store.num_entities,
        digest_texts,
        vectors_fingerprint(scorer.model),
        path,
        quiet,
        shared,
    )


def _can_be_made(folder: Path) -> bool:
    existing = next(parent for parent in folder.absolute().parents if parent.exists())
    return existing.is_dir() and os.access(existing, os.W_OK)
