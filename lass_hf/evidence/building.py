"""Finds and trains the evidence of a graph, and fits the weights of its kinds."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from ..core.errors import GraphError, LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..scoring.triplet_scorer import TripletScorer, check_pair
from ..structure.facts import Facts
from ..structure.rule_mining import find_rules
from ..structure.rules import RuleSet
from ..structure.structural_vectors import StructuralVectors
from ..structure.vector_training import VectorChoices, train_structural_vectors
from ..utils.distributed import processes
from ..utils.fingerprints import scores_fingerprint
from ..utils.stopwatch import Stopwatch
from .bound_evidence import training_facts
from .evidence import KINDS
from .fitting_sample import FIT_TRIPLETS, sample_for_fitting
from .fused_evidence import FusedEvidence, facts_fingerprint
from .fusion_fitting import fit_fusions
from .text_evidence import has_text_vectors

logger = logging.getLogger(__name__)

HELD_OUT_SHARE = 0.1  # of the training triplets of a graph without a validation split
LEAST_FACTS = 100  # distinct training triplets; what so few imply is chance
TEXT_KINDS = ("text", "neighbors")


def possible_kinds(scorer: TripletScorer | None) -> tuple[str, ...]:
    """Returns the kinds of evidence that a graph with training triplets can have.

    Args:
        scorer: The scorer of the text model; None without one. Only a bi-encoder has vectors of neighbors.
    """
    if scorer is None:
        return tuple(kind for kind in KINDS if kind not in TEXT_KINDS)
    if not has_text_vectors(scorer):
        return tuple(kind for kind in KINDS if kind != "neighbors")
    return KINDS


def check_kinds(kinds: Collection[str], possible: Sequence[str] = KINDS) -> tuple[str, ...]:
    """Returns kinds of evidence in their order.

    Args:
        kinds: Names of kinds.
        possible: The kinds that there are.

    Raises:
        LassError: A kind is unknown or not possible, or there is none.
    """
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise LassError(f"evidence {unknown[0]!r}; expected some of {', '.join(KINDS)}")
    if missing := [kind for kind in kinds if kind not in possible]:
        reason = "a bi-encoder" if "text" in possible or missing[0] == "neighbors" else "a text model"
        raise LassError(f"evidence {missing[0]!r} needs {reason}; without one there are {', '.join(possible)}")
    if not kinds:
        raise LassError(f"no kind of evidence; expected some of {', '.join(possible)}")
    return tuple(kind for kind in KINDS if kind in kinds)


def find_lack_of_structure(graph: KnowledgeGraph) -> str | None:
    """Returns why rules, vectors and neighbors would say nothing about a graph, or None if they would say something.

    Args:
        graph: The graph.
    """
    facts = Facts.from_graph(graph).triplets
    if len(facts) < LEAST_FACTS:
        return f"{len(facts)} training triplets, and rules and vectors need {LEAST_FACTS} or more"
    if np.bincount(facts[:, [0, 2]].reshape(-1)).max() == 1:
        return "no entity is in two training triplets, which rules and vectors need"
    return None


def check_fitting_split(graph: KnowledgeGraph) -> None:
    """Raises GraphError if a graph has no true validation triplets, on which weights are fitted."""
    if not len(graph["validation"].positives):
        raise GraphError(
            "the validation split has no true triplet, and weights of evidence are fitted on true ones: give a graph "
            "with some, or rank by all the evidence that the folder has"
        )


def hold_out_for_fitting(graph: KnowledgeGraph, seed: int = 42) -> KnowledgeGraph:
    """Returns a graph whose validation split is a part of the training triplets, to fit weights on.

    Args:
        graph: A graph without a validation split.
        seed: Seed of the choice.

    Returns:
        A graph with the same vocabularies, whose train split lacks the triplets that are held out.

    Raises:
        GraphError: The graph has fewer than two training triplets.
    """
    facts = training_facts(graph).triplets
    count = min(FIT_TRIPLETS, max(1, int(HELD_OUT_SHARE * len(facts))))
    if count >= len(facts):
        raise GraphError(f"{len(facts)} training triplets; expected two or more, of which some are held out for a fit")
    is_held_out = np.zeros(len(facts), dtype=bool)
    is_held_out[np.random.default_rng(seed).permutation(len(facts))[:count]] = True
    splits = {name: (split.triplets, split.labels) for name, split in graph.splits.items()}
    splits.update(train=(facts[~is_held_out], None), validation=(facts[is_held_out], None))
    return KnowledgeGraph(graph.entities, graph.relations, splits)


def build_evidence(
    graph: KnowledgeGraph,
    model: LassForKGCompletion | None = None,
    processor: LassProcessor | None = None,
    kinds: Collection[str] | None = None,
    *,
    rules: RuleSet | None = None,
    vectors: StructuralVectors | None = None,
    vector_choices: VectorChoices | None = None,
    minutes: float | None = None,
    seed: int = 42,
    quiet: bool = False,
    index_folder: str | Path | None = None,
    dtype: str = "auto",
) -> FusedEvidence:
    """Finds rules, trains structural vectors, and fits the weights of all evidence on validation.

    A graph without a validation split holds out a part of its training triplets: all is found on the rest, fitted on
    that part, and found once more on all. Several processes may call this; each does the whole work, but for the entity
    vectors, which they share.

    Args:
        graph: The graph.
        model: The text model, or None for evidence without text.
        processor: Its processor.
        kinds: The kinds of evidence, of `evidence.KINDS`; None for all that are possible.
        rules: Rules in the numbers of the graph, such as edited ones; None finds them.
        vectors: Structural vectors in the numbers of the graph; None trains them.
        vector_choices: How to train vectors; None chooses by the size of the graph.
        minutes: The time that finding rules and training vectors may take together, an equal part each time; None for
            no limit.
        seed: Seed of all random numbers.
        quiet: Whether no progress bar is shown.
        index_folder: The folder that keeps the entity vectors of a bi-encoder.
        dtype: Precision of the text model, as in `TripletScorer`.

    Returns:
        The evidence.

    Raises:
        GraphError: The graph has no training triplets.
        LassError: A kind is unknown or not possible, or a model is given without its processor.
    """
    check_pair(model, processor)
    scorer = None if model is None or processor is None else TripletScorer(model, processor.token_store(graph), dtype)
    kinds = check_kinds(possible_kinds(scorer) if kinds is None else kinds, possible_kinds(scorer))
    facts = training_facts(graph)

    fitting_graph = graph
    if "validation" not in graph or not len(graph["validation"].positives):
        fitting_graph = hold_out_for_fitting(graph, seed)
        if scorer is not None and processes().is_main_process:
            logger.warning(
                "the graph has no validation split, so the weights are fitted on training triplets that the text model "
                "may have been trained on, which would count it too high: hold out a validation split (lass-hf split)"
            )
    num_searches = sum(kind in kinds and given is None for kind, given in (("rules", rules), ("vectors", vectors)))
    if fitting_graph is not graph:
        num_searches *= 2
    part = None if minutes is None else minutes / max(1, num_searches)
    watch = Stopwatch()

    def find(own: Facts) -> tuple[RuleSet | None, StructuralVectors | None]:
        found, trained = rules, vectors
        if found is None and "rules" in kinds:
            with watch.time("rules"):
                found = _find_rules(own, part, seed, quiet)
        if trained is None and "vectors" in kinds:
            with watch.time("vectors"):
                trained = _train_vectors(own, vector_choices, part, seed, quiet)
        return found, trained

    found = find(Facts.from_graph(fitting_graph))
    with watch.time("fit"):
        sample = sample_for_fitting(fitting_graph, scorer, kinds, *found, seed, quiet, index_folder)
        fusion, *of_text = fit_fusions(sample, [kinds, ["text"]] if "text" in kinds else [kinds], seed)
    if fitting_graph is not graph:
        found = find(facts)
    return FusedEvidence(
        kinds=kinds,
        fusion=fusion,
        rules=found[0],
        vectors=found[1],
        facts_fingerprint=facts_fingerprint(graph),
        model_fingerprint=None if model is None else scores_fingerprint(model),  # as loaded, in any precision
        entity_ids=list(graph.entities.ids),
        relation_ids=list(graph.relations.ids),
        fitted_on={"split": "validation" if fitting_graph is graph else "held out of train", "seed": seed},
        text_mrr=of_text[0].held_out_mrr if of_text else None,
        seconds=watch.seconds,
    )


def refit_evidence(
    evidence: FusedEvidence,
    graph: KnowledgeGraph,
    subsets: Sequence[Collection[str]],
    scorer: TripletScorer | None = None,
    seed: int = 42,
    quiet: bool = False,
    index_folder: str | Path | None = None,
) -> list[FusedEvidence]:
    """Fits weights for several subsets of the kinds of evidence, on one sample of queries.

    Args:
        evidence: The evidence.
        graph: A graph with a validation split.
        subsets: For each of the results its kinds.
        scorer: The scorer of the text model, where kinds need it.
        seed: Seed of the choice of queries and candidates.
        quiet: Whether no progress bar is shown.
        index_folder: The folder that keeps the entity vectors of a bi-encoder.

    Returns:
        For each subset the same rules and vectors, with other weights.

    Raises:
        GraphError: The graph has no true validation triplets, or is another one.
        LassError: A kind is unknown, or not one of the evidence.
    """
    check_fitting_split(graph)
    evidence = evidence.renumber(graph)
    for kinds in subsets:
        check_kinds(kinds, evidence.kinds)
    everything = [kind for kind in evidence.kinds if any(kind in kinds for kinds in subsets)]
    sample = sample_for_fitting(graph, scorer, everything, evidence.rules, evidence.vectors, seed, quiet, index_folder)
    return [
        replace(evidence, kinds=check_kinds(kinds), fusion=fusion, fitted_on={"split": "validation", "seed": seed})
        for kinds, fusion in zip(subsets, fit_fusions(sample, subsets, seed), strict=True)
    ]


def _find_rules(facts: Facts, minutes: float | None, seed: int, quiet: bool) -> RuleSet:
    with _progress_bar("finding rules", quiet) as bar:
        return find_rules(facts, minutes=minutes, seed=seed, on_progress=lambda done, _: _advance(bar, done))


def _train_vectors(
    facts: Facts, choices: VectorChoices | None, minutes: float | None, seed: int, quiet: bool
) -> StructuralVectors:
    choices = choices or VectorChoices()
    if minutes is not None:
        choices = replace(choices, minutes=minutes)
    with _progress_bar("training structural vectors", quiet) as bar:
        return train_structural_vectors(facts, choices, seed=seed, on_progress=lambda done, _: _advance(bar, done))


def _progress_bar(title: str, quiet: bool) -> tqdm:
    layout = "{l_bar}{bar}| {elapsed}<{remaining}"
    return tqdm(total=1.0, desc=title, bar_format=layout, disable=quiet or not processes().is_main_process)


def _advance(bar: tqdm, done: float) -> None:
    bar.update(min(done, 1.0) - bar.n)
