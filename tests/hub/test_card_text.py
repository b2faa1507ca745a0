"""The model card: it describes the training and the evaluation, its snippets run, and its metadata is valid."""

import json
import re
import shlex

import numpy as np
import pytest
from helpers.cards import card_trainer, fences, tables, text_of
from helpers.tiny import ENTITY_TEXT, TEST, TRAIN, VALIDATION, make_graph, make_model
from helpers.trainings import trainer_of
from huggingface_hub import ModelCard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lass_hf import KnowledgeGraph, LassForKGCompletion, LassProcessor, register_score_function
from lass_hf.cli.commands import main
from lass_hf.core.score_functions import SCORE_FUNCTIONS
from lass_hf.hub.card_files import CARD_DATA_FILE, CARD_FILE, read_card_data, render_shared_card
from lass_hf.hub.card_text import render_model_card


@pytest.fixture(scope="module")
def folder(tmp_path_factory, graph_folder, encoder_folder):
    """Trains a model with `lass-hf train`; tests must not change the folder."""
    folder = tmp_path_factory.mktemp("trained") / "animals"
    short = {"num_train_epochs": 1, "per_device_train_batch_size": 7, "save_strategy": "no", "report_to": "none"}
    flags = [f"--{name}={value}" for name, value in short.items()]
    choices = ["--preset", "paper", "--num_negatives", "2", "--eval_strategy", "epoch", "--seed", "7"]
    argv = ["--graph", str(graph_folder), "--encoder", encoder_folder, "--output_dir", str(folder)]
    assert main(["train", *argv, *flags, *choices, "--quiet"]) == 0
    return folder


def test_card_describes_the_training(folder, encoder_folder):
    text = text_of(folder)
    assert text.startswith("---\n")
    assert "# animals\n" in text
    for statement in (
        "10 entities and 3 relations",
        "Seed: 7",
        "2 steps, 1 epoch of 14 triplets",
        "[SEP] relation [SEP]",
    ):
        assert statement in text, statement
    split_table = next(table for table in tables(text) if table[0][0] == "split")
    assert split_table[2:] == [["train", "14", "14", "0"], ["validation", "3", "3", "0"], ["test", "3", "3", "0"]]
    choices = {row[0]: row[1:] for row in next(table for table in tables(text) if table[0][0] == "choice")[2:]}
    assert choices["`distance_scale`"] == ["none", "none", "sqrt_dim"]
    assert choices["`num_negatives`"] == ["2", "5", "5"]
    assert choices["`positives_per_step`"] == ["7", "", ""]
    assert "differs from the paper's in `num_negatives`" in text
    training = json.loads((folder / "training.json").read_text())
    assert f"Duration: {training['metrics']['train_runtime']:.1f} s" in text
    assert f"torch {training['versions']['torch']}" in text
    for file in (CARD_FILE, CARD_DATA_FILE):  # A shared card names no path of this machine.
        assert str(folder.parent) not in (folder / file).read_text()
        assert encoder_folder not in (folder / file).read_text()


def test_card_has_the_evaluation_of_these_weights_with_its_protocol(folder):
    log = json.loads((folder / "training.json").read_text())["log"]
    last = next(entry for entry in reversed(log) if "eval_mrr" in entry)
    text = text_of(folder)
    for statement in (
        "Link prediction: validation split",
        "6 queries",
        "train + validation + test (filtered)",
        "(realistic)",
    ):
        assert statement in text, statement
    both = next(table for table in tables(text) if table[0][1] == "MR")[2]
    names = ("mr", "mrr", "hits@1", "hits@3", "hits@10", "amri")
    assert both == ["both sides", *(f"{last[f'eval_{name}']:.3f}" for name in names)]
    result = ModelCard(text).data.eval_results
    assert {one.metric_type: one.metric_value for one in result} == {name: last[f"eval_{name}"] for name in names}
    assert {(one.task_type, one.dataset_split) for one in result} == {("link-prediction", "validation")}
    assert result[0].metric_args == {"filtered": "train+validation+test", "ties": "realistic", "queries": 6}


def test_metadata_of_the_card_are_valid_for_the_hub(folder):
    data = ModelCard(text_of(folder)).data
    assert (data.library_name, data.pipeline_tag, data.model_name) == ("transformers", "graph-ml", "animals")
    assert "knowledge-graph-completion" in data.tags
    assert not {"license", "language", "datasets"} & set(data.to_dict())  # The user did not give these.


@pytest.mark.parametrize("include_graph", ["full", "vocabulary", "none"])
@pytest.mark.parametrize("architecture", ["cross-encoder", "bi-encoder"])
def test_snippets_of_the_card_run(architecture, include_graph, tmp_path, graph_folder, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer = card_trainer(tmp_path / "mine", KnowledgeGraph.from_directory(graph_folder), architecture)
    trainer.train()
    trainer.save_model()
    trainer.processing_class.save_pretrained("mine", include_graph=include_graph)
    text = render_shared_card("mine", "user/mine", include_graph)
    text = text.replace("user/mine", "mine").replace("my_graph", str(graph_folder))
    capsys.readouterr()
    predict, *complete, score = fences(text, "python")
    exec(predict, {})
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert len(complete) == (include_graph != "none")
    for snippet in complete:
        exec(snippet, {})
        assert capsys.readouterr().out.count("'score'") == 5
    names = {}
    exec(score, names)
    expected = LassForKGCompletion.from_pretrained("mine")(
        **LassProcessor.from_pretrained("mine")([tuple(names[slot] for slot in ("head", "relation", "tail"))])
    )
    np.testing.assert_array_equal(names["scores"].numpy(), expected.scores.detach().numpy())
    (evaluate,) = fences(text, "bash")
    program, *argv = shlex.split(evaluate)
    assert program == "lass-hf"
    assert main([*argv, "--quiet"]) == 0
    assert "mrr" in capsys.readouterr().out


def test_card_of_a_classifier_says_where_the_threshold_is_from(tmp_path, labeled_graph):
    trainer = card_trainer(tmp_path, labeled_graph)
    trainer.train()
    metrics = trainer.evaluate()
    trainer.save_model()
    text = text_of(tmp_path)
    assert "the threshold that maximizes accuracy on the validation\nsplit itself, which flatters" in text
    row = next(table for table in tables(text) if table[0][1] == "accuracy")[2]
    assert row[1] == f"{metrics['eval_accuracy']:.3f}"
    calibration = trainer.model.config.calibration
    assert f"true above the score {calibration['threshold']:.4f}" in text
    assert "lass-hf classify" in fences(text, "bash")[0]
    accuracy = ModelCard(text).data.eval_results[0]
    assert (accuracy.metric_type, accuracy.metric_args) == ("accuracy", {"threshold from": "validation"})


def test_card_of_an_untrained_model_says_so(tmp_path, graph):
    card_trainer(tmp_path, graph).save_model()
    text = text_of(tmp_path)
    assert "**No training of it is recorded.**" in text
    assert "**No evaluation is recorded:**" in text
    assert "## Training" not in text
    assert "model-index" not in text
    assert [table[0][0] for table in tables(text)] == ["split"]


def test_checkpoints_have_cards_that_say_that_training_went_on(tmp_path, graph):
    card_trainer(tmp_path, graph, save_strategy="steps", save_steps=1).train()
    text = text_of(tmp_path / "checkpoint-1")
    assert "1 step, 0.5 epochs of 14 triplets. **It had not ended when this was saved.**" in text
    assert "Duration" not in text


def test_card_of_the_best_model_has_its_own_metrics(tmp_path, graph):
    steps = {f"{name}_strategy": "steps" for name in ("eval", "save")} | {"eval_steps": 1, "save_steps": 1}
    worst = {"load_best_model_at_end": True, "metric_for_best_model": "loss", "greater_is_better": True}
    trainer = card_trainer(tmp_path, graph, learning_rate=1e-3, **steps, **worst)  # its loss falls
    trainer.train()
    trainer.save_model()
    log = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    best = max(log, key=lambda entry: entry["eval_loss"])
    assert best["step"] < trainer.state.global_step
    (evaluation,) = read_card_data(tmp_path)["evaluations"]
    assert evaluation["metrics"]["mrr"] == best["eval_mrr"]
    assert f"The weights are those of step {best['step']}, the best." in text_of(tmp_path)


@pytest.mark.parametrize(
    ("include_graph", "statement"), [("vocabulary", "without the triplets"), ("none", "comes without names")]
)
def test_shared_card_describes_what_is_shared_and_reveals_no_triplet(include_graph, statement, folder):
    assert "with the true triplets" in text_of(folder)
    shared = render_shared_card(folder, "user/pets", include_graph)
    assert statement in shared
    assert "with the true triplets" not in shared
    assert "from_pretrained('user/pets')" in shared
    query = re.search(r"head='(\w+)', relation='(\w+)'", shared)
    assert (query is None) == (include_graph == "none")
    triplets = {(head, relation, ENTITY_TEXT[tail]) for head, relation, tail in TRAIN + VALIDATION + TEST}
    assert query is None or (*query.groups(), re.search(r"^tail = '(.*)'$", shared, re.MULTILINE)[1]) not in triplets


@pytest.mark.parametrize("architecture", ["cross-encoder", "bi-encoder"])
def test_card_names_a_score_function_of_your_own(architecture, tmp_path, graph):
    @register_score_function("manhattan")
    def manhattan(head, relation, tail):
        return (head + relation - tail).abs().sum(-1)

    try:
        model = make_model(architecture=architecture, score_function="manhattan")
        trainer = trainer_of(tmp_path, graph, architecture, model, max_steps=1)
        trainer.train()
        trainer.save_model()
    finally:
        del SCORE_FUNCTIONS["manhattan"]
    text = text_of(tmp_path)
    assert "The score is b - ½ manhattan(h, r, t) / √32, with b = 7.0. `manhattan` is the name" in text
    assert "‖" not in text
    assert ["`score_function`", "manhattan"] in [row[:2] for table in tables(text) for row in table]
    assert architecture == "bi-encoder" or "differs from the paper's in `score_function`" in text


@pytest.fixture(scope="module")
def card_data(folder):
    return {**read_card_data(folder), "calibration": None}


@pytest.fixture(scope="module")
def plain(card_data):
    return ModelCard(render_model_card(card_data, make_graph()))


@given(name=st.text(min_size=1), graph_name=st.text(min_size=1), encoder=st.text(), entity=st.text(min_size=1))
@example(name="---\n# x", graph_name="a|b\n| c |\n", encoder="`x`_*", entity="```\n'\"\\")
@example(name="yes", graph_name="- [x]: {y}\u2028\x85", encoder="<!-- ", entity="$x$\t")
@settings(max_examples=25, deadline=None)
def test_unusual_names_break_neither_metadata_nor_tables(card_data, plain, name, graph_name, encoder, entity):
    training = {**card_data["training"], "graph": graph_name, "load_graph": graph_name}
    unusual = {**card_data, "folder": name, "encoder": encoder, "training": training, "metadata": {}}
    unusual["evaluations"] = [{**card_data["evaluations"][0], "graph": graph_name}]
    graph = make_graph()
    graph.entities.ids[0] = graph.entities.texts[0] = entity
    text = render_model_card(unusual, graph)
    text.encode()
    card = ModelCard(text)
    assert card.data.to_dict().keys() - {"base_model", "datasets"} == plain.data.to_dict().keys() - {
        "base_model",
        "datasets",
    }
    assert [one.metric_value for one in card.data.eval_results] == [one.metric_value for one in plain.data.eval_results]
    assert [list(map(len, table)) for table in tables(card.text)] == [list(map(len, t)) for t in tables(plain.text)]
    headings = re.compile(r"^#+ ", re.MULTILINE)
    assert len(headings.findall(card.text)) == len(headings.findall(plain.text))
    for language in ("python", "bash", "bibtex"):
        assert len(fences(card.text, language)) == len(fences(plain.text, language))
    for snippet in fences(card.text, "python"):
        compile(snippet, "card", "exec")
    words = shlex.split(fences(card.text, "bash")[0])
    assert (len(words), words[-2:]) == (8, ["--split", "test"])
