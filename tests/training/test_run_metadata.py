"""Run metadata: the choices that somebody made, and those that every card has."""

import pytest
from helpers.tiny import make_model, wordpiece_tokenizer

from lass_hf import LassProcessor, LassTrainingArguments
from lass_hf.training.run_metadata import trainer_metadata

# The rows of every card's table of choices.
EVERY_CARD = {
    *("encoder", "margin", "distance_scale", "separators", "max_length"),
    *(
        "loss",
        "score_function",
        "num_negatives",
        "corruption",
        "replacement",
        "positives_per_step",
        "num_train_epochs",
        "max_steps",
    ),
    *("learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "adam_epsilon"),
}


def choices_of(training, **choices):
    return trainer_metadata(make_model(**choices).config, LassProcessor(wordpiece_tokenizer()), training)["choices"]


def arguments(folder, **given):
    return LassTrainingArguments(output_dir=str(folder), **given)


def test_a_training_by_hand_lists_no_choice_that_nobody_made(tmp_path):
    assert choices_of(arguments(tmp_path)).keys() == EVERY_CARD


@pytest.mark.parametrize("given", [{"activation_checkpointing": True}, {"weight_decay": 0.5}, {"pseudo_typed": True}])
def test_a_training_by_hand_lists_what_was_chosen(given, tmp_path):
    chosen = choices_of(arguments(tmp_path, **given)).items() - choices_of(arguments(tmp_path)).items()
    assert chosen == given.items()


@pytest.mark.parametrize("given", [{"eval_triplets": 3}, {"logging_steps": 7}, {"save_only_model": True}, {"seed": 3}])
def test_what_no_model_depends_on_is_no_choice(given, tmp_path):
    assert choices_of(arguments(tmp_path, **given)) == choices_of(arguments(tmp_path))


def test_choices_of_a_model_are_listed_by_their_names(tmp_path):
    given = {"architecture": "bi-encoder", "normalize": True, "self_match_weight": 0.1, "frequency_weight": 2.0}
    chosen = choices_of(arguments(tmp_path), **given)
    assert chosen.items() >= given.items()
    assert chosen.keys() == EVERY_CARD | given.keys()


def test_a_training_by_hand_lists_what_was_chosen_later(tmp_path):
    training = arguments(tmp_path)
    training.activation_checkpointing = True
    assert choices_of(training)["activation_checkpointing"] is True
