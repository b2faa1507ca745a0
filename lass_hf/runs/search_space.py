"""The ranges of a hyperparameter search: what `search:` in a recipe says, or ranges that suit the architecture."""

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from types import NoneType
from typing import Any, get_args

from ..core.choices import choice_names, refuse_old_names
from ..core.errors import LassError
from ..training.recipes import SEARCH_KEY, TrainArguments
from ..training.training_args import SEARCHABLE, LassTrainingArguments

# Arguments that a model depends on, and that no search varies, and why.
SETTLED = {
    **dict.fromkeys(["num_train_epochs", "max_steps"], "all trials are trained equally long"),
    **dict.fromkeys(choice_names(TrainArguments, affects="data"), "trials are compared on the same data"),
    **dict.fromkeys(
        choice_names(TrainArguments, affects="ranking"),
        "no training depends on it; lass-hf evaluate --keep_weights finds it for a trained model",
    ),
    "architecture": "it decides what a trial measures; search with a recipe for each",
    "preset": "it stands for several arguments; search those",
}
NO_CHOICE = "it is no choice of model, sequences, loss, negatives, batches, optimizer or schedule"
SEARCHED = tuple(dict.fromkeys(name for name in (*choice_names(TrainArguments), *SEARCHABLE) if name not in SETTLED))
DEFAULT_RANGES: dict[str, dict[str, Any]] = {
    "bi-encoder": {
        "learning_rate": {"low": 3e-5, "high": 1e-3, "log": True},
        "warmup_steps": [0.05, 0.1, 0.2],
        "weight_decay": [0.0, 0.01, 0.1],
        "dropout": [0.0, 0.1],
    },
    "cross-encoder": {
        "learning_rate": {"low": 1e-5, "high": 3e-4, "log": True},
        "warmup_steps": [0.05, 0.1, 0.2],
        "weight_decay": [0.0, 0.01, 0.1],
        "num_negatives": [5, 10, 15],
    },
}
DIGITS = 3  # of a number that is drawn, so that people can read it


@dataclass(frozen=True)
class Range:
    """The values that a search tries for one argument: some values, or the numbers between two bounds.

    Attributes:
        name: The argument.
        values: The values; empty for numbers between bounds.
        low: The lowest number.
        high: The highest number.
        log: Whether numbers are drawn on a logarithmic scale.
    """

    name: str
    values: tuple[Any, ...] = ()
    low: float | int = 0
    high: float | int = 0
    log: bool = False

    def __str__(self) -> str:
        if self.values:
            return " or ".join(map(str, self.values))
        return f"{self.low:g} to {self.high:g}" + (" (log)" if self.log else "")

    def __contains__(self, value: Any) -> bool:
        if self.values:
            return value in self.values
        return isinstance(value, (int, float)) and self.low <= value <= self.high

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values, or the two bounds: if these are allowed, all are."""
        return self.values or (self.low, self.high)

    def suggest(self, trial: Any) -> Any:
        """Draws a value for a trial.

        Args:
            trial: Optuna's trial. A value that was put in its queue is that value.

        Returns:
            The value; a number that is not whole is rounded to three digits.
        """
        if self.values:
            return trial.suggest_categorical(self.name, self.values)
        if isinstance(self.low, int):
            return trial.suggest_int(self.name, self.low, self.high, log=self.log)
        drawn = trial.suggest_float(self.name, self.low, self.high, log=self.log)
        return min(max(float(f"{drawn:.{DIGITS}g}"), self.low), self.high)


def read_ranges(section: Any, file: str) -> tuple[Range, ...]:
    """Reads the section `search:` of a recipe.

    Args:
        section: The value of the section: for each argument a list of values, or `low`, `high` and perhaps `log`.
        file: The recipe's file, for messages.

    Returns:
        The ranges, in order. Whether values fit each other, and the architecture, is not checked.

    Raises:
        LassError: An argument is unknown or cannot be searched, or its range is empty or no range.
    """
    where = f"{file}: {SEARCH_KEY}"
    if not isinstance(section, dict) or not section:
        raise LassError(f"{where}: {reprlib.repr(section)}; expected lines of the form `argument: range`")
    refuse_old_names(section, where)
    return tuple(_read_range(name, value, where) for name, value in section.items())


def default_ranges(architecture: str) -> tuple[Range, ...]:
    """Returns the ranges that are searched for a recipe without the section `search:`.

    Args:
        architecture: The architecture that the recipe names.
    """
    return read_ranges(DEFAULT_RANGES[architecture], "")


def _read_range(name: Any, value: Any, where: str) -> Range:
    known = {one.name: one.type for kind in (TrainArguments, LassTrainingArguments) for one in fields(kind) if one.init}
    if name not in known:
        raise LassError(f"{where}: {reprlib.repr(name)} is no argument of a training; see lass-hf train --help")
    where = f"{where}: {name}"
    if name not in SEARCHED:
        raise LassError(f"{where} cannot be searched: {SETTLED.get(name, NO_CHOICE)}")
    kinds = [kind for kind in get_args(known[name]) or (known[name],) if kind is not NoneType]
    if isinstance(value, list) and value:
        return Range(name, tuple(dict.fromkeys(_convert(one, kinds, where) for one in value)))
    if isinstance(value, dict):
        return _read_bounds(name, value, kinds, where)
    raise LassError(f"{where}: {reprlib.repr(value)}; expected a list of values, or low and high")


def _read_bounds(name: str, value: Mapping[Any, Any], kinds: list[Any], where: str) -> Range:
    if unknown := sorted(map(reprlib.repr, value.keys() - {"low", "high", "log"})):
        raise LassError(f"{where}: unknown key {unknown[0]}; expected low, high and log")
    if not {"low", "high"} <= value.keys():
        raise LassError(f"{where}: no {'low' if 'low' not in value else 'high'}; expected low and high")
    if not {int, float} & {*kinds} or bool in kinds:
        raise LassError(f"{where}: low and high are for numbers; expected a list of values")
    low, high = (_convert(value[key], kinds, f"{where}: {key}") for key in ("low", "high"))
    log = value.get("log", False)
    if not isinstance(log, bool):
        raise LassError(f"{where}: log {reprlib.repr(log)}; expected true or false")
    if low > high:
        raise LassError(f"{where}: low {low:g} is above high {high:g}")
    if log and low <= 0:
        raise LassError(f"{where}: low {low:g} on a logarithmic scale; expected a number above 0")
    return Range(name, low=low, high=high, log=log)


def _convert(value: Any, kinds: list[Any], where: str) -> Any:
    """Returns a value as one of the types of its argument; YAML has `1e-4` as a string."""
    is_plain = isinstance(value, (str, int, float)) and isinstance(value, bool) == (bool in kinds)
    number = next((kind for kind in (float, int) if kind in kinds), None)
    expected = {None: "one word", float: "a finite number", int: "a whole number"}[number]
    if bool in kinds:
        expected = "true or false"
    elif names := [
        str(one.value) for kind in kinds if isinstance(kind, type) and issubclass(kind, Enum) for one in kind
    ]:
        is_plain, expected = value in names, f"one of {', '.join(names)}"
    elif number and is_plain:
        try:
            value = number(str(value))
            is_plain = math.isfinite(value)
        except ValueError:
            is_plain = False
    if not is_plain:
        raise LassError(f"{where}: {reprlib.repr(value)}; expected {expected}")
    return value
