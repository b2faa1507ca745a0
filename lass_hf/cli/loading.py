"""Loads what the arguments of a subcommand name: models with their processors, the graph, a predictor."""

import argparse
import os
import sys
from typing import Any

import numpy as np

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.known_triplets import KnownTriplets
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..graphs.loading import load_graph
from ..prediction.predictor import LassPredictor
from ..scoring.index_building import find_index_folder, find_index_folder_for_graph
from ..utils.distributed import processes
from .options import RANKING_WEIGHTS, RERANK_TOP_K, RETRIEVER_WEIGHT


def load(name_or_path: str) -> tuple[LassForKGCompletion, LassProcessor]:
    """Loads a model, onto this process's device, and its processor."""
    processor = LassProcessor.from_pretrained(name_or_path)
    return LassForKGCompletion.from_pretrained(name_or_path).to(processes().device), processor


def load_with_graph(arguments: argparse.Namespace) -> tuple[LassForKGCompletion, LassProcessor, KnowledgeGraph]:
    """Loads model, processor and graph, `--graph` or the model's own; warns of texts other than those in training.

    Raises:
        LassError: `--graph` is not given, and the model has no graph, or `--long_text` is.
    """
    if not arguments.graph:
        refuse_long_text(arguments)
        model, processor = load(arguments.model)
        if processor.graph is None or not processor.graph.splits:
            raise LassError(f"{arguments.model}: the model has no triplets of its graph with it; give --graph")
        return model, processor, processor.graph
    graph = load_graph(arguments.graph, long_text=arguments.long_text)
    model, processor = load(arguments.model)
    if processor.graph is not None:
        index, texts = processor.graph.entities.index, processor.graph.entities.texts
        pairs = zip(graph.entities.ids, graph.entities.texts, strict=True)
        different = sum(name in index and texts[index[name]] != text for name, text in pairs)
        if different and processes().is_main_process:
            print(
                f"lass-hf: warning: {different} entities have other texts here than in the graph that the model was "
                "trained on (trained with --long_text, or another version?)",
                file=sys.stderr,
            )
        graph = _divide(graph, processor.graph)
        for name, (num_trained, number) in _count_trained(graph, processor.graph).items():
            if processes().is_main_process:
                print(
                    f"lass-hf: warning: the model was trained on {num_trained:,} of the {number:,} {name} triplets: "
                    "figures on them are too good; give the graph with the splits that it was trained with",
                    file=sys.stderr,
                )
    return model, processor, graph


def _count_trained(graph: KnowledgeGraph, own: KnowledgeGraph) -> dict[str, tuple[int, int]]:
    """Counts true triplets of validation and test that are training triplets of the model's graph, and not here.

    Returns:
        For each split that has some, how many, and the number of all its true triplets.
    """
    if "train" not in own:
        return {}
    rows = _translate(own["train"].positives, own, graph)
    trained = KnownTriplets(rows[(rows >= 0).all(axis=1)], graph.num_entities, graph.num_relations)
    found: dict[str, tuple[int, int]] = {}
    for name, split in graph.splits.items():
        if name != "train":
            triplets = split.positives
            number = int((trained.contains(triplets) & ~graph.known_in_train.contains(triplets)).sum())
            found |= {name: (number, len(triplets))} if number else {}
    return found


def _translate(triplets: np.ndarray, own: KnowledgeGraph, graph: KnowledgeGraph) -> np.ndarray:
    """Returns triplets of one graph by the numbers of another, -1 for a name that it lacks: int64 of shape (n, 3)."""
    entities, relations = (
        np.array([vocabulary.index.get(name, -1) for name in names.ids], np.int64)
        for vocabulary, names in ((graph.entities, own.entities), (graph.relations, own.relations))
    )
    return np.stack([entities[triplets[:, 0]], relations[triplets[:, 1]], entities[triplets[:, 2]]], axis=1)


def _divide(graph: KnowledgeGraph, own: KnowledgeGraph) -> KnowledgeGraph:
    """Takes splits that the model's graph has and a graph lacks out of its train split, by what it has of them.

    What was held out while the model was trained must not count among the facts. The graph may have grown or been
    mended since, and lacks the decisions that the model was trained with. If it lacks most of what was held out, it is
    taken for another graph: it stays as it is, with a warning if it has no splits of its own. These stay as they are.
    """
    lacking = [name for name in own.splits if name not in graph]
    if "train" not in graph or not lacking:
        return graph
    if graph.entities.index.keys().isdisjoint(own.entities.ids):
        return graph  # who needs the model's graph refuses it
    held_out, every, number, num_found = {}, [np.empty((0, 3), dtype=np.int64)], 0, 0
    for name in lacking:
        split = own[name]
        rows = _translate(split.triplets, own, graph)
        is_true = np.ones(len(rows), dtype=bool) if split.labels is None else split.labels == 1
        is_here = np.asarray((rows >= 0).all(axis=1))
        is_known, is_fact = np.zeros((2, len(rows)), dtype=bool)
        is_known[is_here] = graph.known.contains(rows[is_here])
        is_fact[is_here] = graph.known_in_train.contains(rows[is_here])
        is_kept = np.where(is_true, is_fact, is_here & ~is_known)
        number, num_found = number + int(is_true.sum()), num_found + int((is_true & is_known).sum())
        every.append(rows[is_kept & is_true])
        if len(every[-1]):
            held_out[name] = rows[is_kept], None if split.labels is None else split.labels[is_kept]
    if 2 * num_found < number:
        if list(graph.splits) == ["train"] and processes().is_main_process:
            print(
                f"lass-hf: warning: --graph lacks {number - num_found:,} of the {number:,} triplets that were held out "
                "while the model was trained, so none is held out of it: complete gives no probabilities, and audit "
                "learns nothing from the model; give the graph that the model was trained on, or one with splits",
                file=sys.stderr,
            )
        return graph
    if not held_out:
        return graph
    is_held_out = KnownTriplets(np.concatenate(every), graph.num_entities, graph.num_relations)
    left = graph["train"].select(np.flatnonzero(~is_held_out.contains(graph["train"].triplets)))
    splits = {name: (split.triplets, split.labels) for name, split in {**graph.splits, "train": left}.items()}
    return KnowledgeGraph(graph.entities, graph.relations, {**splits, **held_out})


def refuse_long_text(arguments: argparse.Namespace) -> None:
    """Raises LassError for `--long_text` without `--graph`, whose texts it would choose."""
    if arguments.long_text:
        raise LassError("--long_text needs --graph, which is not given")


def set_ranking_weights(model: LassForKGCompletion, arguments: argparse.Namespace) -> dict[str, float]:
    """Sets the ranking weights from the command line in `model.config`, in memory.

    Returns:
        The weights that differ from the model's own, by name.

    Raises:
        LassError: weights, or `--keep_weights`, that would change nothing.
    """
    weights = {name: value for name in RANKING_WEIGHTS if (value := getattr(arguments, name)) is not None}
    if weights and (not model.architecture.encodes_entities or arguments.relations):
        raise LassError(f"--{next(iter(weights))} is for heads and tails, and for bi-encoders")
    if arguments.keep_weights and not weights:
        raise LassError(f"--keep_weights needs {' and '.join(f'--{name}' for name in RANKING_WEIGHTS)}; none is given")
    if arguments.keep_weights and not os.access(arguments.model, os.W_OK):
        raise LassError(f"--keep_weights: {arguments.model} is not a folder that can be written")
    others = {name: value for name, value in weights.items() if value != getattr(model.config, name)}
    for name, value in others.items():
        setattr(model.config, name, value)
    return others


def check_reranker(arguments: argparse.Namespace) -> None:
    """Raises LassError for choices of a reranker that is not given."""
    if not arguments.rerank and (arguments.rerank_top_k, arguments.retriever_weight) != (
        RERANK_TOP_K,
        RETRIEVER_WEIGHT,
    ):
        raise LassError("--rerank_top_k and --retriever_weight need --rerank, which is not given")


def load_predictor(arguments: argparse.Namespace) -> LassPredictor:
    """Makes the predictor of a model, for its own graph or for `--graph`, with a reranker or without."""
    check_reranker(arguments)
    choices: dict[str, Any] = {"rerank_top_k": arguments.rerank_top_k, "retriever_weight": arguments.retriever_weight}
    if arguments.graph:
        model, processor, graph = load_with_graph(arguments)
        folder = find_index_folder_for_graph(arguments.model, processor, graph)
        processor.graph = graph
    else:
        refuse_long_text(arguments)
        model, processor = load(arguments.model)
        folder = find_index_folder(arguments.model)
    if arguments.rerank:
        reranker, reranker_processor = load(arguments.rerank)
        reranker_processor.graph = processor.graph
        choices["rerank"] = LassPredictor(reranker, reranker_processor, arguments.dtype, evidence="text")
    return LassPredictor(model, processor, arguments.dtype, evidence=arguments.evidence, index_folder=folder, **choices)
