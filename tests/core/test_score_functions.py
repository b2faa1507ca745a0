"""Another score function is one function and its name: registered here, it trains, ranks and predicts."""

import numpy as np
import pytest
import torch
from helpers.tiny import make_graph, make_model, make_processor, one_line
from helpers.trainings import make_trainer

from lass_hf import LassConfig, LassForKGCompletion, LassPredictor, evaluate_link_prediction
from lass_hf.core.errors import LassError
from lass_hf.core.score_functions import SCORE_FUNCTIONS, register_score_function
from lass_hf.scoring.triplet_scorer import TripletScorer
from lass_hf.training.hard_negatives import mine_hard_negatives


@pytest.fixture
def manhattan():
    """Registers |h + r - t| while a test runs."""

    @register_score_function("manhattan")
    def energy(head, relation, tail):
        return (head + relation - tail).abs().sum(-1)

    yield "manhattan"
    del SCORE_FUNCTIONS["manhattan"]


def scores_by_hand(model, processor, texts):
    """Eq. 1 with the new energy, from the embeddings of a forward pass, float64."""
    with torch.no_grad():
        outputs = model(**processor(texts))
    names = ("head_embeddings", "relation_embeddings", "tail_embeddings")
    head, relation, tail = (getattr(outputs, name).double().numpy() for name in names)
    energy = np.abs(head + relation - tail).sum(-1)
    return outputs.scores.numpy(), model.config.margin - energy / 2 / np.sqrt(head.shape[-1])


def test_scores_of_a_cross_encoder_are_those_of_the_function(manhattan, processor):
    found, expected = scores_by_hand(make_model(score_function=manhattan), processor, [("cat", "eats", "mouse")] * 2)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("normalize", [False, True])
def test_ranks_of_a_bi_encoder_are_those_of_its_single_scores(manhattan, normalize):
    graph = make_graph()
    processor = make_processor(graph, architecture="bi-encoder")
    model = make_model(architecture="bi-encoder", score_function=manhattan, normalize=normalize)
    result = evaluate_link_prediction(model, processor, graph, dtype="float32", quiet=True)
    scorer = TripletScorer(model, processor.token_store(), "float32")
    expected = []
    for slot in (0, 2):
        for triplet in result.triplets:
            rivals = np.repeat(triplet[None], graph.num_entities, axis=0)
            rivals[:, slot] = np.arange(graph.num_entities)
            rivals = rivals[~graph.known.contains(rivals)]
            rivals = rivals[np.isin(rivals[:, slot], graph.candidates[slot])]
            scores = scorer.score(rivals, slot)
            expected.append(1 + (scores > scorer.score(triplet[None], slot)).sum())
    assert result.ranks.tolist() == expected


@pytest.mark.parametrize("architecture", ["cross-encoder", "bi-encoder"])
def test_a_model_trains_saves_and_predicts_with_the_function(manhattan, architecture, tmp_path):
    graph = make_graph()
    processor = make_processor(graph, architecture=architecture)
    model = make_model(architecture=architecture, score_function=manhattan)
    choices = {"loss": "negative_sampling", "num_train_epochs": 8, "learning_rate": 0.02}
    trainer = make_trainer(tmp_path / "out", graph, processor, model, **choices)
    before = trainer.evaluate(graph["train"])["eval_loss"]
    trainer.train()
    assert trainer.evaluate(graph["train"])["eval_loss"] < before
    trainer.save_model()
    again = LassForKGCompletion.from_pretrained(tmp_path / "out")
    assert again.config.score_function == manhattan
    predictions = LassPredictor(again, processor, "float32").predict(head="cat", relation="eats", top_k=3)
    assert predictions == LassPredictor(model, processor, "float32").predict(head="cat", relation="eats", top_k=3)


def test_an_unknown_function_is_refused_by_name():
    with pytest.raises(LassError) as error:
        LassConfig(score_function="rotatoin")
    one_line(error, "score_function='rotatoin'", "translation", "@register_score_function('rotatoin')")


@pytest.fixture
def unit_heads():
    """Registers ||h/|h| + r + 1 - t||^2, whose query vector is undefined at 0 and not 0 elsewhere."""

    def query(head, relation):
        return head / head.norm(dim=-1, keepdim=True) + relation + 1

    @register_score_function("unit heads", query=query)
    def energy(head, relation, tail):
        return (query(head, relation) - tail).square().sum(-1)

    yield "unit heads"
    del SCORE_FUNCTIONS["unit heads"]


def test_a_query_vector_may_be_anything_where_an_entity_has_no_head(unit_heads):
    graph = make_graph()
    processor = make_processor(graph, architecture="bi-encoder")
    model = make_model(architecture="bi-encoder", score_function=unit_heads)
    batch = processor([("cat", "eats", "mouse"), ("dog", "is a", "animal")])
    outputs = model(**batch, labels=torch.tensor([1, 0]))
    head, relation, tail = (
        outputs.head_embeddings.double(),
        outputs.relation_embeddings.double(),
        outputs.tail_embeddings.double(),
    )
    query = head / head.norm(dim=-1, keepdim=True) + relation + 1
    torch.testing.assert_close(outputs.embeddings[batch["pairs"][:, 0, 0]].double(), query, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(outputs.embeddings[batch["pairs"][:, 0, 1]].double(), tail, rtol=1e-5, atol=1e-5)
    outputs.loss.backward()
    assert all(torch.isfinite(one.grad).all() for one in model.parameters() if one.grad is not None)


def test_what_needs_a_query_vector_is_refused_without_one(manhattan, tmp_path):
    graph = make_graph()
    with pytest.raises(LassError) as error:
        make_model(architecture="bi-encoder", score_function=manhattan, neighbor_weight=0.5)
    one_line(error, "neighbor_weight=0.5", "score_function='manhattan'")
    model = make_model(architecture="bi-encoder", score_function=manhattan)
    processor = make_processor(graph, architecture="bi-encoder")
    model.config.neighbor_weight = 0.5
    with pytest.raises(LassError, match=r"neighbor_weight=0.5 with score_function='manhattan'"):
        evaluate_link_prediction(model, processor, graph, quiet=True)
    with pytest.raises(LassError, match=r"score_function='manhattan' of the retriever"):
        mine_hard_negatives(TripletScorer(model, processor.token_store()), graph["train"], 3, quiet=True)


def test_a_name_that_is_taken_is_refused_and_a_notebook_may_run_its_cell_again(manhattan):
    with pytest.raises(LassError, match="'translation' is registered already"):
        register_score_function("translation")(lambda head, relation, tail: head)
    register_score_function(manhattan)(SCORE_FUNCTIONS[manhattan].energy)


def test_an_energy_of_another_shape_is_named(processor):
    register_score_function("not summed")(lambda head, relation, tail: head + relation - tail)
    try:
        with pytest.raises(LassError) as error:
            make_model(score_function="not summed")(**processor([("cat", "eats", "mouse")]))
    finally:
        del SCORE_FUNCTIONS["not summed"]
    one_line(error, "'not summed' returned energies of shape (1, 32); expected (1,)")


class WithoutSize(torch.nn.Module):
    """Weights that are not made with k."""

    def __init__(self):
        super().__init__()


@pytest.mark.parametrize(
    ("energy", "choices", "told"),
    [
        (lambda head, tail: head, {}, "wrong takes (head, tail); expected (head, relation, tail)"),
        (lambda h, r, t: h, {"query": lambda head: head}, "wrong: query takes (head); expected (head, relation)"),
        (
            lambda h, r, t: h,
            {"query": lambda h, r: h, "query_energy": lambda u, t: u},
            "query_energy takes (u, t); expected (query, relation, tail)",
        ),
        (lambda h, r, t: h, {"all_energies": lambda u, *, r: u}, "expected (queries, relations, tails)"),
        (lambda h, r, t: h, {"parameters": WithoutSize}, "parameters takes (); expected (dim)"),
    ],
)
def test_functions_of_other_arguments_are_refused_when_registered(energy, choices, told):
    with pytest.raises(LassError) as error:
        register_score_function("wrong", **choices)(energy)
    one_line(error, told)
    assert "wrong" not in SCORE_FUNCTIONS


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"query": lambda h, r: h, "all_energies": lambda q, r, t: q}, "all_energies changes nothing"),
        ({"query_energy": lambda u, r, t: u}, "query_energy needs query"),
    ],
)
def test_functions_that_are_never_called_are_refused(choices, told):
    with pytest.raises(LassError) as error:
        register_score_function("wrong", **choices)(lambda h, r, t: h)
    one_line(error, "wrong", told)
    assert "wrong" not in SCORE_FUNCTIONS
