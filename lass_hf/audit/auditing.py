"""`audit_graph`: the way from a graph through injected errors and signals to one suspicion of each triplet."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..core.encoders import OFFLINE_ENCODER
from ..core.errors import GraphError, LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.known_triplets import KnownTriplets
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..scoring.step_progress import StepProgress
from ..scoring.triplet_scorer import TripletScorer, check_model_is_of, check_pair
from ..structure.answer_ranks import AnswerRanks
from ..structure.facts import Facts, labeled_false
from ..structure.rule_mining import find_rules
from ..structure.rule_scores import RuleScorer
from ..structure.vector_training import VectorChoices, train_structural_vectors
from ..utils.stopwatch import Stopwatch
from .entity_findings import EntityFindings, find_odd_entities
from .injecting import KINDS, InjectedErrors, inject_errors, mirror_errors
from .model_signals import BY_HEART, chance_by_heart, model_signals
from .neighbor_signals import neighbor_signals, simple_adjacency
from .pattern_signals import pattern_signals
from .profile_signals import ProfileSignals, profile_signals
from .signals import Signals
from .suspicion import fit_suspicion
from .text_signals import encode_texts, text_signals
from .vector_signals import ranks_out_of_fold, vector_signals

SHARE = 0.05  # of the triplets that is assumed to be wrong
LEAST_INJECTED, MOST_INJECTED = 300, 20_000  # errors for the fit, in graphs that are small and large
MOST_INJECTED_SHARE = 0.2  # of a small graph: more would change what the graph says
DIM = 128  # of structural vectors
LEAST_HELD_OUT = 200  # triplets outside of train, from which a fit can weigh a model that was trained on train


@dataclass(frozen=True)
class Audit:
    """The judgment of all n true triplets of a graph, each judged without its own help.

    Attributes:
        triplets: Int64 of shape (n, 3), distinct, ascending.
        suspicion: Float64 of shape (n,): the probability that the triplet is wrong, if the wrong ones are like the
            errors that were injected for the fit, and the share of them is `SHARE`. One that the graph labels
            false, too, has .5 at least.
        signals: The signals.
        answers: The ranks for the slots 0, 1 and 2 by structural vectors that never saw the triplet, and what they
            expect instead.
        profiles: What profiles say, and the relation that they expect instead.
        entities: Odd entities.
        by_heart: See `chance_by_heart`; None without a text model that is weighed.
        model_counts: For which triplets the text model counts in the suspicion: "all", those "outside of train", or
            "none"; None without a text model. Signals of it that do not count are left out.
        num_held_out: The number of triplets outside of train.
        num_injected: The number of errors of each kind that were injected for the fit.
        seconds: How long each part took.
    """

    triplets: np.ndarray
    suspicion: np.ndarray
    signals: Signals
    answers: list[AnswerRanks]
    profiles: ProfileSignals
    entities: EntityFindings
    by_heart: float | None
    model_counts: str | None
    num_held_out: int
    num_injected: dict[str, int]
    seconds: dict[str, float] = field(default_factory=dict)

    def order(self) -> np.ndarray:
        """Returns the positions of the triplets, the most suspicious first: int64 of shape (n,)."""
        return np.argsort(-self.suspicion, kind="stable")


def true_facts(graph: KnowledgeGraph) -> Facts:
    """Returns the distinct true triplets of all splits, which an audit judges.

    Raises:
        GraphError: There are none.
    """
    triplets = [split.positives for split in graph.splits.values()]
    if not sum(len(one) for one in triplets):
        raise GraphError("the graph has no true triplets; an audit needs some")
    return Facts.from_triplets(np.concatenate(triplets), graph.num_entities, graph.num_relations)


def audit_graph(
    graph: KnowledgeGraph,
    model: LassForKGCompletion | None = None,
    processor: LassProcessor | None = None,
    *,
    encoder: str = OFFLINE_ENCODER,
    texts: np.ndarray | None = None,
    num_folds: int = 4,
    vector_choices: VectorChoices | None = None,
    minutes: float | None = None,
    seed: int = 42,
    quiet: bool = False,
    dtype: str = "auto",
    progress: StepProgress | None = None,
) -> Audit:
    """Judges the true triplets of all splits of a graph, each without its own help.

    Errors of all kinds are injected into the graph, signals are computed for its triplets and the errors alike, and a
    fit tells them apart. The errors are then left out. The graph's own wrong triplets count as true in the fit.

    Args:
        graph: The graph.
        model: A text model trained on the graph, for one epoch at best: what it learned by heart is no evidence. It
            never reads the answer among names of neighbors: a bi-encoder reads none. Its signals count in the fit if
            the graph has 200 triplets or more outside of train; the true triplets of the fit are these, then. If it
            knows those of train by heart (`BY_HEART`), its signals count for the others alone. None for untrained texts
            and structure alone.
        processor: Its processor.
        encoder: Name or folder of the encoder whose vectors of texts, untrained, are compared.
        texts: Vectors of texts instead, float32 of shape (E, k), of length 1.
        num_folds: Structural vectors are trained this often, each time without one fold, which they then judge.
        vector_choices: How they are trained; None chooses by the size of the graph.
        minutes: The most that rules and all trainings of vectors take together; None for no limit.
        seed: Seed of all that is drawn. Equal seeds and numbers of threads give equal audits, unless time ends a part.
        quiet: Whether no progress bars are shown.
        dtype: Precision of text models, as in `TripletScorer`.
        progress: Finished steps of an earlier run with the same arguments, and a place for those of this run.

    Returns:
        The audit.

    Raises:
        GraphError: The graph has no true triplets, or too few for a fit; or the model is that of another graph.
        LassError: `num_folds` is less than 2, `seed` less than 0, or a model is given without its processor.
    """
    check_audit(graph, model, processor, num_folds, seed)
    facts, watch, progress = true_facts(graph), Stopwatch(), progress or StepProgress()
    limit = None if minutes is None else minutes / (num_folds + 2)
    choices = choose_vectors(vector_choices, limit)
    with watch.time("texts"):
        if texts is None:
            texts = progress.run("texts", lambda: {"texts": encode_with_bar(graph, encoder, quiet, dtype)})["texts"]
    with watch.time("errors"), percent_bar("errors", quiet) as show:
        errors = InjectedErrors(**progress.run("errors", lambda: vars(_inject(facts, texts, choices, seed, show))))
    joined = Facts.from_triplets(
        np.concatenate([facts.triplets, errors.triplets]), facts.num_entities, facts.num_relations
    )
    known = KnownTriplets(joined.triplets, joined.num_entities, joined.num_relations)
    known_facts = KnownTriplets(facts.triplets, facts.num_entities, facts.num_relations)
    is_own = known_facts.contains(joined.triplets)
    adjacency = simple_adjacency(joined)
    with watch.time("neighbors"):
        signals = progress.run("neighbors", lambda: neighbor_signals(joined.triplets, adjacency))
        patterns, judged = _patterns(known, known_facts, is_own)
    with watch.time("profiles"):
        profiles = profile_signals(joined, known)
        signals |= profiles.signals
    with watch.time("text"):
        signals |= progress.run("text", lambda: text_signals(joined, texts, adjacency, seed))
    with watch.time("rules"), percent_bar("rules", quiet) as show:
        signals |= progress.run("rules", lambda: {"rules": _score_by_rules(joined, limit, seed, show)})
    with watch.time("vectors"), percent_bar("vectors", quiet) as show:
        answers = ranks_out_of_fold(joined, known, num_folds, choices, seed, show, progress)
        signals |= vector_signals(answers)
    is_seen = graph.known_in_train.contains(joined.triplets)
    seen, unseen = is_own & is_seen, is_own & ~is_seen
    is_weighed = bool(unseen.sum() >= LEAST_HELD_OUT)
    of_model: dict[str, np.ndarray] = {}
    if model is not None and processor is not None and is_weighed:
        with watch.time("model"):
            of_model = progress.run("model", lambda: _score_by_model(model, processor, graph, joined, known, dtype))
    by_heart, relations = chance_by_heart(of_model, seen, unseen), joined.triplets[:, 1]
    is_by_heart = (by_heart or 0) >= BY_HEART
    with watch.time("fit"), percent_bar("fit", quiet) as show:
        fitted = progress.run(
            "fit",
            lambda: {
                "suspicion": _fit(
                    signals | patterns, judged, of_model, relations, is_own, seen, is_by_heart, seed, show
                )
            },
        )
        suspicion = fitted["suspicion"]
    signals |= judged
    if is_by_heart:
        of_model = {name: np.where(seen, np.nan, values) for name, values in of_model.items()}
    contradicted = labeled_false(graph, *graph.splits).contains(joined.triplets)  # errors have no labels for a fit
    labels = {"contradiction": -contradicted.astype(np.float32)} if contradicted.any() else {}
    suspicion[contradicted] = np.maximum(suspicion[contradicted], 0.5)
    matrix = Signals.from_dict(signals | of_model | labels, relations)
    entities = find_odd_entities(facts, texts, simple_adjacency(facts), matrix.select(is_own))
    return Audit(
        triplets=facts.triplets,
        suspicion=suspicion[is_own],
        signals=matrix.select(is_own),
        answers=[one.select(is_own) for one in answers],
        profiles=profiles.select(is_own),
        entities=entities,
        by_heart=by_heart,
        model_counts=None if model is None else _name_what_counts(is_weighed, is_by_heart),
        num_held_out=int(unseen.sum()),
        num_injected=dict(zip(KINDS, np.bincount(errors.kinds, minlength=len(KINDS)).tolist(), strict=True)),
        seconds=watch.seconds,
    )


def check_audit(
    graph: KnowledgeGraph,
    model: LassForKGCompletion | None,
    processor: LassProcessor | None,
    num_folds: int,
    seed: int,
) -> None:
    """Raises what `audit_graph` would raise of these arguments, before anything is encoded or trained."""
    for name, number, least in (("num_folds", num_folds, 2), ("seed", seed, 0)):
        if not isinstance(number, int) or number < least:
            raise LassError(f"{name}={number!r}; expected a whole number of {least} or more")
    check_pair(model, processor)
    if processor is not None:
        check_model_is_of(processor, graph)


def choose_vectors(choices: VectorChoices | None, minutes: float | None) -> VectorChoices:
    """Returns how structural vectors are trained: as is given or usual, for so many minutes at most."""
    choices = choices or VectorChoices(dim=DIM)
    return choices if minutes is None else replace(choices, minutes=minutes)


def _score_by_model(
    model: LassForKGCompletion,
    processor: LassProcessor,
    graph: KnowledgeGraph,
    facts: Facts,
    known: KnownTriplets,
    dtype: str,
) -> dict[str, np.ndarray]:
    """Returns the signals of a text model for facts, of which `known` is the index; candidates occur in some fact."""
    store = processor.token_store(graph)
    if model.architecture.encodes_entities:  # Among the neighbors that a text names would be the answer.
        store = replace(store, neighbors=None)
    occurs = np.bincount(facts.triplets[:, ::2].reshape(-1), minlength=facts.num_entities) > 0
    return model_signals(TripletScorer(model, store, dtype), known, occurs)


def _inject(
    facts: Facts, texts: np.ndarray, choices: VectorChoices, seed: int, show: Callable[..., None]
) -> InjectedErrors:
    """Injects the errors that the fit is for: as many as are assumed, in a small graph more."""
    size = len(facts.triplets)
    count = max(round(SHARE * size), min(LEAST_INJECTED, int(MOST_INJECTED_SHARE * size)))
    vectors = train_structural_vectors(facts, choices, seed=seed, on_progress=show)
    return mirror_errors(facts, inject_errors(facts, min(count, MOST_INJECTED), texts, vectors, seed), seed)


def _score_by_rules(facts: Facts, minutes: float | None, seed: int, on_progress: Callable[[float, int], None]) -> Any:
    """Returns the scores of facts by rules that are found among them, float32 of shape (n,)."""
    rules = find_rules(facts, minutes=minutes, seed=seed, on_progress=on_progress)
    return RuleScorer(rules, facts).triplet_scores(facts.triplets)


def _name_what_counts(is_weighed: bool, is_by_heart: bool) -> str:
    """Returns for which triplets a text model counts, see `Audit.model_counts`."""
    if not is_weighed:
        return "none"
    return "outside of train" if is_by_heart else "all"


def _patterns(
    known: KnownTriplets, known_facts: KnownTriplets, is_own: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns the signals of patterns for a fit, and those by which triplets are judged.

    A fit learns from the graph with the errors, which break patterns of the graph's own triplets, too. These are judged
    by what the graph says without the errors.
    """
    patterns, own = pattern_signals(known), pattern_signals(known_facts)
    judged = {name: values.copy() for name, values in patterns.items()}
    for name, values in judged.items():
        values[is_own] = own[name]
    return patterns, judged


def _fit(
    signals: dict[str, np.ndarray],
    judged: dict[str, np.ndarray],
    of_model: dict[str, np.ndarray],
    relations: np.ndarray,
    is_own: np.ndarray,
    seen: np.ndarray,
    is_by_heart: bool,
    seed: int,
    show: Callable[..., None],
) -> np.ndarray:
    """Fits the suspicion of all triplets, float64 of shape (n,), with the signals of a text model where they count.

    Some signals are others where triplets are `judged`.
    """

    def fit(chosen: dict[str, np.ndarray], is_fitted: np.ndarray) -> np.ndarray:
        read, as_judged = (Signals.from_dict(some, relations).features() for some in (chosen, chosen | judged))
        return fit_suspicion(read, ~is_own, is_fitted, SHARE, seed, show, as_judged)

    if not of_model:
        return fit(signals, np.ones(len(is_own), bool))
    with_model = fit(signals | of_model, ~seen)
    return np.where(seen, fit(signals, np.ones(len(is_own), bool)), with_model) if is_by_heart else with_model


def encode_with_bar(graph: KnowledgeGraph, encoder: str, quiet: bool, dtype: str) -> np.ndarray:
    """Encodes the texts of all entities as `encode_texts` does, and shows how far it is."""
    with tqdm(total=graph.num_entities, desc="texts", disable=quiet) as bar:
        return encode_texts(graph, encoder, bar, dtype)


@contextmanager
def percent_bar(name: str, quiet: bool) -> Iterator[Callable[..., None]]:
    """Shows a progress bar of percents.

    Args:
        name: What is done.
        quiet: Whether nothing is shown.

    Yields:
        Moves the bar to the share of the work that is done; what else it is called with is ignored.
    """
    with tqdm(total=100, unit="%", desc=name, disable=quiet) as bar:

        def show(share: float, *_: object) -> None:
            bar.update(round(100 * share) - bar.n)

        yield show
        show(1)
