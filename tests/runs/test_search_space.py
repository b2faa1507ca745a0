"""The section `search:` of a recipe: what it may say, and one line for what it may not."""

from pathlib import Path

import optuna
import pytest
import yaml
from helpers.tiny import one_line

from lass_hf import LassTrainingArguments
from lass_hf.core.choices import ARCHITECTURE_NAMES, check
from lass_hf.core.errors import LassError
from lass_hf.runs.search_space import SEARCHED, Range, default_ranges, read_ranges
from lass_hf.training.recipes import SEARCH_KEY, TrainArguments, parse_training, read_recipe

RECIPES = Path(__file__).parents[2] / "examples" / "recipes"


def read(text: str) -> tuple[Range, ...]:
    return read_ranges(yaml.safe_load(text), "mine.yaml")


def test_ranges_have_the_types_of_their_arguments():
    text = """
    learning_rate: {low: 1e-5, high: 5.0e-4, log: true}
    num_negatives: {low: 2, high: 8}
    margin: {low: 3, high: 9}
    loss: [softmax, negative_sampling]
    separators: [true, false]
    weight_decay: [0, 0.01, 0]
    lr_scheduler_type: [linear, cosine]
    max_length: [32, 64]
    """
    assert read(text) == (
        Range("learning_rate", low=1e-5, high=5e-4, log=True),
        Range("num_negatives", low=2, high=8),
        Range("margin", low=3.0, high=9.0),
        Range("loss", ("softmax", "negative_sampling")),
        Range("separators", (True, False)),
        Range("weight_decay", (0.0, 0.01)),
        Range("lr_scheduler_type", ("linear", "cosine")),
        Range("max_length", (32, 64)),
    )
    kinds = {one.name: type(one.ends[0]) for one in read(text)}
    assert (kinds["num_negatives"], kinds["margin"], kinds["weight_decay"]) == (int, float, float)


def test_drawn_numbers_are_short_and_inside():
    space = (*read("learning_rate: {low: 1.2345e-5, high: 5.4321e-4, log: true}"), *read("margin: {low: 3, high: 3}"))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(30):
        rate, margin = (one.suggest(study.ask()) for one in space)
        assert rate in space[0]
        assert rate == float(f"{rate:.3g}")
        assert margin == 3.0
    fixed = optuna.trial.FixedTrial({"learning_rate": 1.2345e-5})
    assert space[0].suggest(fixed) == 1.2345e-5  # rounded, it would lie below


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5", "mine.yaml: search: 5; expected lines of the form `argument: range`"),
        ("{}", "expected lines of the form"),
        ("", "search: None; expected lines of the form"),
        ("learning_rat: [1]", "search: 'learning_rat' is no argument of a training"),
        ("1: [1]", "search: 1 is no argument of a training"),
        ("own_weight: [1]", "mine.yaml: search: own_weight is now called self_match_weight"),
        ("num_train_epochs: [1]", "num_train_epochs cannot be searched: all trials are trained equally long"),
        ("output_dir: [a, b]", "output_dir cannot be searched: it is no choice of model"),
        ("bf16: [true, false]", "bf16 cannot be searched: it is no choice of model"),
        ("neighbor_weight: [0, 1]", "neighbor_weight cannot be searched: no training depends on it; lass-hf evaluate"),
        ("fraction: [0.5, 1]", "fraction cannot be searched: trials are compared on the same data"),
        ("architecture: [bi-encoder]", "architecture cannot be searched"),
        ("margin: []", "margin: []; expected a list of values, or low and high"),
        ("margin: 7", "margin: 7; expected a list of values, or low and high"),
        ("margin: [[1]]", "margin: [1]; expected a finite number"),
        ("margin: [.nan]", "margin: nan; expected a finite number"),
        ("margin: [true]", "margin: True; expected a finite number"),
        ("num_negatives: [2.5]", "num_negatives: 2.5; expected a whole number"),
        ("separators: [1]", "separators: 1; expected true or false"),
        ("separators: {low: 0, high: 1}", "separators: low and high are for numbers; expected a list"),
        ("loss: {low: 0, high: 1}", "loss: low and high are for numbers; expected a list"),
        ("lr_scheduler_type: [straight]", "lr_scheduler_type: 'straight'; expected one of linear, "),
        ("margin: {low: 9, high: 3}", "margin: low 9 is above high 3"),
        ("margin: {low: 1}", "margin: no high; expected low and high"),
        ("margin: {low: 1, hgih: 3}", "margin: unknown key 'hgih'; expected low, high and log"),
        ("margin: {low: x, high: 3}", "margin: low: 'x'; expected a finite number"),
        ("margin: {low: 0, high: 3, log: true}", "margin: low 0 on a logarithmic scale; expected a number above 0"),
        ("margin: {low: 1, high: 3, log: 2}", "margin: log 2; expected true or false"),
    ],
)
def test_what_is_no_range_is_an_error_of_one_line_that_names_file_and_key(text, message):
    with pytest.raises(LassError) as error:
        read(text)
    assert one_line(error, message).startswith("mine.yaml: search: ")


@pytest.mark.parametrize("architecture", ARCHITECTURE_NAMES)
def test_default_ranges_suit_the_architecture(architecture, tmp_path):
    ranges = default_ranges(architecture)
    assert "learning_rate" in {one.name for one in ranges}
    own = set(TrainArguments.__dataclass_fields__)
    for one in ranges:
        for value in one.ends:
            kind = {"graph": "", "encoder": ""} if one.name in own else {"output_dir": str(tmp_path)}
            made = (TrainArguments if one.name in own else LassTrainingArguments)(**kind, **{one.name: value})
            check(made, architecture)


def test_what_can_be_searched_are_arguments():
    known = {*TrainArguments.__dataclass_fields__, *LassTrainingArguments.__dataclass_fields__}
    assert set(SEARCHED) <= known
    assert {"encoder", "margin", "max_length", "num_neighbors", "dropout", "learning_rate", "loss"} <= set(SEARCHED)


def test_shipped_ranges_hold_what_their_recipes_say():
    searched = [path for path in RECIPES.glob("*.yaml") if SEARCH_KEY in read_recipe(str(path))]
    assert searched
    for path in searched:
        arguments, training = parse_training([str(path), "--graph", "umls"])
        for one in read_ranges(read_recipe(str(path))[SEARCH_KEY], path.name):
            assert {**vars(training), **vars(arguments)}[one.name] in one
