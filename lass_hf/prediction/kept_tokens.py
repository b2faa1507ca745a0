"""Keeps the token ids of a graph's texts in a file: one query then reads them, and tokenizes its own texts alone."""

import json
import logging
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..core.knowledge_graph import KnowledgeGraph
from ..core.neighbor_names import NeighborNames
from ..core.processing_lass import LassProcessor
from ..core.token_store import TokenStore
from ..utils.atomic_files import write_whole
from ..utils.fingerprints import digest

logger = logging.getLogger(__name__)

TOKENS_FILE = "tokens.safetensors"
ARRAYS = ("num_relations", "tokens", "offsets")
NEIGHBOR_ARRAYS = ("of_entities", "chosen", "name_offsets")


def keep_token_store(processor: LassProcessor, folder: str | Path | None) -> TokenStore:
    """Returns the texts of a processor's own graph as token ids, which are read from a folder, or made and kept there.

    Args:
        processor: The processor, which has a graph.
        folder: The folder, such as the one that keeps the entity index. None, or a folder that cannot be written, keeps
            nothing.
    """
    if folder is None or processor.graph is None:
        return processor.token_store()
    file, identity = Path(folder, TOKENS_FILE), _identity(processor, processor.graph)
    if (kept := _read(file, identity)) is not None:
        neighbors = NeighborNames(*(kept[name] for name in NEIGHBOR_ARRAYS)) if NEIGHBOR_ARRAYS[0] in kept else None
        return TokenStore(processor.template, int(kept["num_relations"]), kept["tokens"], kept["offsets"], neighbors)
    store = processor.token_store()
    arrays = dict(zip(ARRAYS, (np.array(store.num_relations), store.tokens, store.offsets), strict=True))
    if (names := store.neighbors) is not None:
        arrays |= dict(zip(NEIGHBOR_ARRAYS, (names.of_entities, names.chosen, names.offsets), strict=True))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, save(arrays, {"digest": _digest(identity, arrays)}))
    except OSError as error:
        logger.warning("%s cannot be written (%s): texts are tokenized again next time", file, error.strerror)
    return store


def _identity(processor: LassProcessor, graph: KnowledgeGraph) -> str:
    """Returns the digest of what token ids depend on: texts, names of neighbors, sequence template and tokenizer."""
    texts = json.dumps([graph.relations.texts, graph.entities.texts])
    tokenizer = processor.tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = repr((tokenizer, tokenizer.get_vocab())) if backend is None else backend.to_str()
    facts = [graph.known_in_train.triplets()] if processor.num_neighbors else []
    parts = (texts, rules, repr((processor.template, processor.num_neighbors)))
    return digest([*(part.encode() for part in parts), *facts])


def _digest(identity: str, arrays: dict[str, np.ndarray]) -> str:
    return digest([identity.encode(), *(arrays[name] for name in sorted(arrays))])


def _read(file: Path, identity: str) -> dict[str, np.ndarray] | None:
    """Returns the arrays of a file; None if it is missing, damaged or of other texts."""
    if not file.is_file():
        return None
    try:
        with safe_open(file, "np") as content:
            expected = (content.metadata() or {}).get("digest")
            arrays = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118, it is no dict
    except (OSError, SafetensorError):
        return None
    return arrays if expected == _digest(identity, arrays) else None
