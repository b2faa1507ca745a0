"""What the record of a training lists: choices that somebody made, and those that every card has."""

import pytest
from helpers.tiny import make_model, wordpiece_tokenizer

from lass_hf import LassProcessor, LassTrainingArguments
from lass_hf.training.recipes import CHOICES
from lass_hf.training.run_metadata import NO_CHOICE, record_by_hand


def choices_of(folder, **given):
    training = LassTrainingArguments(output_dir=str(folder), **given)
    return record_by_hand(make_model().config, LassProcessor(wordpiece_tokenizer()), training)["choices"]


def test_a_training_by_hand_lists_no_choice_that_nobody_made(tmp_path):
    named = {name for name in CHOICES if not name.startswith(NO_CHOICE)} - {"dropout", "long_text"}  # not known of it
    assert choices_of(tmp_path).keys() == named | {"positives_per_step"}


@pytest.mark.parametrize("given", [{"activation_checkpointing": True}, {"weight_decay": 0.5}, {"adam_beta1": 0.8}])
def test_a_training_by_hand_lists_what_was_chosen(given, tmp_path):
    assert choices_of(tmp_path, **given).items() - choices_of(tmp_path).items() == given.items()


def test_a_training_by_hand_lists_what_was_chosen_later(tmp_path):
    training = LassTrainingArguments(output_dir=str(tmp_path))
    training.activation_checkpointing = True
    record = record_by_hand(make_model().config, LassProcessor(wordpiece_tokenizer()), training)
    assert record["choices"]["activation_checkpointing"] is True
