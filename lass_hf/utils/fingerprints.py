"""Fingerprints of models and graphs: hex digests of their contents, equal where the contents are.

They tell a mistake, such as the evidence of another model, and no attack: so they are xxHash, at the memory's speed.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

import numpy as np
import torch
import xxhash
from transformers import PreTrainedConfig

from ..core.choices import ModelChoices, choice_names
from ..core.configuration_lass import LassConfig
from ..core.knowledge_graph import KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.token_store import TokenStore

# Fields of an encoder's configuration about its file and the library: no score depends on them.
VOLATILE = ("_name_or_path", "architectures", "auto_map", "dtype", "transformers_version", "use_cache")


def config_fingerprint(config: PreTrainedConfig, affects: str | None = None) -> str:
    """Returns the fingerprint of a model's choices and of the shape of its encoder.

    Args:
        config: the `LassConfig` of the model.
        affects: leaves out all choices but those that affect just that, such as "vectors".
    """
    assert isinstance(config, LassConfig)
    assert isinstance(config.encoder_config, PreTrainedConfig)
    encoder = {name: value for name, value in config.encoder_config.to_dict().items() if name not in VOLATILE}
    values = {name: getattr(config, name) for name in choice_names(ModelChoices, affects)}
    return digest([json.dumps({**values, "encoder_config": encoder}, sort_keys=True, default=str).encode()])


def model_fingerprint(model: LassForKGCompletion) -> str:
    """Returns the fingerprint of the choices and of every weight, in the precision that the model has."""
    return digest([config_fingerprint(model.config).encode(), *_bytes(model.state_dict())])


def scores_fingerprint(model: LassForKGCompletion) -> str:
    """Returns the fingerprint of what the scores of triplets depend on: `model_fingerprint` without ranking weights."""
    choices = [config_fingerprint(model.config, affects=what).encode() for what in ("vectors", "scores")]
    return digest([*choices, *_bytes(model.state_dict())])


def vectors_fingerprint(model: LassForKGCompletion) -> str:
    """Returns the fingerprint of what the vectors of an entity index depend on, without what scores make of them."""
    states = (model.encoder.state_dict(), model.score_head.state_dict())
    return digest([config_fingerprint(model.config, affects="vectors").encode(), *chain(*map(_bytes, states))])


def starting_weights_fingerprint(model: torch.nn.Module) -> str:
    """Returns the fingerprint of the weights that a training begins with, without those that are drawn at random.

    These are the pooler, which is not used, and what PEFT adds to a model: it is trained, and the rest is frozen.
    """
    parameters = model.named_parameters() if hasattr(model, "peft_config") else ()
    drawn = {name for name, weight in parameters if weight.requires_grad}
    state = {name: tensor for name, tensor in model.state_dict().items() if name not in drawn and "pooler." not in name}
    return digest(_bytes(state))


def texts_fingerprint(store: TokenStore) -> str:
    """Returns the fingerprint of the texts as the encoder reads them: tokens, neighbors and sequence template."""
    neighbors = store.neighbors
    of_neighbors = () if neighbors is None else (neighbors.of_entities, neighbors.chosen, neighbors.offsets)
    return digest([repr((store.template, store.num_relations)).encode(), store.tokens, store.offsets, *of_neighbors])


def graph_fingerprint(graph: KnowledgeGraph) -> str:
    """Returns the fingerprint of a graph's ids and of the true triplets of each split."""
    names = json.dumps([graph.entities.ids, graph.relations.ids]).encode()
    splits = [part for name, split in graph.splits.items() for part in (name.encode(), split.positives)]
    return digest([names, *splits])


def graph_texts_fingerprint(graph: KnowledgeGraph) -> str:
    """Returns the fingerprint of a graph's texts, which `graph_fingerprint` leaves out."""
    return digest([json.dumps([graph.entities.texts, graph.relations.texts]).encode()])


def candidates_fingerprint(graph: KnowledgeGraph, slots: Iterable[int] = (0, 2)) -> str:
    """Returns the fingerprint of a graph's candidates, which triplets that are labeled false have a part in.

    Args:
        graph: the graph.
        slots: the slots that are asked for.
    """
    return digest(graph.candidates[slot] for slot in slots)


def _bytes(state: Mapping[str, torch.Tensor]) -> Iterator[np.ndarray]:
    for _, tensor in sorted(state.items()):
        yield tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()


def digest(parts: Iterable[bytes | np.ndarray]) -> str:
    """Returns the hex digest of bytes and arrays, one after the other."""
    total = xxhash.xxh3_128()
    for part in parts:
        total.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).data)
    return total.hexdigest()
