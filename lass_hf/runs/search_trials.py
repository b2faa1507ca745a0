"""The trials of a hyperparameter search: trainings of one recipe with changed values, equally long, and measured alike.

A trial saves nothing. It is measured by the words alone: evidence of the graph comes after a training.
"""

import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from accelerate.utils.memory import clear_device_cache
from tqdm.auto import tqdm
from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from ..core.errors import LassError
from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..evaluation.link_prediction import choose_triplets, rank_split
from ..evaluation.metrics import RANKING
from ..scoring.candidate_scores import scorer_from_triplets
from ..scoring.triplet_scorer import TripletScorer
from ..training.callbacks import CalibrationCallback
from ..training.hard_negatives import HardNegatives
from ..training.recipes import OF_ONE_RUN, SEARCH_KEY, TrainArguments, parse_training
from ..training.training_args import BY_EVALUATIONS, LassTrainingArguments
from .retriever import mine_negatives
from .run import check_arguments, make_trainer

# Ranked validation triplets, and training triplets whose entities are candidates beside theirs: a cross-encoder reads
# each candidate of each query, a bi-encoder each entity once.
SIZES = {"bi-encoder": (200, 500), "cross-encoder": (50, 25)}
STAGES = (0.25, 0.5, 0.75)  # of a trial; it is measured after each, and may end there
PROBE_STEPS = 6  # whose time says how long trials may be; the first is left out
FEWEST_STEPS = 10  # of a trial, however short its time
CAUTION = 0.9  # the share of a trial's time that is planned
NOT_OF_TRIALS = (  # what a recipe may say about the files, the log and the evaluations of a training
    *(name for name in OF_ONE_RUN if name != "graph"),
    *("eval_strategy", "eval_steps", "eval_delay", "eval_triplets", "eval_on_start", "metric_for_best_model"),
    *("greater_is_better", "load_best_model_at_end", "save_strategy", "save_steps", "save_total_limit"),
    *("logging_strategy", "logging_steps", "json", "evidence", SEARCH_KEY),
)
OF_TRIALS = {"save_strategy": "no", "logging_strategy": "no", "report_to": "none"}


class OutOfTimeError(Exception):
    """The time of the search ended before a trial did."""


@dataclass(frozen=True)
class Budget:
    """What each trial may take.

    Attributes:
        epochs: The epochs that it trains, a share of the recipe's.
        share: That share, 1 for the whole training.
    """

    epochs: float
    share: float


class Trials:
    """Trains and measures the trials of one search.

    Args:
        recipe: The arguments of the recipe, by name.
        graph: The graph, with a validation split.
        arguments: The arguments of the recipe as it stands.
        training: Its training arguments.
        seed: The seed of the triplets that are ranked, and of the candidates.

    Raises:
        GraphError: The graph has no validation split, or no true triplet in it.
    """

    def __init__(
        self,
        recipe: Mapping[str, Any],
        graph: KnowledgeGraph,
        arguments: TrainArguments,
        training: LassTrainingArguments,
        seed: int,
    ):
        self.graph, self.arguments, self.training = graph, arguments, training
        self._num_triplets = len(graph["train"].sample(arguments.fraction, training.seed))
        self.ranked = sample_ranking(graph, *SIZES[arguments.architecture], seed)
        of_recipe = {name: value for name, value in recipe.items() if name not in NOT_OF_TRIALS}
        where = {"graph": arguments.graph, "output_dir": training.output_dir, "quiet": arguments.quiet}
        self._values = {**of_recipe, **OF_TRIALS, **where}
        self._mined: dict[tuple[Any, ...], HardNegatives] = {}

    def arguments_with(self, values: Mapping[str, Any]) -> tuple[TrainArguments, LassTrainingArguments]:
        """Returns the arguments of a training with some values in place of the recipe's.

        Raises:
            LassError: A value is not allowed, or does not fit the others.
        """
        chosen = {**self._values, **values}
        if (schedule := chosen.get("lr_scheduler_type")) in BY_EVALUATIONS:
            raise LassError(
                f"lr_scheduler_type={schedule!r} follows evaluations, and trials evaluate nothing on the way; search "
                "with another schedule, such as 'linear'"
            )
        arguments, training = parse_training([], prog="lass-hf search", chosen=chosen)
        check_arguments(arguments, training)
        return arguments, training

    def mine(self, arguments: TrainArguments, training: LassTrainingArguments) -> HardNegatives | None:
        """Returns the hard negatives of a trial, which are found once for all trials with the same; None for none."""
        if arguments.retriever is None:
            return None
        key = arguments.retriever, arguments.mining_depth, training.seed
        if key not in self._mined:
            split = self.graph["train"].sample(arguments.fraction, training.seed)
            self._mined[key] = mine_negatives(arguments, split)
        return self._mined[key]

    def plan(self, seconds: float) -> Budget:
        """Trains and measures for a moment, and plans how long each trial is: as the recipe, or what time allows.

        Args:
            seconds: What each trial may take, with all of its evaluations. Where that is too short, a trial has a few
                steps all the same, and there is time for fewer trials.
        """
        started = time.perf_counter()
        clock = _Clock()
        trainer = self._make_trainer({}, PROBE_STEPS, clock)
        trainer.train()
        ready = time.perf_counter()
        measure(trainer.model, trainer.processing_class, self.ranked)
        measuring = time.perf_counter() - ready
        setting_up = clock.ends[0] - started
        seconds_per_step = (clock.ends[-1] - clock.ends[0]) / (len(clock.ends) - 1)
        steps_per_epoch = self._steps_per_epoch(self.training)
        own = self.training.num_train_epochs
        if self.training.max_steps > 0:
            own = self.training.max_steps / steps_per_epoch
        left = CAUTION * seconds - setting_up - (1 + len(STAGES)) * measuring
        steps = max(left / seconds_per_step, FEWEST_STEPS)
        epochs = min(own, steps / steps_per_epoch)
        return Budget(epochs, epochs / own)

    def run(
        self,
        values: Mapping[str, Any],
        budget: Budget,
        is_hopeless: Callable[[float, int], bool],
        deadline: float = math.inf,
        title: str = "training",
    ) -> dict[str, float] | None:
        """Trains the model of a trial, and measures it.

        Args:
            values: The values in place of the recipe's.
            budget: How long it trains.
            is_hopeless: Receives the MRR after each of `STAGES`, and the stage's number from 1; returns whether to end.
            deadline: The time of `time.monotonic` that it must not exceed.
            title: What the progress bar says.

        Returns:
            The metrics of the trained model; None if it was ended.

        Raises:
            LassError: The arguments do not fit, the loss became NaN, or memory is short.
            OutOfTimeError: The deadline passed.
        """
        _, training = self.arguments_with(values)
        steps = math.ceil(round(budget.epochs * self._steps_per_epoch(training), 6))
        watch = _Watch(self.ranked, is_hopeless, deadline, title)
        trainer = self._make_trainer(values, steps, watch, budget.share)
        try:
            trainer.train()
        finally:
            watch.close()
        if watch.is_late:
            raise OutOfTimeError
        return None if watch.has_ended else measure(trainer.model, trainer.processing_class, self.ranked)

    def _steps_per_epoch(self, training: LassTrainingArguments) -> int:
        return math.ceil(self._num_triplets / (training.train_batch_size * training.gradient_accumulation_steps))

    def _make_trainer(
        self, values: Mapping[str, Any], steps: int, callback: TrainerCallback, share: float = 1.0
    ) -> Any:
        arguments, training = self.arguments_with(values)
        training.max_steps, training.disable_tqdm = steps, arguments.quiet
        if training.warmup_steps >= 1:  # a number of steps and no share: the schedule becomes shorter as a whole
            training.warmup_steps = round(training.warmup_steps * share)
        trainer = make_trainer(arguments, training, self.graph, self.mine(arguments, training))
        for unused in (PrinterCallback, ProgressCallback, CalibrationCallback):
            trainer.remove_callback(unused)
        trainer.add_callback(callback)
        return trainer


def sample_ranking(graph: KnowledgeGraph, num_triplets: int, num_others: int, seed: int) -> GraphSplit:
    """Returns validation triplets of a small part of a graph, whose entities are the candidates.

    Args:
        graph: The graph.
        num_triplets: The number of validation triplets to rank, a seeded choice.
        num_others: The number of training triplets whose entities are candidates, too.
        seed: The seed of both choices.

    Returns:
        The validation split of a graph with the same names, and with the known triplets between the candidates.

    Raises:
        GraphError: The graph has no validation split, or no true triplet in it.
    """
    chosen = choose_triplets(graph["validation"], num_triplets, seed)
    others = choose_triplets(graph["train"], num_others, seed)
    entities = np.unique(np.concatenate([chosen, others])[:, [0, 2]])
    known = graph.known.triplets()
    known = known[np.isin(known[:, [0, 2]], entities).all(axis=1)]
    splits = {"train": (known, None), "validation": (chosen, None)}
    return KnowledgeGraph(graph.entities, graph.relations, splits)["validation"]


def measure(model: LassForKGCompletion, processor: LassProcessor, ranked: GraphSplit) -> dict[str, float]:
    """Ranks the triplets of `sample_ranking` by the model alone.

    Args:
        model: The model.
        processor: Its processor, with the graph that it is trained on.
        ranked: The split to rank.

    Returns:
        The filtered ranking metrics: `mr`, `mrr`, `hits@k`, `amri`.
    """
    scorer = TripletScorer(model, processor.token_store())
    score, chunk_size = scorer_from_triplets(scorer.score), model.architecture.candidates_per_chunk
    metrics = rank_split(score, ranked, quiet=True, chunk_size=chunk_size).metrics
    return {name: metrics[name] for name in RANKING}


def free_memory() -> None:
    """Frees the memory of a trial that is over, on the device too."""
    gc.collect()  # A trainer and its callbacks refer to each other.
    clear_device_cache()


class _Clock(TrainerCallback):
    """Notes when steps end."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, args, state, control, **kwargs):
        self.ends.append(time.perf_counter())


class _Watch(TrainerCallback):
    """Measures the model of a trial at its stages, and ends a trial that is hopeless or late; shows its progress."""

    def __init__(self, ranked: GraphSplit, is_hopeless: Callable[[float, int], bool], deadline: float, title: str):
        self.has_ended = self.is_late = False
        self._ranked, self._is_hopeless, self._deadline = ranked, is_hopeless, deadline
        self._title, self._stages, self._bar = title, {}, None  # type: ignore[var-annotated]

    def on_train_begin(self, args, state, control, **kwargs):
        steps = [math.ceil(share * state.max_steps) for share in STAGES]
        self._stages = {step: number for number, step in enumerate(steps, start=1) if step < state.max_steps}
        self._bar = tqdm(total=state.max_steps, desc=self._title, leave=False, disable=args.disable_tqdm)

    def on_step_end(self, args, state, control, model=None, processing_class=None, **kwargs):
        self._bar.update()
        if (stage := self._stages.get(state.global_step)) is not None:
            mrr = measure(model, processing_class, self._ranked)["mrr"]
            self.has_ended = self._is_hopeless(mrr, stage)
        self.is_late = time.monotonic() > self._deadline and state.global_step < state.max_steps
        control.should_training_stop = control.should_training_stop or self.has_ended or self.is_late

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
