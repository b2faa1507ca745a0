"""Chooses the settings of a reranker: a cross-encoder that learns from what its retriever takes for right.

What does not depend on the graph, the encoder and the time is what served best on WN18RR: a softmax over the answer and
15 negatives, most of them mined, and rather many queries once than few of them often.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..core.processing_lass import LassProcessor
from ..core.token_store import TokenStore
from ..scoring.index_building import find_index_folder_for_graph
from ..training.data_collators import KGDataCollator
from ..training.recipes import TrainArguments
from ..training.training_args import LassTrainingArguments
from .chosen_settings import (
    FIXED_OF_ALL,
    LONGEST,
    NO_NAMES,
    ChosenSettings,
    choose_max_length,
    choose_num_neighbors,
    count_in_words,
    estimate_speed,
    fit_schedule,
    scale_learning_rate,
)
from .retriever import load_retriever

DEFAULT_MINUTES_OF_RERANKER = 60.0
FIXED_OF_RERANKER: dict[str, Any] = {
    "architecture": "cross-encoder",
    "corruption": "head_or_tail",
    "num_negatives": 15,
    "num_mined": 12,
    "pseudo_typed": True,
    **FIXED_OF_ALL,
}
REASONS = {
    "encoder": "the retriever's, which has read the texts of the graph",
    "architecture": "reads query and answer together",
    "loss": "puts the answers of a query in order, and no more",
    "corruption": "relations are not reranked",
    "num_mined": "of the retriever's best wrong answers",
    "pseudo_typed": "the other negatives fit the relation",
    "num_neighbors": "short texts are followed by names of neighbors",
    "warmup_steps": "as a share of all steps",
}
SHOWN = ("max_length", "per_device_train_batch_size", "learning_rate", "fraction", "num_train_epochs")
LEARNING_RATE = 2e-4  # of all-MiniLM-L6-v2
STEPS = 600
BATCH_SIZES = (16, 128)
MOST_EPOCHS = 4.0  # of one side of each triplet, by coin flip: twice both sides
SAMPLE_TRIPLETS, SAMPLE_BATCHES = 32, 8
MOST_DEPTH = 50  # answers of a query that are reranked
QUERIES = {"each_slot": (3, 3), "head_or_tail": (1, 2), "tail": (1, 1)}  # of a triplet: in an epoch, and in all
FORWARD = 3  # Mining runs forward only: a third of the operations of a training.


@dataclass(frozen=True)
class RerankerSettings(ChosenSettings):
    """Settings of a reranker's training, and what it costs; `tokens_per_epoch` are those of all training triplets.

    Attributes:
        costs: What mining and training cost, a line each.
        total_minutes: The minutes that both take on this machine, estimated.
    """

    costs: tuple[str, ...] = ()
    total_minutes: float = 0.0

    def describe(self, given: Mapping[str, Any]) -> list[str]:
        """Returns the lines that say what is trained, why, and what it costs.

        Args:
            given: As in `as_recipe`.
        """
        values, why = {**self.values, **given}, {**self.reasons, **dict.fromkeys(given, "given")}
        head = "the settings of a reranker are chosen for this graph and this machine"
        shown = [f"  {name} {values[name]}: {why[name]}" for name in SHOWN]
        return [f"{head}: {_about(self.total_minutes)}", *(f"  {line}" for line in self.costs), *shown]


def choose_reranker_settings(
    graph: KnowledgeGraph, arguments: TrainArguments, training: LassTrainingArguments, given: Mapping[str, Any]
) -> RerankerSettings:
    """Chooses the settings of a reranker's training.

    Args:
        graph: The graph, with the training triplets.
        arguments: Encoder, retriever and minutes, with `FIXED_OF_RERANKER` where nothing is given.
        training: The training arguments, in the same way.
        given: The arguments that a person chose. They stay, and the others are chosen to fit.

    Returns:
        The settings.

    Raises:
        LassError: The retriever does not fit, as in `load_retriever`.
        GraphError: The graph has no training split.
        ModelError: There is no such encoder.
    """
    split, minutes = graph["train"], arguments.minutes or DEFAULT_MINUTES_OF_RERANKER
    _, of_retriever = load_retriever(arguments, graph)
    most = np.clip(MOST_EPOCHS * len(split) / STEPS, *BATCH_SIZES)
    arguments = replace(arguments, num_neighbors=given.get("num_neighbors", choose_num_neighbors(split, most)))
    width, speed = estimate_speed(arguments.encoder)
    mining_speed = FORWARD * estimate_speed(str(arguments.retriever))[1]
    lengths, per_triplet, longest = _sample_lengths(graph, arguments, training)
    max_length = given.get("max_length") or choose_max_length(lengths, min(longest, LONGEST[0]))
    tokens_per_triplet = float(np.minimum(lengths, max_length).mean() * per_triplet)

    store = of_retriever.token_store(graph)
    kept = find_index_folder_for_graph(str(arguments.retriever), of_retriever, graph)
    is_indexed = kept is not None and kept.is_dir()
    entity_tokens = 0 if is_indexed else int(store.lengths(store.candidates(np.arange(graph.num_entities))).sum())
    seconds_per_triplet = tokens_per_triplet / speed
    mined_per_triplet = sum(_query_lengths(store, split, slot).mean() for slot in (0, 2)) / mining_speed
    left = max(0.0, 60 * minutes - entity_tokens / mining_speed)
    least = min(1.0, BATCH_SIZES[0] / len(split))
    # Each triplet of the share is mined for once, and trained on in each epoch.
    once = left / (len(split) * (given.get("num_train_epochs", 1.0) * seconds_per_triplet + mined_per_triplet))
    fraction = given.get("fraction") or _round_down(min(1.0, max(least, once)))
    epochs = (left / (fraction * len(split)) - mined_per_triplet) / seconds_per_triplet
    is_short = fraction * epochs < MOST_EPOCHS
    epochs = 1.0 if fraction < 1 and "fraction" not in given else min(MOST_EPOCHS, max(least, _round_down(epochs)))
    epochs = given.get("num_train_epochs", epochs)
    batch_size = 2 ** round(np.log2(np.clip(fraction * epochs * len(split) / STEPS, *BATCH_SIZES)))
    values = {
        "encoder": arguments.encoder,
        **fit_schedule(FIXED_OF_RERANKER, training.lr_scheduler_type),
        "num_neighbors": arguments.num_neighbors,
        "mining_depth": min(MOST_DEPTH, graph.num_entities - 1),
        "max_length": max_length,
        "learning_rate": scale_learning_rate(LEARNING_RATE, width),
        "fraction": fraction,
        "num_train_epochs": epochs,
        "per_device_train_batch_size": batch_size,
    }
    reasons = {
        **REASONS,
        "num_neighbors": REASONS["num_neighbors"] if arguments.num_neighbors else NO_NAMES,
        "mining_depth": "answers of the retriever that mined negatives are drawn from",
        "max_length": f"tokens; {(lengths > max_length).mean():.0%} of the sequences are longer, and are cut",
        "learning_rate": f"for vectors of {width} dimensions",
        "fraction": f"of the {count_in_words(split)}"
        + (f", all that {minutes:g} minutes allow; 1 would be better" if fraction < 1 else ""),
        "num_train_epochs": f"all that {minutes:g} minutes allow; {MOST_EPOCHS:g} would be better"
        if is_short and fraction == 1
        else f"each draws other negatives, and sides; {MOST_EPOCHS:g} at most",
        "per_device_train_batch_size": f"positives, each with its negatives: about {STEPS} steps, if it is 16 to 128",
    }

    used = {**values, **given}
    num_trained = fraction * epochs * len(split)
    if training.max_steps > 0:
        num_trained = training.max_steps * used["per_device_train_batch_size"] * training.gradient_accumulation_steps
    in_epoch, in_all = QUERIES[training.corruption]
    training_tokens = num_trained * tokens_per_triplet
    sample = split.sample(fraction, training.seed)
    mined = [_query_lengths(store, sample, slot, distinct=True) for slot in (0, 2)]
    mining_tokens = entity_tokens + sum(int(one.sum()) for one in mined)
    taken = [mining_tokens / mining_speed / 60, training_tokens / speed / 60]
    entities = "" if is_indexed else f" and all {graph.num_entities:,} entities"
    costs = (
        f"mining: the {used['mining_depth']} best wrong answers of {arguments.retriever} to "
        f"{sum(map(len, mined)):,} queries; {mining_tokens:,} tokens of queries{entities}, {_about(taken[0])}",
        f"training: {round(num_trained * in_epoch):,} queries, of {in_all * len(split):,} that there are, each with "
        f"{training.num_negatives} negatives; {round(training_tokens):,} tokens, {_about(taken[1])}",
    )
    return RerankerSettings(values, reasons, tokens_per_triplet * len(split), speed, costs, sum(taken))


def _sample_lengths(
    graph: KnowledgeGraph, arguments: TrainArguments, training: LassTrainingArguments
) -> tuple[np.ndarray, float, int]:
    """Returns lengths of sequences of sample batches, sequences for each triplet, and the most tokens of a sequence."""
    split = graph["train"]
    processor = LassProcessor.from_encoder(arguments.encoder, graph, **arguments.processor_choices())
    # Negatives that are not mined stand in for those that are: their texts are as long.
    collator, rng = KGDataCollator(processor, graph, **training.sampling()), np.random.default_rng(0)
    count = min(SAMPLE_TRIPLETS, len(split))
    batches = [rng.choice(len(split), count, replace=False) for _ in range(SAMPLE_BATCHES)]
    lengths = torch.cat([collator(split.select(rows))["attention_mask"].sum(dim=1) for rows in batches]).numpy()
    return lengths, len(lengths) / (count * SAMPLE_BATCHES), processor.max_length


def _query_lengths(store: TokenStore, split: GraphSplit, slot: int, distinct: bool = False) -> np.ndarray:
    """Returns the lengths of a bi-encoder's queries for a slot of the true triplets of a split, in tokens."""
    queries = store.queries(split.positives, slot)
    return store.lengths(np.unique(queries, axis=0) if distinct else queries)


def _round_down(number: float) -> float:
    """Returns a number with three digits that is not higher."""
    size = 10 ** (np.floor(np.log10(number)) - 2) if number > 0 else 1.0
    return float(f"{np.floor(number / size + 1e-9) * size:.3g}")


def _about(minutes: float) -> str:
    return f"about {max(1, round(minutes))} min"
