"""A hyperparameter search: trials of one recipe within a time, and the best one as a recipe.

`pip install "lass-hf[search]"` installs Optuna. The Trainer's own `hyperparameter_search` varies the arguments of a
Trainer only, and leaks the model of a trial that is ended early; here a trial is a whole training of the recipe.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import TrialState
from transformers.utils import logging as transformers_logging

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..scoring.output_folders import only_writer
from ..training.output_folder import warn
from ..training.recipes import OF_ONE_RUN, SEARCH_KEY, parse_training, read_recipe
from ..utils.atomic_files import write_whole
from ..utils.distributed import processes
from ..utils.fingerprints import graph_fingerprint, graph_texts_fingerprint
from ..utils.terminal import one_line
from .run import refuse_inputs
from .search_space import Range, default_ranges, read_ranges
from .search_study import TrialRecord, open_study, put_back, trial_records
from .search_trials import Budget, OutOfTimeError, Trials, free_memory
from .training_graph import load_training_graph

TRIALS_FILE = "trials.tsv"


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        trials: All trials that are over.
        best: The best one; of equal ones the first.
        first: The recipe as it stands.
        epochs: The epochs that each trial trained.
        ranges: What was searched, in words, by argument.
    """

    trials: tuple[TrialRecord, ...]
    best: TrialRecord
    first: TrialRecord
    epochs: float
    ranges: dict[str, str]


def search(
    recipe: str,
    graph: str | None = None,
    output_dir: str | None = None,
    num_trials: int = 20,
    minutes: float = 60.0,
    seed: int = 42,
    quiet: bool = False,
) -> SearchResult:
    """Searches for values of a recipe that rank the validation triplets best, or goes on with a search.

    The first trial is the recipe as it stands. Each trial trains equally long: as the recipe, or as long as its share
    of the minutes allows. It is ended early when it is worse than the median of the others at the same stage. The
    folder gets the study (`trials.db`), a table of the trials (`trials.tsv`) and the best recipe (`best_file`) after
    each trial.

    Args:
        recipe: The recipe's file. Its section `search:` has the ranges; without one, ranges suit the architecture.
        graph: The graph, as in `TrainArguments`; None for the recipe's.
        output_dir: The folder; None for `runs/`, the recipe's name and `-search`. With a search of the same recipe on
            the same graph, that one goes on.
        num_trials: The number of trials in all, those of earlier calls among them.
        minutes: The longest time of this call. A trial's share of it, with `num_trials`, is settled when a search
            begins, and stays.
        seed: Seed of what is drawn, and of the validation triplets that are ranked.
        quiet: Whether nothing is shown.

    Returns:
        The trials, and which is the best.

    Raises:
        LassError: The recipe, its ranges or the graph cannot be used, the folder has another search, or there are
            several processes.
    """
    started = time.monotonic()
    if processes().num_processes > 1:
        raise LassError("a search runs in one process; start it without torchrun and accelerate launch")
    output_dir = output_dir or f"runs/{Path(recipe).stem}-search"
    values = read_recipe(recipe)
    argv = [recipe, "--output_dir", output_dir, *(["--graph", graph] if graph else []), *["--quiet"] * quiet]
    arguments, training = parse_training(argv, prog="lass-hf search")
    if arguments.minutes is not None:
        raise LassError(f"{recipe}: minutes={arguments.minutes:g} is no argument of a recipe; leave it out")
    is_default = SEARCH_KEY not in values
    ranges = default_ranges(arguments.architecture) if is_default else read_ranges(values.pop(SEARCH_KEY), recipe)
    folder = Path(output_dir)
    refuse_inputs(arguments, folder)
    with only_writer(folder, "--output_dir"), _without_loading_bars():
        loaded = load_training_graph(arguments, training.seed, "lass-hf search")
        trials = Trials(values, loaded, arguments, training, seed)
        try:
            trials.arguments_with({})
        except LassError as error:  # before it is told of a range
            raise LassError(f"{recipe}: {error}") from error
        if is_default:
            ranges = _fitting(trials, ranges)
        _check_ranges(trials, ranges, recipe)
        if is_default and not quiet:
            told = "; ".join(f"{one.name} {one}" for one in ranges)
            warn(f"{recipe} has no section {SEARCH_KEY}, so what suits a {arguments.architecture} is searched: {told}")
        study = open_study(folder, _identity(values, ranges, loaded, seed))
        searcher = _Searcher(study, trials, ranges, folder, {**values, "graph": arguments.graph}, recipe, quiet)
        try:
            searcher.run(num_trials, started, 60 * minutes, seed)
        finally:
            put_back(study)
            searcher.write()
        if (found := searcher.result()) is None:
            raise LassError(f"{folder}: no trial is complete; choose another --output_dir")
        return found


def best_file(folder: str | Path, recipe: str) -> Path:
    """Returns the best recipe's file in the folder of a search; models that are trained by it are told apart by it."""
    return Path(folder, f"{Path(recipe).stem}_best.yaml")


class _Searcher:
    """The loop over the trials of one call, and the files that it leaves."""

    def __init__(
        self,
        study: optuna.Study,
        trials: Trials,
        ranges: Sequence[Range],
        folder: Path,
        values: Mapping[str, Any],
        recipe: str,
        quiet: bool,
    ):
        self.study, self.trials, self.ranges, self.folder = study, trials, ranges, folder
        self.values, self.recipe, self.quiet = values, recipe, quiet

    def run(self, num_trials: int, started: float, seconds: float, seed: int) -> None:
        """Runs trials until there are enough, or the time is over."""
        finished = self.finished()
        if len(finished) >= num_trials:
            return
        if not self.study.trials:
            self.study.enqueue_trial(self._own_values(in_range=True), user_attrs={"as_it_stands": True})
        if (budget := self.study.user_attrs.get("budget")) is None:
            self.trials.mine(self.trials.arguments, self.trials.training)  # before the time is shared
            left = seconds - (time.monotonic() - started)
            budget = vars(self.trials.plan(left / num_trials))
            self.study.set_user_attr("budget", budget)
            free_memory()
        budget, deadline = Budget(**budget), started + seconds
        if not self.quiet:
            warn(f"each trial trains {budget.epochs:.3g} epochs, {budget.share:.0%} of the recipe's training")
        while len(finished) < num_trials:
            complete = [trial.seconds for trial in finished if trial.state == "complete" and trial.seconds]
            if complete and time.monotonic() + sum(complete) / len(complete) > deadline:
                break
            # What is drawn depends on the finished trials alone, so a search that was cut off draws the same.
            self.study.sampler = optuna.samplers.TPESampler(seed=seed + len(finished))
            try:
                self._run_trial(budget, deadline, f"trial {len(finished) + 1} of {num_trials}")
            except OutOfTimeError:
                break
            finally:
                free_memory()
            finished = self.finished()
            self.write()
            if not self.quiet:
                warn(f"trial {len(finished)} of {num_trials}: {_describe(finished[-1])}")
        if len(finished) < num_trials and not self.quiet:
            warn(f"{len(finished)} of {num_trials} trials in {seconds / 60:g} minutes; the same command goes on")

    def _run_trial(self, budget: Budget, deadline: float, title: str) -> None:
        """Runs the next trial and tells the study how it ended."""
        trial, started = self.study.ask(), time.perf_counter()
        as_it_stands = trial.user_attrs.get("as_it_stands", False)
        if as_it_stands:
            values, changed = self._own_values(), {}
            for one in self.ranges:
                if one.name in self._own_values(in_range=True):
                    one.suggest(trial)  # The sampler learns from it.
        else:
            values = changed = {one.name: one.suggest(trial) for one in self.ranges}

        def is_hopeless(mrr: float, stage: int) -> bool:
            trial.report(mrr, stage)
            return not as_it_stands and trial.should_prune()

        metrics, note = None, ""
        try:
            # The first trial is what all others are compared with, so it may take longer.
            until = float("inf") if as_it_stands else deadline
            metrics = self.trials.run(changed, budget, is_hopeless, until, title)
        except LassError as error:
            if as_it_stands:
                raise
            note = one_line(error)
            trial.report(0.0, 0)  # so that the sampler keeps away from there
        seconds = round(time.perf_counter() - started, 1)
        record = {"values": values, "seconds": seconds, "metrics": metrics or {}, "note": note}
        trial.set_user_attr("record", record)
        if metrics is None:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, metrics["mrr"])

    def _own_values(self, in_range: bool = False) -> dict[str, Any]:
        """Returns the recipe's own values of what is searched; with `in_range`, those that the search could draw."""
        own = {**vars(self.trials.training), **vars(self.trials.arguments)}
        values = {one.name: getattr(own[one.name], "value", own[one.name]) for one in self.ranges}
        return {one.name: values[one.name] for one in self.ranges if not in_range or values[one.name] in one}

    def finished(self) -> list[TrialRecord]:
        """Returns the trials that count, without those that were cut off."""
        return [record for record in trial_records(self.study) if record.state != "cut off"]

    def result(self) -> SearchResult | None:
        """Returns what was found; None if no trial is complete."""
        records = trial_records(self.study)
        complete = [record for record in records if record.state == "complete"]
        if not complete:
            return None
        best = max(complete, key=lambda record: (record.mrr, -record.number))
        epochs = self.study.user_attrs["budget"]["epochs"]
        return SearchResult(tuple(records), best, complete[0], epochs, {one.name: str(one) for one in self.ranges})

    def write(self) -> None:
        """Writes the table of the trials, and the recipe of the best one."""
        names = [one.name for one in self.ranges]
        lines = [["number", "state", "mrr", "seconds", *names, "note"]]
        for record in trial_records(self.study):
            mrr = None if record.mrr is None else f"{record.mrr:.4f}"
            row = [record.number, record.state, mrr, record.seconds, *map(record.values.get, names), record.note]
            lines.append(["" if cell is None else one_line(cell) for cell in row])
        write_whole(self.folder / TRIALS_FILE, "".join("\t".join(line) + "\n" for line in lines))
        if (found := self.result()) is not None:
            write_whole(best_file(self.folder, self.recipe), self._best_recipe(found))

    def _best_recipe(self, found: SearchResult) -> str:
        """Returns the best trial as a recipe, with the whole length of the training."""
        changed = {} if found.best is found.first else found.best.values
        lines = [
            f"# {one_line(self.recipe)} with the values of trial {found.best.number} of a search: MRR "
            f"{found.best.mrr:.4f}, and {found.first.mrr:.4f} as it stands.",
            "# lass-hf train FILE --output_dir DIR trains it, as long as the recipe says.",
        ]
        kept = {name: value for name, value in self.values.items() if name == "graph" or name not in OF_ONE_RUN}
        for name, value in {**kept, **changed}.items():
            line = yaml.safe_dump({name: value}, allow_unicode=True).rstrip("\n")
            lines.append(f"{line}  # found" if name in changed else line)
        return "\n".join(lines) + "\n"


def _describe(record: TrialRecord) -> str:
    values = ", ".join(f"{name} {value}" for name, value in record.values.items() if value is not None)
    if record.note:
        return f"could not be trained ({record.note}); {values}"
    return f"MRR {record.mrr:.4f}{'' if record.state == 'complete' else ' (ended early)'}; {values}"


def _fitting(trials: Trials, ranges: Sequence[Range]) -> tuple[Range, ...]:
    """Returns ranges without values that do not fit the recipe; nobody asked for them."""

    def fits(name: str, value: Any) -> bool:
        try:
            trials.arguments_with({name: value})
        except LassError:
            return False
        return True

    kept = [replace(one, values=tuple(value for value in one.values if fits(one.name, value))) for one in ranges]
    return tuple(new for new, one in zip(kept, ranges, strict=True) if new.values or not one.values)


def _check_ranges(trials: Trials, ranges: Sequence[Range], recipe: str) -> None:
    """Raises LassError for a value, or two of them, that do not fit the recipe, as a training would."""
    pairs = [(one, other) for one, other in combinations(ranges, 2) if one.values and other.values]
    for together in (*((one,) for one in ranges), *pairs):
        names = [one.name for one in together]
        for values in product(*(one.ends for one in together)):
            try:
                trials.arguments_with(dict(zip(names, values, strict=True)))
            except LassError as error:
                raise LassError(f"{recipe}: {SEARCH_KEY}: {' and '.join(names)}: {error}") from error


def _identity(values: Mapping[str, Any], ranges: Sequence[Range], graph: KnowledgeGraph, seed: int) -> dict[str, Any]:
    """Returns what the trials of a study have in common, as JSON values."""
    return {
        **{name: str(value) for name, value in values.items() if name not in OF_ONE_RUN},
        **{f"{SEARCH_KEY}: {one.name}": str(one) for one in ranges},
        "graph": graph_fingerprint(graph),
        "texts": graph_texts_fingerprint(graph),
        "--seed": seed,
    }


@contextmanager
def _without_loading_bars() -> Iterator[None]:
    """Keeps transformers from showing a bar each time that a trial loads the encoder."""
    is_shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if is_shown:
            transformers_logging.enable_progress_bar()
