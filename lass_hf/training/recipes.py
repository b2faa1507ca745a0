"""Arguments of a training: presets give way to recipes (YAML), recipes to flags. It parses; it trains nothing."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from transformers import HfArgumentParser

from ..core.configuration_lass import SCORE_CHOICES
from ..core.errors import LassError, first_line
from ..core.presets import PRESETS
from ..core.processing_lass import INVERSE
from ..utils.one_line_parser import OneLineErrors, Parser
from .training_args import LassTrainingArguments

BATCH = ("per_device_train_batch_size", "gradient_accumulation_steps")
# What a recipe names, itself or by its preset: every choice that a model depends on, and that a results file records.
CHOICES = (
    "encoder",
    *PRESETS["paper"],
    "dropout",
    "max_length",
    "long_text",
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "weight_decay",
    "adam_epsilon",
    "num_train_epochs",
    "max_steps",
    *BATCH,
)


@dataclass
class TrainArguments:
    """What `lass-hf train` takes besides the training arguments."""

    graph: str = field(metadata={"help": "Folder of the graph, or a name: countries, umls, wn18rr, ..."})
    encoder: str = field(metadata={"help": "Pre-trained encoder: hub name or folder."})
    preset: str | None = field(
        default=None, metadata={"help": f"Choices that change scores or loss, all at once: {', '.join(PRESETS)}."}
    )
    margin: float = field(default=7.0, metadata={"help": "b of Eq. 1."})
    distance_scale: str = field(default="sqrt_dim", metadata={"help": "sqrt_dim, or none (Eq. 1 as printed)."})
    separators: bool = field(default=True, metadata={"help": "Separator tokens between the segments."})
    architecture: str = field(
        default="cross-encoder",
        metadata={"help": "joint, or separate: entities encoded once, answers in milliseconds."},
    )
    inverse: str = field(default=INVERSE, metadata={"help": "Text of an inverse relation; bi-encoder only."})
    normalize: bool = field(default=False, metadata={"help": "Vectors of unit length; bi-encoder only."})
    scale: float = field(default=20.0, metadata={"help": "Of the squared distance of vectors of unit length."})
    learn_scale: bool = field(default=True, metadata={"help": "Learn that scale; else it stays what it is."})
    self_match_weight: float = field(
        default=1.0,
        metadata={"help": "Its log is added to the score where head and tail read the same; bi-encoder only."},
    )
    neighbor_weight: float = field(
        default=0.0,
        metadata={"help": "Of the vectors of neighbors, added to an entity's in rankings; bi-encoder only."},
    )
    frequency_weight: float = field(
        default=0.0,
        metadata={"help": "Of log(1 + how often an entity answers the relation) in rankings; bi-encoder only."},
    )
    fraction: float = field(
        default=1.0,
        metadata={
            "help": "Train on a seeded share of the training triplets; neighbors and frequencies are those of all."
        },
    )
    retriever: str | None = field(
        default=None, metadata={"help": "Model with a bi-encoder, to mine negatives with, for a joint one."}
    )
    num_mined: int = field(default=4, metadata={"help": "How many of a slot's negatives it gives."})
    mining_depth: int = field(default=50, metadata={"help": "They are drawn from so many of its best wrong answers."})
    dropout: float | None = field(default=None, metadata={"help": "Of the encoder; the checkpoint's own by default."})
    max_length: int | None = field(default=None, metadata={"help": "Longest sequence in tokens."})
    long_text: bool = field(default=False, metadata={"help": "Texts from entity2textlong.txt."})
    quiet: bool = field(default=False, metadata={"help": "No progress bars, errors only."})
    json: str | None = field(default=None, metadata={"help": "Write the results to this file."})
    recipe: str | None = field(default=None, init=False)  # the file that the arguments came from

    def processor_choices(self) -> dict[str, Any]:
        """Returns the choices that `LassProcessor.from_encoder` takes, by name."""
        names = ("separators", "max_length", "architecture", "inverse")
        return {name: getattr(self, name) for name in names}

    def model_choices(self) -> dict[str, Any]:
        """Returns the choices that `LassForKGCompletion.from_encoder` takes, by name."""
        return {name: getattr(self, name) for name in (*SCORE_CHOICES, "dropout")}


class TrainParser(OneLineErrors, HfArgumentParser):
    pass


def parse_training(argv: Sequence[str], *more: Any, prog: str = "lass-hf train") -> tuple[Any, ...]:
    """TrainArguments and LassTrainingArguments from a recipe (YAML), whose values flags override, and flags.

    A preset is a flag for several; the output folder is `runs/` and the recipe's name, unless one is given. `more`
    dataclasses add a script's own arguments, and are returned behind the two.
    Raises LassError for a recipe that cannot be read, or that has an unknown key or a bad value.
    """
    kinds = [TrainArguments, LassTrainingArguments, *more]
    parser = TrainParser(kinds, prog=prog, allow_abbrev=False)
    parser.add_argument("recipe", nargs="?", help="YAML file of arguments; flags override it")
    known = {field.name for kind in kinds[:2] for field in fields(kind) if field.init}  # of a training only
    recipe_file = argv[0] if argv and not argv[0].startswith("-") else None
    recipe = _read_recipe(recipe_file, known) if recipe_file else {}
    first = Parser(prog=prog, add_help=False, allow_abbrev=False)
    first.add_argument("--preset")
    defaults = recipe
    if preset := recipe.get("preset"):  # the recipe's own values win over its preset
        defaults = {**_preset(preset), **defaults}
    if preset := first.parse_known_args(list(argv))[0].preset:  # a flag like any other, so it wins over the recipe
        defaults = {**defaults, **_preset(preset)}
    if recipe_file:
        defaults = {"output_dir": f"runs/{Path(recipe_file).stem}", **defaults}
    # Through the parser's defaults, so that flags win; as strings, so that argparse checks and converts the values.
    for action in parser._actions:
        if action.dest in defaults:
            action.required = False
            action.default = _default(action, defaults[action.dest])
    try:
        *parsed, rest, unknown = parser.parse_args_into_dataclasses(
            list(argv), look_for_args_file=False, return_remaining_strings=True
        )
    except ValueError as error:
        raise LassError(first_line(error)) from error
    if unknown:
        raise LassError(f"unknown argument {' '.join(unknown)}; see {prog} --help")
    if rest.recipe != recipe_file:
        raise LassError(f"{rest.recipe}: the recipe comes first, before any flag")
    parsed[0].recipe = recipe_file
    return tuple(parsed)


def _default(action: argparse.Action, value: Any) -> Any:
    """A recipe's value as the argument's default: a string, which argparse checks and converts, or a list of values."""
    if isinstance(value, dict) and action.dest.endswith("kwargs"):
        return json.dumps(value)
    if isinstance(value, list) and action.nargs == "+":
        return value
    if value is None or isinstance(value, (list, dict)):
        raise LassError(f"{action.dest}: {value!r} in the recipe; expected one value")
    return value if isinstance(value, bool) else str(value)


def _preset(name: Any) -> dict[str, Any]:
    if not isinstance(name, str) or name not in PRESETS:
        raise LassError(f"preset {name!r}; expected one of {', '.join(PRESETS)}")
    return PRESETS[name]


def _read_recipe(path: str, known: set[str]) -> dict[str, Any]:
    try:
        recipe = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LassError(f"{path}: no valid YAML ({first_line(error)})") from None
    if not isinstance(recipe, dict):
        raise LassError(f"{path}: expected lines of the form `argument: value`")
    if unknown := sorted(str(key) for key in set(recipe) - known):
        raise LassError(f"{path}: unknown argument {', '.join(map(repr, unknown))}; see lass-hf train --help")
    return recipe
