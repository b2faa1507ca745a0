"""Score heads: the published formulas, training, ranking, saving and what is refused; and one of your own."""

import numpy as np
import pytest
import torch
from helpers.single_scores import ranks_of_single_scores
from helpers.tiny import make_graph, make_model, make_processor, one_line, shaken
from helpers.trainings import make_trainer

from lass_hf import (
    LassConfig,
    LassForKGCompletion,
    LassPredictor,
    ScoreHead,
    evaluate_link_prediction,
    evaluate_triplet_classification,
    register_score_head,
)
from lass_hf.cli.commands import main
from lass_hf.core.errors import LassError
from lass_hf.core.score_heads import SCORE_HEADS
from lass_hf.runs.chosen_settings import fixed_settings
from lass_hf.scoring.triplet_scorer import TripletScorer
from lass_hf.training.hard_negatives import mine_hard_negatives

ARCHITECTURE = {"kg-bert": "cross-encoder", "star": "bi-encoder"}
TEXTS = [("cat", "eats", "mouse"), ("dog", "is a", "animal"), ("mouse", "lives in", "house")]


@pytest.fixture
def dot():
    """Registers <u, v> of means over the whole sequence, with a map of the answers that only the head knows."""

    @register_score_head("dot")
    class DotHead(ScoreHead):
        architectures = ("bi-encoder",)

        def __init__(self, config):
            super().__init__(config)
            self.map = torch.nn.Parameter(torch.eye(self.size))

        def pool(self, hidden, segment_ids):
            is_text = (segment_ids > 0).float()[..., None]
            return (hidden.float() * is_text).sum(1) / is_text.sum(1)

        def row_vectors(self, pooled, is_query):
            return torch.where(is_query[:, None], pooled, pooled @ self.map)

        def compare(self, queries, entities, factor):
            return factor * (queries * entities).sum(-1)

    yield "dot"
    del SCORE_HEADS["dot"]


def make_pair(head, **choices):
    """A model with random weights, and its processor."""
    architecture = ARCHITECTURE.get(head, "bi-encoder")
    graph = make_graph()
    model = shaken(make_model(architecture=architecture, score_head=head, **choices))
    return model, make_processor(graph, architecture=architecture), graph


def first_outputs(model, batch):
    """The encoder's output for the first token of each sequence, float64, from the encoder alone."""
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        return model.encoder(**inputs).last_hidden_state[:, 0].double().numpy()


def test_kg_bert_is_a_linear_layer_over_the_first_token():
    model, processor, _ = make_pair("kg-bert")
    batch = processor(TEXTS)
    weight, bias = (value.double().numpy() for value in model.score_head.state_dict().values())
    outputs = model(**batch)
    np.testing.assert_allclose(outputs.scores.detach(), first_outputs(model, batch) @ weight + bias, rtol=1e-4)
    assert outputs.head_embeddings is None


@pytest.mark.parametrize("distance_scale", ["sqrt_dim", "none"])
def test_star_is_a_classifier_of_four_vectors_and_a_distance(distance_scale):
    model, processor, _ = make_pair("star", distance_scale=distance_scale, margin=2.0)
    batch = processor(TEXTS)
    weight, bias = (value.double().numpy() for value in model.score_head.state_dict().values())
    first, factor = first_outputs(model, batch), 32**-0.5 if distance_scale == "sqrt_dim" else 1

    def score(query, entity):
        u, v = first[query], first[entity]
        features = np.concatenate([u, u * v, u - v, v])
        return features @ weight.reshape(-1) + bias[0] + 2 - factor / 2 * ((u - v) ** 2).sum()

    expected = [np.mean([score(*pair) for pair in pairs]) for pairs in batch["pairs"].tolist()]
    np.testing.assert_allclose(model(**batch).scores.detach(), expected, rtol=1e-4)


@pytest.mark.parametrize("head", ["kg-bert", "star", "dot"])
def test_ranks_are_those_of_single_scores(head, dot):
    model, processor, graph = make_pair(head)
    result = evaluate_link_prediction(model, processor, graph, dtype="float32", quiet=True)
    assert result.ranks.tolist() == ranks_of_single_scores(model, processor, graph, result.triplets)


@pytest.mark.parametrize("loss", ["softmax", "negative_sampling"])
@pytest.mark.parametrize("head", ["kg-bert", "star", "dot"])
def test_a_model_trains_saves_classifies_and_predicts(head, loss, dot, tmp_path):
    architecture, graph = ARCHITECTURE.get(head, "bi-encoder"), make_graph()
    processor = make_processor(graph, architecture=architecture)
    model = make_model(architecture=architecture, score_head=head)
    choices = {"loss": loss, "num_train_epochs": 8, "learning_rate": 0.003, "optim": "adamw_torch"}
    trainer = make_trainer(tmp_path / "out", graph, processor, model, **choices)
    before = trainer.evaluate(graph["train"])["eval_loss"]
    trainer.train()
    assert trainer.evaluate(graph["train"])["eval_loss"] < before
    trainer.save_model()
    again = LassForKGCompletion.from_pretrained(tmp_path / "out")
    assert again.config.score_head == head
    scores = [
        TripletScorer(one, processor.token_store(), "float32").score(graph["test"].triplets) for one in (model, again)
    ]
    np.testing.assert_array_equal(*scores)
    half = LassForKGCompletion.from_pretrained(tmp_path / "out", dtype=torch.bfloat16)
    assert {weight.dtype for weight in half.score_head.parameters()} == {torch.float32}
    predictions = LassPredictor(again, processor, "float32").predict(head="cat", relation="eats", top_k=3)
    assert predictions == LassPredictor(model, processor, "float32").predict(head="cat", relation="eats", top_k=3)
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"`{head}` is the name of the score head" in card
    assert "h + r" not in card


@pytest.mark.parametrize("head", ["kg-bert", "star"])
def test_a_model_classifies_triplets(head, labeled_graph):
    model, processor, _ = make_pair(head)
    result = evaluate_triplet_classification(model, processor, labeled_graph, quiet=True)
    assert 0 <= result.metrics["accuracy"] <= 1


REFUSED = [
    ({"score_head": "kg-bret"}, ("score_head='kg-bret'", "kg-bert", "@register_score_head('kg-bret')")),
    ({"score_head": "kg-bert", "score_function": "rotation"}, ("score_function='rotation'", "'kg-bert'")),
    ({"score_head": "kg-bert", "margin": 3.0}, ("margin=3.0", "'kg-bert'")),
    ({"score_head": "kg-bert", "distance_scale": "none"}, ("distance_scale='none'", "'kg-bert'")),
    ({"score_head": "kg-bert", "architecture": "bi-encoder"}, ("'kg-bert'", 'architecture="cross-encoder"')),
    ({"score_head": "star"}, ("'star'", 'architecture="bi-encoder"')),
    ({"score_head": "star", "architecture": "bi-encoder", "normalize": True}, ("normalize=True", "'star'")),
    ({"score_head": "star", "architecture": "bi-encoder", "neighbor_weight": 0.3}, ("neighbor_weight=0.3", "'star'")),
]


@pytest.mark.parametrize(("choices", "parts"), REFUSED, ids=[str(case[0]) for case in REFUSED])
def test_what_a_head_cannot_use_is_refused(choices, parts):
    with pytest.raises(LassError) as error:
        LassConfig(**choices)
    one_line(error, *parts)


def test_the_command_line_refuses_in_one_line(tmp_path, graph_folder, encoder_folder, capsys):
    arguments = [
        "train",
        "--graph",
        str(graph_folder),
        "--encoder",
        encoder_folder,
        "--output_dir",
        str(tmp_path / "out"),
    ]
    assert main([*arguments, "--score_head", "kg-bert", "--score_function", "rotation", "--quiet"]) == 2
    assert "score_function='rotation' with score_head='kg-bert'" in capsys.readouterr().err.strip().splitlines()[-1]


def test_an_index_finds_no_nearest_answers_of_star():
    model, processor, graph = make_pair("star")
    with pytest.raises(LassError, match="score_head='star' of the retriever"):
        mine_hard_negatives(TripletScorer(model, processor.token_store()), graph["train"], 3, quiet=True)


@pytest.mark.parametrize("head", ["kg-bert", "star"])
def test_chosen_settings_fit_the_head(head):
    fixed = fixed_settings(score_head=head)
    choices = {name: fixed[name] for name in fixed.keys() & set(LassConfig.__dataclass_fields__)}
    assert choices["architecture"] == ARCHITECTURE[head]
    LassConfig(score_head=head, **choices)


def test_a_name_that_is_taken_is_refused(dot):
    with pytest.raises(LassError, match="'star' is registered already"):
        register_score_head("star")(SCORE_HEADS["dot"])
    register_score_head("dot")(SCORE_HEADS["dot"])
