"""Settings that are chosen for a graph, its texts, an encoder and a machine."""

import numpy as np
import pytest
import yaml
from helpers.tiny import integer_graph

from lass_hf.core.errors import GraphError, ModelError
from lass_hf.runs import chosen_settings
from lass_hf.runs.chosen_settings import (
    DEFAULT_MINUTES,
    DRAWS_PER_ENTITY,
    ChosenSettings,
    choose_num_neighbors,
    choose_settings,
)
from lass_hf.training.recipes import TrainArguments
from lass_hf.training.training_args import LassTrainingArguments


def random_graph(num_triplets, num_entities=400):
    rng = np.random.default_rng(num_triplets)
    heads, tails = rng.integers(num_entities, size=(2, num_triplets))
    return integer_graph(np.stack([heads, np.zeros_like(heads), tails], axis=1), num_entities, 1)


def choose(graph, encoder, given=None, minutes=None, score_head="segments"):
    given = given or {}
    of_training = ("per_device_train_batch_size", "gradient_accumulation_steps", "num_negatives")
    chosen = {name: value for name, value in given.items() if name not in of_training}
    arguments = TrainArguments(graph="g", encoder=encoder, minutes=minutes, score_head=score_head, **chosen)
    training = LassTrainingArguments(**{name: given[name] for name in of_training if name in given}, report_to="none")
    return choose_settings(graph, arguments, training, given)


@pytest.fixture
def flops(monkeypatch):
    """Sets the operations of the machine in a second."""
    return lambda count: monkeypatch.setattr(chosen_settings, "_flops", lambda: float(count))


def test_a_batch_is_a_fortieth_of_the_training_triplets_between_bounds(encoder_folder):
    for num_triplets, size in ((30, 16), (1280, 32), (2600, 64), (30_000, 256)):
        values = choose(random_graph(num_triplets), encoder_folder).values
        assert values["per_device_train_batch_size"] == size


def test_neighbors_are_named_where_batches_leave_enough_of_them(encoder_folder):
    for num_triplets, num_entities, num_neighbors in ((2600, 400, 5), (2600, 150, 0), (30_000, 400, 0)):
        settings = choose(random_graph(num_triplets, num_entities), encoder_folder)
        assert settings.values["num_neighbors"] == num_neighbors
        assert ("names none of its own" in settings.reasons["num_neighbors"]) == (num_neighbors == 0)
    graph = random_graph(2600, 400)
    drawn = np.random.default_rng(1).integers(400, size=(1000, round(DRAWS_PER_ENTITY * 400)))
    assert np.mean([len(np.unique(row)) for row in drawn]) / 400 == pytest.approx(0.5, abs=0.01)
    assert choose_num_neighbors(graph["train"], 139) == 5
    assert choose_num_neighbors(graph["train"], 141) == 0


def test_rules_and_vectors_are_told_where_they_are_made(encoder_folder):
    graph = random_graph(100)
    for given, head, told in (
        ({}, "segments", True),
        ({"evidence": "text"}, "segments", False),
        ({}, "star", False),
        ({}, "kg-bert", False),
        ({"evidence": "text,rules"}, "kg-bert", True),
    ):
        first = choose(graph, encoder_folder, given, score_head=head).describe(given)[0]
        assert "min of training" in first
        assert ("then rules and vectors" in first) == told


def test_epochs_are_those_of_600_steps_where_time_allows(encoder_folder, flops):
    flops(1e18)
    assert choose(random_graph(7680), encoder_folder).values["num_train_epochs"] == 15  # 20 would be 600 steps
    assert choose(random_graph(30_720), encoder_folder).values["num_train_epochs"] == 5


def test_a_slower_machine_trains_shorter_and_says_what_would_be_better(encoder_folder, flops):
    graph = random_graph(30_720)
    flops(1e18)
    whole = choose(graph, encoder_folder)
    tokens = whole.tokens_per_epoch * 2  # two epochs of five in the time
    flops(1e18 * tokens / whole.tokens_per_second / (60 * DEFAULT_MINUTES))
    half = choose(graph, encoder_folder)
    assert half.values["num_train_epochs"] == 2
    assert half.minutes(2) == pytest.approx(DEFAULT_MINUTES)
    assert half.reasons["num_train_epochs"] == "all that 12 minutes allow; 5 would be better"
    longer = choose(graph, encoder_folder, minutes=24)
    assert longer.values["num_train_epochs"] == 4


def test_one_batch_is_trained_however_short_the_time(encoder_folder, flops):
    flops(1)
    values = choose(random_graph(1280), encoder_folder).values
    assert values["num_train_epochs"] == pytest.approx(32 / 1280)


def test_a_wider_encoder_learns_in_smaller_steps(encoder_folder, tmp_path):
    from transformers import AutoConfig

    width = AutoConfig.from_pretrained(encoder_folder).hidden_size
    rate = choose(random_graph(100), encoder_folder).values["learning_rate"]
    assert rate == float(f"{3e-4 * (384 / width) ** 2:.2g}")


def test_sequences_are_as_long_as_most_texts_and_shorter_where_time_is(encoder_folder, graph, flops):
    flops(1e18)
    assert choose(graph, encoder_folder).values["max_length"] == 24
    names = ["cat " * 200] * len(graph.entities)
    long = type(graph)(
        type(graph.entities)(graph.entities.kind, graph.entities.ids, names),
        graph.relations,
        {"train": (graph["train"].triplets, None)},
    )
    assert choose(long, encoder_folder).values["max_length"] == 64  # of the tiny encoder's positions


def test_a_recipe_has_the_values_the_reasons_and_what_was_given():
    settings = ChosenSettings({"margin": 7.0, "loss": "softmax"}, {"margin": "of the paper", "loss": "fast"}, 60.0, 2.0)
    assert settings.minutes(4) == 2
    recipe = settings.as_recipe("made by hand", {"loss": "mean_bce", "seed": 3})
    assert yaml.safe_load(recipe) == {"margin": 7.0, "loss": "mean_bce", "seed": 3}
    assert recipe.splitlines() == [
        "# made by hand",
        "margin: 7.0  # of the paper",
        "loss: mean_bce  # given",
        "seed: 3  # given",
    ]


def test_it_refuses_what_cannot_be_trained(encoder_folder, graph):
    with pytest.raises(ModelError, match="nowhere"):
        choose(graph, "/nowhere/at/all")
    with pytest.raises(GraphError, match="no split 'train'"):
        choose(type(graph)(graph.entities, graph.relations, {}), encoder_folder)


def test_a_cross_encoder_that_a_head_needs_has_fewer_positives_a_step(encoder_folder):
    graph = random_graph(2600)
    values = choose(graph, encoder_folder, score_head="kg-bert").values
    assert (values["architecture"], values["per_device_train_batch_size"]) == ("cross-encoder", 4)
    assert not {"normalize", "self_match_weight", "neighbor_weight"} & set(values)
    of_star = choose(graph, encoder_folder, score_head="star").values
    assert (of_star["architecture"], of_star["per_device_train_batch_size"]) == ("bi-encoder", 64)
    assert not {"normalize", "neighbor_weight"} & set(of_star)


def test_settings_fit_what_was_given(encoder_folder, flops):
    flops(1e18)
    graph = random_graph(30_720)
    alone = choose(graph, encoder_folder)
    assert alone.values["num_train_epochs"] == 5  # 600 steps of 256
    of_64 = choose(graph, encoder_folder, {"per_device_train_batch_size": 64})
    assert of_64.values["num_train_epochs"] == pytest.approx(1.2, abs=0.06)
    accumulated = choose(graph, encoder_folder, {"per_device_train_batch_size": 64, "gradient_accumulation_steps": 4})
    assert accumulated.values["num_train_epochs"] == 5
    half = choose(graph, encoder_folder, {"fraction": 0.5})
    assert half.values["num_train_epochs"] == 10
    assert half.tokens_per_epoch == pytest.approx(alone.tokens_per_epoch / 2, rel=0.05)
    assert "15,360 training triplets" in half.reasons["per_device_train_batch_size"]
    # A batch has most entities of the graph, but whoever names neighbors has sequences that are long enough for them.
    assert alone.values["num_neighbors"] == 0
    named = choose(graph, encoder_folder, {"num_neighbors": 5})
    assert named.values["num_neighbors"] == 5
    assert named.tokens_per_epoch > 1.5 * alone.tokens_per_epoch
    assert named.values["max_length"] > alone.values["max_length"]
    short = choose(graph, encoder_folder, {"num_neighbors": 5, "max_length": 8})
    assert short.values["max_length"] == 8
    assert short.tokens_per_epoch < named.tokens_per_epoch


def test_negatives_that_were_given_count_as_time(encoder_folder, flops):
    flops(1e18)
    graph = random_graph(2600)
    few, many = (choose(graph, encoder_folder, {"num_negatives": n}, score_head="kg-bert") for n in (1, 5))
    assert many.tokens_per_epoch == pytest.approx(4 * few.tokens_per_epoch, rel=0.1)  # 16 sequences, and 4
