"""Score functions with weights: the published formulas, an untrained start, training, saving, what is refused."""

import numpy as np
import pytest
import torch
from helpers.single_scores import ranks_of_single_scores
from helpers.tiny import ENCODER_CONFIGS, make_graph, make_model, make_processor, one_line, shaken
from helpers.trainings import make_trainer

from lass_hf import LassConfig, LassForKGCompletion, LassPredictor, evaluate_link_prediction
from lass_hf.core.errors import LassError
from lass_hf.core.score_functions import SCORE_FUNCTIONS
from lass_hf.runs.chosen_settings import FIXED, fixed_settings
from lass_hf.scoring.triplet_scorer import TripletScorer

NAMES = ["hyperplane", "projection", "rotation", "bilinear"]
ARCHITECTURES = ["cross-encoder", "bi-encoder"]
TEXTS = [("cat", "eats", "mouse"), ("dog", "is a", "animal"), ("mouse", "lives in", "house")]


def plain_energy(name, head, relation, tail, state):
    """The formula of a paper for one triplet, float64, with the weights of a model by their names."""
    weights = {key.rpartition(".")[2]: value.double().numpy() for key, value in state.items() if "relation_" in key}
    if name == "hyperplane":
        w = weights["normal"] @ relation
        w = w / np.sqrt((w**2).sum())
        return sum(((head - (w @ head) * w) + relation - (tail - (w @ tail) * w)) ** 2)
    if name == "projection":
        matrix = np.eye(len(head))
        for write, read in zip(weights["write"], weights["read"], strict=True):
            b = read @ relation
            matrix += np.outer(write @ relation, b / np.sqrt((b**2).sum()))
        return sum((matrix @ head + relation - matrix @ tail) ** 2)
    half = len(head) // 2
    if name == "rotation":
        rotated = (head[:half] + 1j * head[half:]) * np.exp(1j * (weights["angle"] @ relation))
        return sum(abs(rotated - (tail[:half] + 1j * tail[half:])) ** 2)
    factors = 1 + weights["factor"] @ relation
    return head @ head + tail @ tail - 2 * sum(h * m * t for h, m, t in zip(head, factors, tail, strict=True))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_are_the_published_formula(name, architecture):
    processor = make_processor(architecture=architecture)
    model = shaken(make_model(architecture=architecture, score_function=name))
    with torch.no_grad():
        outputs = model(**processor(TEXTS))
    vectors = [getattr(outputs, f"{part}_embeddings").double().numpy() for part in ("head", "relation", "tail")]
    energies = [plain_energy(name, *row, model.state_dict()) for row in zip(*vectors, strict=True)]
    if architecture == "cross-encoder":
        np.testing.assert_allclose(outputs.scores, 7 - np.array(energies) / 2 / np.sqrt(32), rtol=1e-4)
    else:  # The score is the mean of two directions, and the embeddings are those of the first.
        batch = processor(TEXTS)
        first = model(**{**batch, "pairs": batch["pairs"][:, :1]}).scores.detach()
        np.testing.assert_allclose(first, 7 - np.array(energies) / 2 / np.sqrt(32), rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_all_pairs_have_the_energies_of_single_ones(name):
    model = shaken(make_model(architecture="bi-encoder", score_function=name))
    function, random = model.score_head.function, torch.Generator().manual_seed(0)
    head, relation, tail = (torch.randn(size, 32, generator=random) for size in (5, 5, 7))
    with torch.no_grad():
        parameters = model.score_head.relation_parameters(relation)
        rows = function.row_vectors(head, parameters, torch.zeros(5, 32), torch.ones(5, dtype=torch.bool), False)
        every = function.compare_all(rows, tail)
        single = torch.stack([function.compare(rows, one.expand(5, -1)) for one in tail], dim=1)
        energies = function.compute_energy(head[:, None], parameters[:, None], tail)
    torch.testing.assert_close(every, single, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(single, energies, rtol=1e-4, atol=1e-3)
    assert rows.shape[1] == model.row_size
    assert function.has_query_vector == (name == "rotation")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("choices", [{}, {"architecture": "bi-encoder", "normalize": True}], ids=str)
def test_an_untrained_model_begins_near_the_functions_without_weights(name, choices):
    """A projection is the identity, a hyperplane lacks one of 32 directions, no angle and no factor does anything."""
    batch = make_processor(**{"architecture": choices.get("architecture", "cross-encoder")})(TEXTS)
    plain = make_model(score_function="translation", **choices)
    model = make_model(score_function=name, **choices)
    with torch.no_grad():
        if name in ("hyperplane", "projection"):
            difference = (model(**batch).scores - plain(**batch).scores).abs()
            assert difference.max() < (1e-4 if name == "projection" else 2)
        else:
            other = make_model(score_function="bilinear" if name == "rotation" else "rotation", **choices)
            torch.testing.assert_close(model(**batch).scores, other(**batch).scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_model_trains_saves_ranks_and_predicts(name, architecture, tmp_path):
    graph = make_graph()
    processor = make_processor(graph, architecture=architecture)
    model = make_model(architecture=architecture, score_function=name)
    before = {key: value.clone() for key, value in model.score_head.relation_parameters.state_dict().items()}
    choices = {"loss": "softmax", "num_train_epochs": 6, "learning_rate": 0.01}
    trainer = make_trainer(tmp_path / "out", graph, processor, model, **choices)
    loss = trainer.evaluate(graph["train"])["eval_loss"]
    trainer.train()
    assert trainer.evaluate(graph["train"])["eval_loss"] < loss
    after = model.score_head.relation_parameters.state_dict()
    assert not any(torch.equal(value, before[key]) for key, value in after.items())
    trainer.save_model()
    again = LassForKGCompletion.from_pretrained(tmp_path / "out")
    assert again.config.score_function == name
    triplets = graph["test"].triplets
    scores = [TripletScorer(one, processor.token_store(), "float32").score(triplets) for one in (model, again)]
    np.testing.assert_array_equal(*scores)
    half = LassForKGCompletion.from_pretrained(tmp_path / "out", dtype=torch.bfloat16)
    assert {weight.dtype for weight in half.score_head.parameters()} == {torch.float32}
    assert len(LassPredictor(again, processor, "float32").predict(head="cat", relation="eats", top_k=3)) == 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("normalize", [False, True])
def test_ranks_of_a_bi_encoder_are_those_of_its_single_scores(name, normalize):
    graph = make_graph()
    processor = make_processor(graph, architecture="bi-encoder")
    model = shaken(make_model(architecture="bi-encoder", score_function=name, normalize=normalize))
    result = evaluate_link_prediction(model, processor, graph, dtype="float32", quiet=True)
    assert result.ranks.tolist() == ranks_of_single_scores(model, processor, graph, result.triplets)


def test_rotation_refuses_an_odd_number_of_dimensions():
    config = ENCODER_CONFIGS["bert"]()
    config.hidden_size, config.num_attention_heads = 33, 3
    with pytest.raises(LassError) as error:
        LassForKGCompletion(LassConfig(encoder_config=config, score_function="rotation"))
    one_line(error, "'rotation'", "33", "even")


def test_chosen_settings_leave_out_what_needs_a_query_vector():
    for name, function in SCORE_FUNCTIONS.items():
        fixed = fixed_settings(name)
        assert ("neighbor_weight" in fixed) == function.has_query_vector
        config = {key: fixed[key] for key in ("architecture", "normalize", "neighbor_weight") if key in fixed}
        LassConfig(score_function=name, **config)
    with pytest.raises(LassError, match=r"neighbor_weight=0.3 with score_function='hyperplane'"):
        LassConfig(score_function="hyperplane", architecture="bi-encoder", neighbor_weight=FIXED["neighbor_weight"])
