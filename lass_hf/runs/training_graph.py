"""The graph of a training: with the decisions of people, and with validation and test triplets held out."""

import numpy as np

from ..core.errors import GraphError
from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..graphs.decisions import graph_with_decisions, read_decisions
from ..graphs.loading import load_graph
from ..graphs.splitting import parse_size, split_graph
from ..training.negative_sampling import NegativeSampler
from ..training.output_folder import warn
from ..training.recipes import TrainArguments

# Held out where nobody chose. A calibration needs no more than the limit; with less than the floor, chances of a small
# graph's missing links cannot be fitted, so a larger share of it is held out.
VALIDATION_SHARE, VALIDATION_LIMIT = 0.05, 2500
VALIDATION_FLOOR, SHARE_OF_SMALL = 50, 0.15


def load_training_graph(arguments: TrainArguments, seed: int, prog: str = "lass-hf train") -> KnowledgeGraph:
    """Loads the graph that `arguments.graph` names, adds decisions, and holds out validation and test triplets.

    A graph without validation split gets one, with a corrupted triplet labeled false for each true one: the training
    fits threshold and calibration on it. The same seed gives the same split. Of the decisions, the same share is held
    out. A validation split that the graph has stays as it is, and all decisions are trained on: a threshold does not
    hold that was fitted to triplets which the model learned.

    Args:
        arguments: `graph`, and `decisions` and the sizes `validation` and `test`, if any; its `decided` and `held_out`
            become what was decided and held out, for the run metadata.
        seed: the seed of the split, usually that of the training.
        prog: the program's name; a note advises by the options that it has.

    Returns:
        The graph.

    Raises:
        LassError: there is no such graph, it has a split that is to be made, or nothing can be held out. Or the
            decisions cannot be read, contradict each other, or do not fit the graph.
    """
    graph = load_graph(arguments.graph, long_text=arguments.long_text)
    is_labeled = _has_false(graph["train"])
    if arguments.decisions is not None:
        decisions = read_decisions(arguments.decisions, graph)
        graph, arguments.decided = graph_with_decisions(decisions), decisions.describe()
        if not arguments.quiet:
            warn(f"{decisions.in_words()}; {decisions.changes_in_words()}")
    sizes = {name: getattr(arguments, name) for name in ("validation", "test")}
    for name, size in sizes.items():
        if size is not None and name in graph:
            raise GraphError(f"{arguments.graph}: it has a {name} split; leave out --{name}")
    test, num_triplets = parse_size(sizes["test"] or "0"), len(graph["train"])
    if chosen := sizes["validation"]:
        validation = parse_size(chosen)
    else:
        validation = 0 if "validation" in graph else default_validation(num_triplets)
    if not validation and not test:
        return graph
    try:
        split, report = split_graph(graph, validation, test, seed=seed)
    except GraphError as error:
        if chosen or test:
            raise GraphError(f"{arguments.graph}: {error}") from None
        return graph  # too small a graph, of which nobody asked for a validation split
    arguments.held_out = {name: len(split[name].positives) for name in report.asked}
    held_out = " and ".join(f"{len(split[name]):,} for {name}" for name in report.asked)
    if not arguments.quiet:
        has_option = prog == "lass-hf train"
        advice = "--validation 0 holds none out for it" if has_option else "lass-hf split, before, holds out others"
        unasked = "" if chosen or not validation else f"; {advice}"
        warn(f"{arguments.graph}: of {num_triplets:,} triplets, {held_out} were held out{unasked}")
    splits = {name: (part.triplets, part.labels) for name, part in split.splits.items()}
    if validation and not (is_labeled and _has_false(split["validation"])):
        splits["validation"] = _with_corrupted(graph, split["validation"], seed)
    return KnowledgeGraph(graph.entities, graph.relations, splits)


def default_validation(num_triplets: int) -> int:
    """Returns how many training triplets are held out for validation where nobody chose."""
    least = min(VALIDATION_FLOOR, round(SHARE_OF_SMALL * num_triplets))
    return min(max(round(VALIDATION_SHARE * num_triplets), least), VALIDATION_LIMIT)


def _has_false(split: GraphSplit) -> bool:
    return split.labels is not None and not split.labels.all()


def _with_corrupted(graph: KnowledgeGraph, split: GraphSplit, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Adds a false triplet for each true one, by a random head or tail, not known in the graph; returns labels, too."""
    known = {"train": (graph.known.triplets(), None)}
    every = KnowledgeGraph(graph.entities, graph.relations, known)
    sampler = NegativeSampler(every, num_negatives=1, corruption="head_or_tail", seed=seed)
    corrupted = sampler.corrupt(split.positives).triplets
    labels = np.ones(len(split), dtype=np.int8) if split.labels is None else split.labels
    return np.concatenate([split.triplets, corrupted]), np.append(labels, np.zeros(len(corrupted), dtype=np.int8))
