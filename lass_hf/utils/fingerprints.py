"""Fingerprints that tell whether two models, or two graphs, are the same: hex digests of their contents."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from transformers import PreTrainedConfig

from ..core.knowledge_graph import KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.token_store import TokenStore

# What a configuration says about the file, the library, or what scores mean: no score depends on it.
VOLATILE = ("_name_or_path", "architectures", "auto_map", "calibration", "dtype", "transformers_version", "use_cache")
# What scores are made of distances by.
OF_DISTANCES = (
    *("margin", "distance_scale", "scale", "learn_scale"),
    *("self_match_weight", "neighbor_weight", "frequency_weight"),
)


def config_fingerprint(config: PreTrainedConfig, left_out: Sequence[str] = ()) -> str:
    """Of everything that a configuration chooses, margin, distance scale, the encoder's shape, but what is left out."""
    values = config.to_dict()
    for part, names in ((values, (*VOLATILE, *left_out)), (values["encoder_config"], VOLATILE)):
        for name in names:
            part.pop(name, None)
    return digest([json.dumps(values, sort_keys=True, default=str).encode()])


def model_fingerprint(model: LassForKGCompletion) -> str:
    """Of the configuration and every weight, in the precision the model has."""
    return digest([config_fingerprint(model.config).encode(), *_weights(model)])


def vectors_fingerprint(model: LassForKGCompletion) -> str:
    """Of what the vectors of an entity index depend on: not of what is made of their distances."""
    return digest([config_fingerprint(model.config, OF_DISTANCES).encode(), *_weights(model.encoder)])


def texts_fingerprint(store: TokenStore) -> str:
    """Of the texts as the encoder sees them: tokens and sequence template."""
    return digest([repr((store.template, store.num_relations)).encode(), store.tokens, store.offsets])


def graph_fingerprint(graph: KnowledgeGraph) -> str:
    """Of names, and of the true triplets of each split: what a model folder keeps of a graph."""
    names = json.dumps([graph.entities.ids, graph.relations.ids]).encode()
    splits = [part for name, split in graph.splits.items() for part in (name.encode(), split.positives)]
    return digest([names, *splits])


def graph_texts_fingerprint(graph: KnowledgeGraph) -> str:
    """Of the texts of a graph, which `graph_fingerprint` leaves out: the same facts can be read by other texts."""
    return digest([json.dumps([graph.entities.texts, graph.relations.texts]).encode()])


def _weights(module: torch.nn.Module) -> Iterator[np.ndarray]:
    for _, tensor in sorted(module.state_dict().items()):
        yield tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()


def digest(parts: Iterable[bytes | np.ndarray]) -> str:
    """Of bytes and arrays, one after the other."""
    total = hashlib.blake2b(digest_size=16)
    for part in parts:
        total.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).data)
    return total.hexdigest()
