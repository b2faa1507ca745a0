"""A reranker's training without settings: what is chosen, what it costs, what is said, kept and refused."""

import numpy as np
import pytest
import yaml
from helpers.command_line import run
from helpers.tiny import integer_graph, make_graph, make_model, make_processor, write_graph

from lass_hf import LassForKGCompletion, LassProcessor
from lass_hf.runs import automatic, chosen_settings
from lass_hf.runs.automatic import plan_training
from lass_hf.runs.reranker_settings import MOST_EPOCHS, choose_reranker_settings
from lass_hf.scoring.triplet_scorer import TripletScorer
from lass_hf.training.data_collators import KGDataCollator
from lass_hf.training.hard_negatives import mine_hard_negatives
from lass_hf.training.recipes import parse_training


def save(folder, graph, **choices):
    make_model(**choices).save_pretrained(folder)
    make_processor(graph, **choices).save_pretrained(folder)
    return folder


@pytest.fixture
def retriever(tmp_path):
    return save(tmp_path / "retriever", make_graph(), architecture="bi-encoder")


@pytest.fixture
def flops(monkeypatch):
    """Sets the operations of the machine in a second."""
    return lambda count: monkeypatch.setattr(chosen_settings, "_flops", lambda: float(count))


@pytest.fixture
def large(tmp_path):
    """A graph of 3,000 triplets, and its retriever."""
    rng = np.random.default_rng(0)
    heads, tails = rng.integers(400, size=(2, 3000))
    graph = integer_graph(np.stack([heads, np.zeros_like(heads), tails], axis=1), 400, 1)
    return graph, save(tmp_path / "large", graph, architecture="bi-encoder")


def choose(graph, retriever, *flags, **given):
    argv = ["--graph", "g", "--output_dir", "o", "--retriever", str(retriever), *flags]
    argv += [text for name, value in given.items() for text in (f"--{name}", str(value))]
    fixed = {"encoder": str(retriever), **automatic.FIXED_OF_RERANKER}
    arguments, training = parse_training(argv, chosen=fixed)
    return choose_reranker_settings(graph, arguments, training, given)


def numbers(line):
    """The numbers of a line of costs."""
    words = (word.strip(",;").replace(",", "") for word in line.split())
    return [int(word) for word in words if word.isdigit()]


def test_training_takes_the_share_of_triplets_that_the_time_allows(large, flops):
    flops(1e18)
    whole = choose(*large)
    assert (whole.values["fraction"], whole.values["num_train_epochs"]) == (1.0, MOST_EPOCHS)
    assert whole.values["num_neighbors"] == 5  # a batch of 32 has few of 400 entities
    flops(1e18 * whole.tokens_per_epoch / 3 / whole.tokens_per_second / 3600)  # a third of an epoch in an hour
    third = choose(*large)
    assert third.values["num_train_epochs"] == 1
    assert 0.2 < third.values["fraction"] < 1 / 3  # mining takes some of the time
    assert 50 < third.total_minutes <= 60
    assert "all that 60 minutes allow; 1 would be better" in third.reasons["fraction"]
    double = choose(*large, "--minutes", "120")
    assert double.values["fraction"] / third.values["fraction"] == pytest.approx(2, rel=0.2)
    assert 100 < double.total_minutes <= 120
    flops(1)
    assert choose(*large).values["fraction"] * 3000 >= 15  # a batch, however short the time


def test_the_costs_are_those_of_the_tokens_that_are_encoded(large, flops):
    graph, retriever = large
    flops(1e18)
    settings = choose(graph, retriever, fraction=0.2, num_train_epochs=1, num_neighbors=1)
    mining, training = settings.costs
    processor = LassProcessor.from_pretrained(retriever)
    scorer = TripletScorer(LassForKGCompletion.from_pretrained(retriever), processor.token_store(graph), "float32")
    part = graph["train"].sample(0.2, 42)
    found = mine_hard_negatives(scorer, part, quiet=True)
    _, num_queries, tokens, num_entities = numbers(mining)[:4]
    assert num_queries == sum(map(len, found.queries.values()))
    assert tokens == pytest.approx(scorer.tokens, rel=0.01)  # which counts padding, too
    assert num_entities == 400
    longest = settings.values["max_length"]
    sequences = LassProcessor.from_encoder(str(retriever), graph, num_neighbors=1, max_length=longest)
    collator = KGDataCollator(sequences, graph, 15, "head_or_tail", pseudo_typed=True, corrupt_false=True)
    batches = [collator(part.select(np.arange(start, start + 32))) for start in range(0, 576, 32)]
    expected = sum(int(batch["attention_mask"].sum()) for batch in batches) * 600 / 576
    num_trained, num_all, num_negatives, tokens = numbers(training)[:4]
    assert (num_trained, num_all, num_negatives) == (600, 6000, 15)
    assert tokens == pytest.approx(expected, rel=0.05)


def test_no_neighbor_is_named_where_a_batch_has_most_entities(graph, retriever):
    """The graph has fewer entities than 16 triplets can have."""
    assert choose(graph, retriever).values["num_neighbors"] == 0
    assert choose(graph, retriever, num_neighbors=2).values["num_neighbors"] == 2


def test_what_is_given_is_used_for_the_costs(large):
    settings = choose(*large, max_steps=10, per_device_train_batch_size=8, num_negatives=13)
    assert numbers(settings.costs[1])[:3] == [80, 6000, 13]
    assert numbers(choose(*large, fraction=0.5, num_train_epochs=2).costs[1])[:2] == [3000, 6000]


def test_a_graph_and_a_retriever_are_enough(graph_folder, retriever, tmp_path, capsys):
    one, other = tmp_path / "one", tmp_path / "other"
    flags = ["--report_to", "none", "--max_steps", 2, "--save_strategy", "no"]
    command = ["train", "--graph", graph_folder, "--retriever", retriever, "--output_dir", one, *flags]
    assert run(*command, "--learning_rate", "1e-3") == 0
    shown = capsys.readouterr()
    assert "settings of a reranker are chosen for this graph and this machine: about 1 min" in shown.err
    assert f"mining: the 9 best wrong answers of {retriever} to " in shown.err
    assert "training: 32 queries, of 28 that there are, each with 15 negatives" in shown.err
    assert "learning_rate 0.001: given" in shown.err
    assert f"--rerank {one} --rerank_top_k 9 --graph" in shown.out
    recipe = yaml.safe_load((one / "recipe.yaml").read_text())
    assert (recipe["architecture"], recipe["loss"], recipe["num_mined"]) == ("cross-encoder", "softmax", 12)
    assert recipe["encoder"] == recipe["retriever"] == str(retriever)
    assert run("train", one / "recipe.yaml", "--graph", graph_folder, "--output_dir", other, *flags, "--quiet") == 0
    weights = [LassForKGCompletion.from_pretrained(folder).state_dict() for folder in (one, other)]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])
    assert run("evaluate", "--model", retriever, "--rerank", one, "--graph", graph_folder, "--quiet") == 0


def test_the_encoder_can_be_another_one(graph_folder, retriever, encoder_folder):
    argv = ["--graph", str(graph_folder), "--output_dir", str(retriever.parent / "out"), "--quiet"]
    plan = plan_training([*argv, f"--retriever={retriever}", "--encoder", str(encoder_folder)])
    assert (plan.arguments.encoder, plan.training.num_negatives) == (str(encoder_folder), 15)


def test_a_schedule_without_warmup_gets_none(graph_folder, retriever):
    argv = ["--graph", str(graph_folder), "--output_dir", "o", f"--retriever={retriever}", "--lr_scheduler_type=greedy"]
    assert plan_training([*argv, "--eval_strategy=epoch"]).training.warmup_steps == 0


@pytest.mark.parametrize("named", [(), ("--architecture", "cross-encoder")])
def test_a_retriever_that_does_not_fit_is_refused_before_the_work(named, graph_folder, retriever, tmp_path, bad_input):
    def refused(graph, model, *flags):
        chosen = ["--encoder", model, *named]
        return bad_input(
            "train", "--graph", graph, "--output_dir", tmp_path / "o", "--retriever", model, *chosen, *flags
        )

    cross_encoder = save(tmp_path / "cross", make_graph())
    assert "cross: a cross-encoder; expected a bi-encoder" in refused(graph_folder, cross_encoder, "--num_mined", 2)
    line = refused(graph_folder, retriever, "--num_mined", 2, "--mining_depth", 51)
    assert "mining_depth=51; expected at most 9, the most wrong answers of a query among the 10 entities" in line
    texts = {name: f"a {name}" for name in ("oak", "elm", "ash")}
    lines = [("oak", "eats", "elm"), ("elm", "eats", "ash")]
    other = write_graph(tmp_path / "trees", lines, [], [], entity_text=texts)
    line = refused(other, retriever, "--num_mined", 2)
    assert "--retriever" in line
    assert "the model is that of another graph, with 10 entities" in line


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--num_negatives", 5), "num_mined=12; expected 1 to num_negatives, 5"),
        (("--normalize", "true"), 'normalize=True needs architecture="bi-encoder"'),
    ],
)
def test_flags_that_do_not_fit_what_is_chosen_are_refused(flags, message, graph_folder, retriever, tmp_path, bad_input):
    command = ("train", "--graph", graph_folder, "--output_dir", tmp_path / "o", "--retriever", retriever)
    assert message in bad_input(*command, *flags)
