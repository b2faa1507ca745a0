"""Run metadata: the choices that somebody made, and those that every card has."""

import pytest
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from helpers.tiny import make_model, wordpiece_tokenizer

from lass_hf import LassProcessor, LassTrainingArguments
from lass_hf.training.recipes import parse_training
from lass_hf.training.run_metadata import collect_run_metadata, trainer_metadata

# The rows of every card's table of choices.
EVERY_CARD = {
    *("encoder", "score_head", "score_function", "margin", "distance_scale", "separators", "max_length"),
    *("loss", "num_negatives", "corruption", "replacement", "positives_per_step", "num_train_epochs", "max_steps"),
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


# A training by a recipe


def by_recipe(tmp_path, graph, recipe, *flags):
    """The metadata of a training by a recipe and flags, with accelerate's state of before and after."""
    file = tmp_path / "mine.yaml"
    file.write_text(recipe, encoding="utf-8")
    required = ["--graph", "animals", "--encoder", "tiny", "--output_dir", str(tmp_path / "out"), "--report_to", "none"]
    parsed = parse_training([str(file), *required, *flags])
    Accelerator(cpu=True)
    before = AcceleratorState._shared_state.copy(), PartialState._shared_state.copy()
    metadata = collect_run_metadata(*parsed, graph)
    assert (AcceleratorState._shared_state, PartialState._shared_state) == before
    return metadata


def test_others_can_load_a_graph_by_a_name_and_not_by_a_place_here(tmp_path, graph):
    (tmp_path / "pets.tsv").touch()
    assert by_recipe(tmp_path, graph, "margin: 3.0\n")["load_graph"] == "animals"
    for place in (tmp_path, tmp_path / "pets.tsv"):
        metadata = by_recipe(tmp_path, graph, "margin: 3.0\n", "--graph", str(place))
        assert (metadata["graph"], metadata["load_graph"]) == (place.name, None)


def test_metadata_leave_the_state_of_accelerate_as_it_is(tmp_path, graph):
    assert by_recipe(tmp_path, graph, "margin: 3.0\n")["changed"] == {}


RECIPE = "preset: published_code\nlr_scheduler_type: cosine\nlr_scheduler_kwargs: {num_cycles: 2}\noptim: sgd\n"


@pytest.mark.parametrize(
    ("flags", "changed"),
    [
        ([], {}),
        (["--margin", "3", "--separators", "true"], {"margin": 3.0, "separators": True}),
        (["--lr_scheduler_kwargs", '{"num_cycles": 3}'], {"lr_scheduler_kwargs": {"num_cycles": 3}}),
        (["--optim", "adamw_torch_fused"], {"optim": "default"}),
        (["--gradient_accumulation_steps", "2"], {"positives_per_step": 16}),
    ],
)
def test_what_flags_set_otherwise_than_the_recipe_is_changed(flags, changed, tmp_path, graph):
    metadata = by_recipe(tmp_path, graph, RECIPE, *flags)
    assert metadata["recipe"] == "mine"
    assert metadata["changed"] == changed
    assert metadata["choices"]["lr_scheduler_kwargs"]["num_cycles"] in (2, 3)


def test_a_recipe_may_lack_what_a_flag_gives(tmp_path, graph):
    """The recipe alone would be refused."""
    metadata = by_recipe(tmp_path, graph, "normalize: true\n", "--architecture", "bi-encoder", "--loss", "softmax")
    assert metadata["changed"] == {"architecture": "bi-encoder", "loss": "softmax"}
