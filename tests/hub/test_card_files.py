"""The card of a saved model: figures are added and removed with the weights, and a README.md of the user stays."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.cards import card_trainer, tables, text_of
from helpers.tiny import TEST, VALIDATION, make_graph, make_model, make_processor, write_graph
from huggingface_hub import ModelCard

from lass_hf import KnowledgeGraph, evaluate_link_prediction, evaluate_triplet_classification
from lass_hf.cli.commands import main
from lass_hf.core.errors import LassError
from lass_hf.evaluation.calibration import keep_calibration
from lass_hf.hub.card_files import (
    CARD_DATA_FILE,
    CARD_FILE,
    add_evaluation,
    merge_evaluation,
    model_card_data,
    read_card_data,
    render_shared_card,
    write_card,
)
from lass_hf.utils.environment import command_line


def test_classification_of_a_folder_is_added_to_its_card(tmp_path, labeled_graph, capsys):
    false = [
        (*row[::-1], "-1") for row in [("cat", "eats", "food"), ("dog", "is_a", "garden"), ("milk", "eats", "mouse")]
    ]
    labeled = {
        name: [(*row, "1") for row in rows] + false for name, rows in (("validation", VALIDATION), ("test", TEST))
    }
    write_graph(tmp_path / "pets", **labeled)
    graph = KnowledgeGraph.from_directory(tmp_path / "pets")
    card_trainer(tmp_path / "mine", graph).save_model()
    line = ["classify", "--model", str(tmp_path / "mine"), "--graph", str(tmp_path / "pets"), "--dtype", "float32"]
    assert main([*line, "--quiet"]) == 0
    text = text_of(tmp_path / "mine")
    trainer = card_trainer(tmp_path / "other", graph)
    expected = evaluate_triplet_classification(trainer.model, trainer.processing_class, graph, dtype="float32")
    row = next(table for table in tables(text) if table[0][1] == "accuracy")[2]
    assert row[1:3] == [f"{expected.metrics[name]:.3f}" for name in ("accuracy", "precision")]
    assert "test split of pets" in text
    assert "flatters" not in text
    assert f"true above the score {expected.threshold:.4f}" in text
    keep_calibration(tmp_path / "mine", replace(expected.calibration, threshold=0.25))
    assert "true above the score 0.2500" in render_shared_card(tmp_path / "mine", "me/pets", "full")


def test_metrics_of_earlier_weights_are_not_in_the_card(tmp_path, graph):
    trainer = card_trainer(tmp_path, graph)
    trainer.evaluate()
    trainer.save_model()
    assert len(read_card_data(tmp_path)["evaluations"]) == 1
    trainer.train()
    trainer.save_model()
    assert read_card_data(tmp_path)["evaluations"] == []
    trainer.evaluate()
    trainer.save_model()
    assert len(read_card_data(tmp_path)["evaluations"]) == 1
    trainer.train()  # The second training ends at the same step.
    trainer.save_model()
    assert read_card_data(tmp_path)["evaluations"] == []


def test_evaluation_of_a_folder_is_added_to_its_card(tmp_path, graph, graph_folder, capsys):
    card_trainer(tmp_path / "mine", graph).save_model()
    line = ["evaluate", "--model", str(tmp_path / "mine"), "--graph", str(graph_folder), "--dtype", "float32"]
    assert main([*line, "--limit", "2", "--quiet"]) == 0
    text = text_of(tmp_path / "mine")
    assert "2 of 3 true triplets (a seeded choice)" in text
    assert "model-index" not in text  # The evaluation is of a choice of triplets.
    assert main([*line, "--quiet"]) == 0
    assert main([*line, "--limit", "2", "--quiet"]) == 0  # It does not replace the evaluation of all triplets.
    assert main([*line, "--relations", "--quiet"]) == 0
    trainer = card_trainer(tmp_path / "other", graph)
    expected = evaluate_link_prediction(trainer.model, trainer.processing_class, graph, dtype="float32").metrics
    links, relations = read_card_data(tmp_path / "mine")["evaluations"]
    assert (links["task"], links["split"], links["dtype"]) == ("link prediction", "test", "float32")
    assert links["metrics"]["head_mrr"] == expected["head_mrr"]
    assert (relations["task"], list(relations["sides"])) == ("relation prediction", ["relation"])
    values = {one.metric_type: one.metric_value for one in ModelCard(text_of(tmp_path / "mine")).data.eval_results[:6]}
    assert values == {name: expected[name] for name in values}


@pytest.mark.parametrize("architecture", ["cross-encoder", "bi-encoder"])
def test_card_data_older_than_a_choice_give_the_same_card(architecture, tmp_path, graph):
    model, processor = make_model(architecture=architecture), make_processor(graph, architecture=architecture)
    model.save_pretrained(tmp_path)
    write_card(tmp_path, {**model_card_data(model, processor), "training": None, "evaluations": []}, graph)
    card = (tmp_path / CARD_FILE).read_text(encoding="utf-8")
    card_data = json.loads((tmp_path / CARD_DATA_FILE).read_text(encoding="utf-8"))
    for name in ("self_match_weight", "neighbor_weight", "frequency_weight"):
        del card_data[name]
    write_card(tmp_path, card_data, graph)
    assert (tmp_path / CARD_FILE).read_text(encoding="utf-8") == card


def test_figures_of_other_weights_leave_the_card(tmp_path, graph, graph_folder):
    trainer = card_trainer(tmp_path, graph)
    trainer.evaluate()
    trainer.save_model()
    assert len(read_card_data(tmp_path)["evaluations"]) == 1
    make_model(seed=1).save_pretrained(tmp_path)
    make_processor(graph).save_pretrained(tmp_path)
    assert read_card_data(tmp_path) == {}
    assert render_shared_card(tmp_path, "user/mine", "full") is None
    before = text_of(tmp_path)
    assert main(["evaluate", "--model", str(tmp_path), "--graph", str(graph_folder), "--quiet"]) == 0
    assert text_of(tmp_path) == before  # There are no card data of these weights to add the figures to.


@pytest.mark.parametrize("readme", ["# My own words\n", "", "---\nlicense: mit\n---\n\xe9", b"\xff\xfe"])
def test_readme_of_the_user_is_left_alone(readme, tmp_path, graph, caplog):
    caplog.set_level("WARNING", logger="lass_hf")
    content = readme if isinstance(readme, bytes) else readme.encode()
    (tmp_path / CARD_FILE).write_bytes(content)
    trainer = card_trainer(tmp_path, graph)
    trainer.save_model()
    trainer.create_model_card(license="mit")
    assert (tmp_path / CARD_FILE).read_bytes() == content
    assert "it stays as it is" in caplog.text


def test_card_that_was_changed_is_left_alone_and_an_unchanged_one_is_not(tmp_path, graph):
    trainer = card_trainer(tmp_path, graph)
    trainer.save_model()
    trainer.evaluate()
    trainer.save_model()
    assert "No evaluation is recorded" not in text_of(tmp_path)
    changed = text_of(tmp_path).replace("finds missing links", "finds many missing links")
    (tmp_path / CARD_FILE).write_text(changed, encoding="utf-8")
    trainer.save_model()
    assert text_of(tmp_path) == changed
    assert render_shared_card(tmp_path, "user/mine", "full") is None


def test_metadata_that_was_given_stays_in_later_cards(tmp_path, graph):
    trainer = card_trainer(tmp_path, graph)
    trainer.save_model()
    trainer.create_model_card(
        license="mit", language="en", tags="animals", dataset="pets | cats", dataset_tags="me/pets"
    )
    trainer.save_model()
    data = ModelCard(text_of(tmp_path)).data
    assert (data.license, data.language, data.datasets, data.tags[-1]) == ("mit", "en", ["me/pets"], "animals")
    assert "the graph pets \\| cats" in text_of(tmp_path)
    with pytest.raises(LassError, match="color='red' for a model card; expected language, license"):
        trainer.create_model_card(color="red")


def test_a_larger_evaluation_replaces_a_smaller_one_of_the_same_split():
    one = {"task": "link prediction", "graph": "a", "split": "test", "triplets": 3, "metrics": {}}
    more, other = {**one, "triplets": 5}, {**one, "graph": "b"}
    assert merge_evaluation([one], more) == [more]
    assert merge_evaluation([more], one) == [more]
    assert merge_evaluation([one, other], {**one, "new": True}) == [other, {**one, "new": True}]
    reranked = [{**one, "retriever": "first"}, {**one, "retriever": "second"}]
    assert merge_evaluation(reranked[:1], reranked[1]) == reranked


def test_card_and_run_metadata_do_not_contain_the_token(tmp_path, graph, monkeypatch):
    for words in (["--hub_token", "hf_secret"], ["--hub-token=hf_secret"], ["--hub_token=hf secret"]):
        monkeypatch.setattr("sys.argv", ["lass-hf", "train", *words, "--seed", "7"])
        assert "secret" not in command_line()
        assert command_line().endswith("--seed 7")
    card_trainer(tmp_path, graph, hub_token="hf_secret").save_model()
    for file in (CARD_FILE, CARD_DATA_FILE):
        assert "hf_secret" not in (tmp_path / file).read_text()


def test_a_command_line_of_several_processes_can_be_run_again(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/somewhere/lass_hf/cli/__main__.py", "complete", "--max", "200"])
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert command_line() == "torchrun --nproc_per_node 2 -m lass_hf.cli -- complete --max 200"


def test_an_evaluation_is_not_written_without_a_card(tmp_path):
    add_evaluation(tmp_path, {}, None)
    add_evaluation("user/name", {}, None)
    (tmp_path / CARD_DATA_FILE).write_text("[1]")
    add_evaluation(tmp_path, {}, None)
    assert [path.name for path in tmp_path.iterdir()] == [CARD_DATA_FILE]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"mrr": 0.', '"mrr": 0.9', 1),  # a better figure
        lambda text: text.replace('"license": null', '"license": "mit"').replace('"seed": 42', '"seed": 43'),
        lambda text: text[:100],
        lambda text: "[" * 100_000,
    ],
)
def test_card_data_that_were_changed_are_never_shown(tmp_path, graph, change, caplog):
    trainer = card_trainer(tmp_path, graph)
    trainer.evaluate()
    trainer.save_model()
    (evaluation,) = read_card_data(tmp_path)["evaluations"]
    data, card = (tmp_path / CARD_DATA_FILE).read_text(), text_of(tmp_path)
    assert change(data) != data
    (tmp_path / CARD_DATA_FILE).write_text(change(data))
    caplog.clear()
    add_evaluation(tmp_path, {**evaluation, "split": "test"}, graph)
    assert "no card shows its figures; delete it, or save the model again" in caplog.text
    assert text_of(tmp_path) == card
    assert render_shared_card(tmp_path, "me/pets", "full") is None
    trainer.save_model()
    assert read_card_data(tmp_path)["evaluations"] == [evaluation]


@pytest.mark.parametrize(("given", "named"), [("runs/mine", "runs/mine"), (".", "here"), ("../here/mine", "mine")])
def test_snippets_of_a_card_name_the_folder_as_it_was_given(tmp_path, monkeypatch, given, named):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    trainer = card_trainer(given, make_graph())
    trainer.save_model()
    text = Path(given, CARD_FILE).read_text(encoding="utf-8")
    assert f'from_pretrained("{named}")' in text.replace("'", '"')
    assert str(tmp_path) not in text
