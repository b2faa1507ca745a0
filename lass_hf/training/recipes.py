"""Arguments of a training. Recipes (YAML) override presets, and flags override recipes.

What imports transformers is imported when arguments are parsed: the help of `lass-hf train` must answer at once.
"""

import json
import math
import reprlib
from argparse import Action, ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..core.choices import PRESETS, ModelChoices, SequenceChoices, check, choice, choice_names, refuse_old_names
from ..core.errors import LassError, first_line
from ..utils.checked_files import read_yaml

# Arguments that say where a run reads and writes, and not what is trained.
OF_ONE_RUN = (
    *("graph", "output_dir", "minutes", "quiet", "json", "resume_from_checkpoint", "report_to"),
    *("push_to_hub", "hub_token", "hub_model_id", "hub_strategy", "hub_private_repo", "hub_include_graph"),
)
SEARCH_KEY = "search"  # the ranges of `lass-hf search` in a recipe; a training has the values beside them
SHOWN = 5  # unknown arguments that an error lists


@dataclass
class TrainArguments(ModelChoices, SequenceChoices):
    """The arguments of `lass-hf train` besides the training arguments: the data, the choices of model and sequences.

    Raises:
        LassError: a choice has a value that is not allowed, or would change nothing.
    """

    graph: str = field(metadata={"help": "Folder of the graph, or a name: countries, umls, wn18rr, ..."})
    encoder: str = choice(MISSING, "Pre-trained encoder: hub name or folder.", "vectors")
    preset: str | None = choice(
        None, f"Choices that change scores or loss, all at once: {', '.join(PRESETS)}.", "scores"
    )
    fraction: float = choice(
        1.0, "Train on a seeded share of the training triplets; evidence of the graph is that of all.", "data"
    )
    retriever: str | None = choice(
        None, "A trained bi-encoder to mine negatives with.", "negatives", architecture="cross-encoder"
    )
    num_mined: int = choice(
        4, "How many of a slot's negatives the retriever gives.", "negatives", at_least=1, needs="retriever"
    )
    mining_depth: int = choice(
        50,
        "Mined negatives are drawn from so many of its best wrong answers.",
        "negatives",
        at_least=1,
        needs="retriever",
    )
    dropout: float | None = choice(None, "Of the encoder; the checkpoint's own by default.", "vectors")
    dtype: str = choice(
        "float32",
        "Precision of the weights while they are trained: float32, or bfloat16, which takes half the memory and loses "
        "small updates. --bf16 computes in bfloat16 with either.",
        "vectors",
        allowed=("float32", "bfloat16"),
    )
    long_text: bool = choice(False, "Texts from entity2textlong.txt.", "data")
    decisions: list[str] | None = choice(  # noqa: RUF009
        None,
        "Files of judged triplets that people decided about: the accepted ones join the training triplets, and the "
        "rejected ones are false triplets there.",
        "data",
    )
    validation: str | None = choice(
        None,
        "Hold out validation triplets: a share, such as 5%, their number, or 0. By default 5%, at most 2,500 and at "
        "least 50 (of a small graph 15%), if the graph has none.",
        "data",
    )
    test: str | None = choice(None, "Hold out test triplets, too, which are saved with the model.", "data")
    evidence: str | None = field(  # no choice of the training: the model itself is the same with any
        default=None,
        metadata={
            "help": "Kinds of evidence for one fitted score of the trained model, with commas between them: text, "
            "neighbors, frequency, rules, vectors. By default all of them for a bi-encoder, and text alone for a "
            "cross-encoder, whose scores of all candidates take long, or a graph with fewer than 100 training triplets."
        },
    )
    minutes: float | None = field(
        default=None,
        metadata={
            "help": "The longest time that a training should take on this machine, where neither a recipe nor "
            "--architecture is given and its settings are chosen; 12 by default, and 60 with a retriever."
        },
    )
    quiet: bool = field(default=False, metadata={"help": "No progress bars, errors only."})
    json: str | None = field(default=None, metadata={"help": "Write the results to this file."})
    recipe: str | None = field(default=None, init=False)  # the file that the arguments came from
    held_out: dict[str, int] = field(default_factory=dict, init=False)  # true triplets, by split; once there is a graph
    decided: dict[str, Any] = field(default_factory=dict, init=False)  # what `decisions` holds; once there is a graph

    def __post_init__(self):
        from ..graphs.splitting import parse_size

        if isinstance(self.decisions, (str, Path)):
            self.decisions = [str(self.decisions)]
        check(self)
        for name in ("validation", "test"):
            if (size := getattr(self, name)) is not None:
                setattr(self, name, str(size))  # 0.05 from Python, too
                parse_size(str(size))
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise LassError(f"minutes={self.minutes}; expected a number above 0")
        if self.evidence is not None:
            self.evidence = ",".join(self._check_evidence(self.evidence))

    def _check_evidence(self, names: str) -> tuple[str, ...]:
        """Returns the kinds of evidence that `evidence` names."""
        from ..evidence.building import check_kinds
        from ..evidence.evidence import KINDS

        possible = [kind for kind in KINDS if kind != "neighbors" or self.architecture == "bi-encoder"]
        kinds = check_kinds([name.strip() for name in names.split(",") if name.strip()], possible)
        if "text" not in kinds:
            raise LassError(f"evidence {names!r} leaves out the text, and so the trained model; expected text among it")
        return kinds

    def processor_choices(self) -> dict[str, Any]:
        """Returns the choices that `LassProcessor.from_encoder` takes, by name."""
        return {"architecture": self.architecture, **self.chosen(SequenceChoices)}

    def model_choices(self) -> dict[str, Any]:
        """Returns the choices that `LassForKGCompletion.from_encoder` takes, by name."""
        return {"dropout": self.dropout, "dtype": self.dtype, **self.chosen(ModelChoices)}

    def chosen(self, kind: type) -> dict[str, Any]:
        """Returns the values of the choices of `kind`, such as `ModelChoices`, by name."""
        return {name: getattr(self, name) for name in choice_names(kind)}


def parse_training(
    argv: Sequence[str], *more: Any, prog: str = "lass-hf train", chosen: Mapping[str, Any] | None = None
) -> tuple[Any, ...]:
    """Parses the arguments of a training: a recipe (YAML), whose values flags override, and flags.

    A preset stands for several flags. The output folder is `runs/` and the recipe's name, unless one is given.

    Args:
        argv: the recipe's file, if any, then flags.
        *more: dataclasses of a script's own arguments.
        prog: the program's name in messages.
        chosen: settings in place of a recipe's values.

    Returns:
        `TrainArguments`, `LassTrainingArguments`, and an instance of each of `more`.

    Raises:
        LassError: the recipe cannot be read, or an argument is unknown, has an old name or a bad value.
    """
    parser = _training_parser(argv, more, prog, chosen or {})
    try:
        *parsed, rest, unknown = parser.parse_args_into_dataclasses(
            list(argv), look_for_args_file=False, return_remaining_strings=True
        )
    except ValueError as error:
        raise LassError(first_line(error)) from error
    if unknown:
        raise LassError(f"unknown argument {' '.join(unknown)}; see {prog} --help")
    if rest.recipe != _recipe_file(argv):
        raise LassError(f"{rest.recipe}: the recipe comes first, before any flag")
    parsed[0].recipe = rest.recipe
    return tuple(parsed)


def recipe_values(recipe: str) -> dict[str, Any]:
    """Returns the arguments of a training by a recipe alone; it checks nothing that depends on other arguments.

    Args:
        recipe: the recipe's file.

    Returns:
        The value of each argument, by name: the recipe's, its preset's or the default.

    Raises:
        LassError: the recipe cannot be read, or an argument is unknown, has an old name or a value of another type.
    """
    parser = _training_parser([recipe])
    for action in parser._actions:
        action.required = False  # A flag can give what the recipe lacks.
    values = vars(parser.parse_args([recipe]))
    return {name: json.loads(value) if str(value).startswith("{") else value for name, value in values.items()}


def read_recipe(path: str) -> dict[str, Any]:
    """Reads a recipe; of its values it checks nothing.

    Args:
        path: the recipe's file.

    Returns:
        The arguments of the training as the file has them, and `search`, the ranges of `lass-hf search`, if it has any.

    Raises:
        LassError: the recipe cannot be read, or an argument is unknown or has an old name.
    """
    from .training_args import LassTrainingArguments

    if Path(path).is_dir():
        raise LassError(f"{path}: a folder; expected the YAML file of a recipe (--graph is for the folder of a graph)")
    recipe = read_yaml(path)
    if not isinstance(recipe, dict):
        raise LassError(f"{path}: expected lines of the form `argument: value`")
    refuse_old_names(recipe, where=path)
    known = {one.name for kind in (TrainArguments, LassTrainingArguments) for one in fields(kind) if one.init}
    if unknown := sorted(map(reprlib.repr, set(recipe) - known - {SEARCH_KEY})):
        raise LassError(f"{path}: unknown argument {', '.join(unknown[:SHOWN])}; see lass-hf train --help")
    return recipe


def _recipe_file(argv: Sequence[str]) -> str | None:
    return argv[0] if argv and not argv[0].startswith("-") else None


def leaves_settings_open(argv: Sequence[str]) -> bool:
    """Returns whether a command line names no recipe, no preset and no architecture."""
    named = [find_option(argv, name) for name in ("preset", "architecture")]
    return not _recipe_file(argv) and named == [None, None]  # an empty one is refused where all is parsed


def find_option(argv: Sequence[str], name: str) -> str | None:
    """Returns the value of an option on a command line, before it is parsed; "" for no value, None for no option.

    Args:
        argv: the command line.
        name: the option's name, without dashes.
    """
    first = ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument(f"--{name}", dest="value", nargs="?", const="")
    return first.parse_known_args(list(argv))[0].value


def given_arguments(argv: Sequence[str], *parsed: Any) -> dict[str, Any]:
    """Returns the arguments that a command line names, with their values, as a recipe has them.

    Args:
        argv: the command line.
        *parsed: what `parse_training` made of it.
    """
    names = {word[2:].partition("=")[0].replace("-", "_") for word in argv if word.startswith("--")}
    names |= {name.removeprefix("no_") for name in names}  # --no_separators
    values = {one.name: getattr(kind, one.name) for kind in parsed for one in fields(kind)}
    kept = {
        name: value for name, value in values.items() if name in names - set(OF_ONE_RUN) and value not in (None, [])
    }
    return {name: _plain(value) for name, value in kept.items()}


def _plain(value: Any) -> Any:
    """Returns the value of an argument as YAML has it."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.to_dict() if hasattr(value, "to_dict") else getattr(value, "value", value)


def _training_parser(
    argv: Sequence[str],
    more: Sequence[Any] = (),
    prog: str = "lass-hf train",
    chosen: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """Returns a parser whose defaults are the values of the recipe and the preset that a command line names."""
    from ..utils.dataclass_parser import DataclassParser
    from .training_args import LassTrainingArguments

    kinds = [TrainArguments, LassTrainingArguments, *more]
    parser = DataclassParser(kinds, prog=prog, allow_abbrev=False)
    parser.add_argument("recipe", nargs="?", help="YAML file of arguments; flags override it")
    recipe_file = _recipe_file(argv)
    recipe = read_recipe(recipe_file) if recipe_file else dict(chosen)
    first = ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", nargs="?")  # The parser proper refuses it without a value.
    defaults = recipe
    if preset := recipe.get("preset"):  # The recipe's own values win over its preset.
        defaults = {**_preset(preset), **defaults}
    if preset := first.parse_known_args(list(argv))[0].preset:  # A flag, so it wins over the recipe.
        defaults = {**defaults, **_preset(preset)}
    if recipe_file:
        defaults = {"output_dir": f"runs/{Path(recipe_file).stem}", **defaults}
    # They become the parser's defaults, so that flags win; as strings, so that argparse checks and converts them.
    for action in parser._actions:
        if action.dest in defaults:
            action.required = False
            action.default = _default(action, defaults[action.dest])
    return parser


def _default(action: Action, value: Any) -> Any:
    """Returns a recipe's value as a parser's default: a string, which argparse checks and converts, or a list."""
    if isinstance(value, dict) and action.dest.endswith("kwargs"):
        return json.dumps(value)
    if isinstance(value, (list, str)) and value != "" and action.nargs == "+":
        return [value] if isinstance(value, str) else value
    if value is None or value == "" or isinstance(value, (list, dict)):
        raise LassError(f"{action.dest}: {reprlib.repr(value)} in the recipe; expected one value")
    return value if isinstance(value, bool) else str(value)


def _preset(name: Any) -> dict[str, Any]:
    if not isinstance(name, str) or name not in PRESETS:
        raise LassError(f"preset {reprlib.repr(name)}; expected one of {', '.join(PRESETS)}")
    return PRESETS[name]
