"""Choices: what `check` refuses, worked out by hand, and that everything that lists choices has them all."""

from dataclasses import dataclass, fields

import pytest
from helpers.tiny import make_model, one_line

from lass_hf import LassConfig, LassTrainingArguments
from lass_hf.core.choices import (
    OLD_NAMES,
    PRESETS,
    ModelChoices,
    SequenceChoices,
    TrainingChoices,
    check,
    choice,
    choice_names,
    refuse_old_names,
)
from lass_hf.core.errors import LassError
from lass_hf.core.processing_lass import PROCESSOR_CHOICES
from lass_hf.training.recipes import TrainArguments
from lass_hf.utils.fingerprints import config_fingerprint, vectors_fingerprint


@dataclass(kw_only=True)
class Choices:
    color: str = choice("red", "A color.", "scores", allowed=("red", "blue"))
    size: float = choice(2.0, "A size.", "scores", above=0)
    count: int = choice(0, "A count.", "vectors", at_least=0, architecture="bi-encoder")
    shade: int | None = choice(None, "A shade.", "ranking", at_least=1, needs="color")
    name: str = "no choice"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"color": "green"}, "color='green'; expected one of red, blue"),
        ({"size": 0}, "size=0; expected a number above 0"),
        ({"size": float("nan")}, "size=nan; expected a number above 0"),
        ({"size": float("inf")}, "size=inf; expected a number above 0"),
        ({"count": -1}, "count=-1; expected 0 or more"),
        ({"shade": 0}, "shade=0; expected 1 or more"),
    ],
)
def test_check_refuses_what_a_definition_does_not_allow(given, message):
    with pytest.raises(LassError) as error:
        check(Choices(**given))
    assert one_line(error) == message


def test_check_refuses_a_choice_of_the_other_architecture():
    check(Choices(count=1))
    check(Choices(count=1), "bi-encoder")
    check(Choices(), "cross-encoder")
    with pytest.raises(LassError, match=r'count=1 needs architecture="bi-encoder"; with a cross-encoder it changes no'):
        check(Choices(count=1), "cross-encoder")


@dataclass(kw_only=True)
class Needing:
    one: str | None = choice(None, "One.", "scores")
    other: int = choice(3, "Other.", "scores", needs="one")


def test_check_refuses_a_choice_without_the_one_that_it_needs():
    check(Needing(one="x", other=4))
    check(Needing(other=3))
    with pytest.raises(LassError, match="other=4 needs one, without which it changes nothing"):
        check(Needing(other=4))


def test_choice_names_are_those_of_choices_by_what_they_affect():
    assert choice_names(Choices) == ("color", "size", "count", "shade")
    assert choice_names(Choices, affects="scores") == ("color", "size")


def test_everything_that_takes_choices_has_all_of_them():
    assert set(choice_names(LassConfig)) == set(choice_names(ModelChoices))
    assert set(choice_names(LassTrainingArguments)) == set(choice_names(TrainingChoices))
    assert set(choice_names(TrainArguments)) >= {*choice_names(ModelChoices), *choice_names(SequenceChoices)}
    assert set(PROCESSOR_CHOICES) == {*choice_names(SequenceChoices), "architecture"}
    every = {name for kind in (ModelChoices, SequenceChoices, TrainingChoices) for name in choice_names(kind)}
    assert all(set(preset) <= every for preset in PRESETS.values())


def test_each_choice_says_what_it_is():
    every = [one for kind in (ModelChoices, SequenceChoices, TrainingChoices) for one in fields(kind)]
    assert all(one.metadata["help"].endswith(".") for one in every)


@pytest.mark.parametrize("name", choice_names(ModelChoices))
def test_each_choice_of_a_model_is_in_its_fingerprint(name):
    """The values are set after the model is made, where only their types are validated: they only need to differ."""
    model, other = make_model(), make_model()
    value = getattr(other.config, name)
    setattr(other.config, name, {str: "other", bool: not value, float: 0.5}[type(value)])
    assert config_fingerprint(other.config) != config_fingerprint(model.config)
    same = vectors_fingerprint(other) == vectors_fingerprint(model)
    assert same == (name not in choice_names(ModelChoices, affects="vectors"))


@pytest.mark.parametrize("name", OLD_NAMES)
def test_no_old_name_is_a_name_of_today(name):
    assert not any(name in choice_names(kind) for kind in (ModelChoices, SequenceChoices, TrainingChoices))
    with pytest.raises(LassError, match=f"^--{name} (is now called --|was removed)") as error:
        refuse_old_names([name, "margin"], dashes="--")
    one_line(error)
