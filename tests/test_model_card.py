"""The model card: what it says, that its snippets run and its metadata is valid, and whose README.md is left alone."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ENTITY_TEXT, TEST, TRAIN, VALIDATION, make_graph, make_model, wordpiece_tokenizer, write_graph
from huggingface_hub import ModelCard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lass_hf import (
    KnowledgeGraph,
    LassForKGCompletion,
    LassProcessor,
    LassTrainer,
    LassTrainingArguments,
    evaluate_link_prediction,
    evaluate_triplet_classification,
)
from lass_hf.card_folder import CARD_FILE, FACTS_FILE, add_evaluation, read_facts, shared_card, with_evaluation
from lass_hf.cli import main
from lass_hf.decision import keep_decision
from lass_hf.errors import LassError
from lass_hf.model_card import model_card
from lass_hf.record import command

SHORT = {
    "num_train_epochs": 1,
    "per_device_train_batch_size": 7,
    "num_negatives": 2,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "bf16": False,
}


def make_trainer(folder, graph, encoding="joint", **choices):
    processor = LassProcessor(wordpiece_tokenizer(), encoding=encoding)
    processor.graph = graph
    loss = {"loss": "softmax"} if encoding == "separate" else {}
    return LassTrainer(
        model=make_model(encoding=encoding),
        args=LassTrainingArguments(output_dir=str(folder), **{**SHORT, **loss, **choices}),
        processing_class=processor,
        train_dataset=graph["train"],
        eval_dataset=graph["validation"],
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory, graph_folder, encoder_folder):
    """A model of `lass-hf train`; do not change it."""
    folder = tmp_path_factory.mktemp("trained") / "animals"
    short = [f"--{name}={value}" for name, value in SHORT.items()]
    choices = ["--preset", "paper", "--num_negatives", "2", "--eval_strategy", "epoch", "--seed", "7"]
    argv = ["--graph", str(graph_folder), "--encoder", encoder_folder, "--output_dir", str(folder)]
    assert main(["train", *argv, *short, *choices, "--quiet"]) == 0
    return folder


def text_of(folder) -> str:
    return (folder / CARD_FILE).read_text(encoding="utf-8")


def fences(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def tables(text: str) -> list[list[list[str]]]:
    """The tables of a card, row by row, cell by cell; raises for a row that has not as many cells as the others."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()]
        assert len({len(row) for row in rows}) == 1, block
        assert set("".join(rows[1])) == {"-"}, block
        found.append([[cell.strip() for cell in row] for row in rows])
    return found


def test_card_says_what_the_training_was(folder, encoder_folder):
    text = text_of(folder)
    assert text.startswith("---\n")
    assert "# animals\n" in text
    for told in ("10 entities and 3 relations", "Seed: 7", "2 steps, 1 epoch of 14 triplets", "[SEP] relation [SEP]"):
        assert told in text, told
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
    for file in (CARD_FILE, FACTS_FILE):  # nobody needs to know where it was made
        assert str(folder.parent) not in (folder / file).read_text()
        assert encoder_folder not in (folder / file).read_text()


def test_card_has_the_evaluation_of_these_weights_with_its_protocol(folder):
    log = json.loads((folder / "training.json").read_text())["log"]
    last = next(entry for entry in reversed(log) if "eval_mrr" in entry)
    text = text_of(folder)
    for told in (
        "Link prediction: validation split",
        "6 queries",
        "train + validation + test (filtered)",
        "(realistic)",
    ):
        assert told in text, told
    both = next(table for table in tables(text) if table[0][1] == "MR")[2]
    names = ("mr", "mrr", "hits@1", "hits@3", "hits@10", "amri")
    assert both == ["both sides", *(f"{last[f'eval_{name}']:.3f}" for name in names)]
    result = ModelCard(text).data.eval_results
    assert {one.metric_type: one.metric_value for one in result} == {name: last[f"eval_{name}"] for name in names}
    assert {(one.task_type, one.dataset_split) for one in result} == {("link-prediction", "validation")}
    assert result[0].metric_args == {"filtered": "train+validation+test", "ties": "realistic", "queries": 6}


def test_metadata_of_the_card_is_what_a_hub_takes(folder):
    data = ModelCard(text_of(folder)).data
    assert (data.library_name, data.pipeline_tag, data.model_name) == ("transformers", "graph-ml", "animals")
    assert "knowledge-graph-completion" in data.tags
    assert not {"license", "language", "datasets"} & set(data.to_dict())  # nobody gave them


@pytest.mark.parametrize("include_graph", ["full", "vocabulary", "none"])
@pytest.mark.parametrize("encoding", ["joint", "separate"])
def test_snippets_of_the_card_run(encoding, include_graph, tmp_path, graph_folder, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer = make_trainer(tmp_path / "mine", KnowledgeGraph.from_directory(graph_folder), encoding)
    trainer.train()
    trainer.save_model()
    trainer.processing_class.save_pretrained("mine", include_graph=include_graph)
    text = shared_card("mine", "user/mine", include_graph)
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


def test_card_of_a_classifier_says_where_the_threshold_is_from(tmp_path, labelled_graph):
    trainer = make_trainer(tmp_path, labelled_graph)
    trainer.train()
    metrics = trainer.evaluate()
    trainer.save_model()
    text = text_of(tmp_path)
    assert "the threshold that maximises accuracy on the validation\nsplit itself, which flatters" in text
    row = next(table for table in tables(text) if table[0][1] == "accuracy")[2]
    assert row[1] == f"{metrics['eval_accuracy']:.3f}"
    decision = trainer.model.config.decision
    assert f"true above the score {decision['threshold']:.4f}" in text
    assert "lass-hf classify" in fences(text, "bash")[0]
    accuracy = ModelCard(text).data.eval_results[0]
    assert (accuracy.metric_type, accuracy.metric_args) == ("accuracy", {"threshold from": "validation"})


def test_classification_of_a_folder_is_added_to_its_card(tmp_path, labelled_graph, capsys):
    false = [
        (*row[::-1], "-1") for row in [("cat", "eats", "food"), ("dog", "is_a", "garden"), ("milk", "eats", "mouse")]
    ]
    labelled = {
        name: [(*row, "1") for row in rows] + false for name, rows in (("validation", VALIDATION), ("test", TEST))
    }
    write_graph(tmp_path / "pets", **labelled)
    graph = KnowledgeGraph.from_directory(tmp_path / "pets")
    make_trainer(tmp_path / "mine", graph).save_model()
    line = ["classify", "--model", str(tmp_path / "mine"), "--graph", str(tmp_path / "pets"), "--dtype", "float32"]
    assert main([*line, "--quiet"]) == 0
    text = text_of(tmp_path / "mine")
    trainer = make_trainer(tmp_path / "other", graph)
    expected = evaluate_triplet_classification(trainer.model, trainer.processing_class, graph, dtype="float32")
    row = next(table for table in tables(text) if table[0][1] == "accuracy")[2]
    assert row[1:3] == [f"{expected.metrics[name]:.3f}" for name in ("accuracy", "precision")]
    assert "test split of pets" in text
    assert "flatters" not in text
    assert f"true above the score {expected.threshold:.4f}" in text
    keep_decision(tmp_path / "mine", replace(expected.decision, threshold=0.25))
    assert "true above the score 0.2500" in shared_card(tmp_path / "mine", "me/pets", "full")


def test_card_of_an_untrained_model_says_so(tmp_path, graph):
    make_trainer(tmp_path, graph).save_model()
    text = text_of(tmp_path)
    assert "**No training of it is recorded.**" in text
    assert "**No evaluation is recorded:**" in text
    assert "## Training" not in text
    assert "model-index" not in text
    assert [table[0][0] for table in tables(text)] == ["split"]


def test_checkpoints_have_cards_that_say_that_training_went_on(tmp_path, graph):
    make_trainer(tmp_path, graph, save_strategy="steps", save_steps=1).train()
    text = text_of(tmp_path / "checkpoint-1")
    assert "1 step, 0.5 epochs of 14 triplets. **It had not ended when this was saved.**" in text
    assert "Duration" not in text


def test_metrics_of_earlier_weights_are_not_in_the_card(tmp_path, graph):
    trainer = make_trainer(tmp_path, graph)
    trainer.evaluate()
    trainer.save_model()
    assert len(read_facts(tmp_path)["evaluations"]) == 1
    trainer.train()
    trainer.save_model()
    assert read_facts(tmp_path)["evaluations"] == []
    trainer.evaluate()
    trainer.save_model()
    assert len(read_facts(tmp_path)["evaluations"]) == 1
    trainer.train()  # again, to the same step
    trainer.save_model()
    assert read_facts(tmp_path)["evaluations"] == []


def test_card_of_the_best_model_has_its_own_metrics(tmp_path, graph):
    steps = {f"{name}_strategy": "steps" for name in ("eval", "save")} | {"eval_steps": 1, "save_steps": 1}
    worst = {"load_best_model_at_end": True, "metric_for_best_model": "loss", "greater_is_better": True}
    trainer = make_trainer(tmp_path, graph, **steps, **worst)
    trainer.train()
    trainer.save_model()
    log = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    best = max(log, key=lambda entry: entry["eval_loss"])
    assert best["step"] < trainer.state.global_step
    (evaluation,) = read_facts(tmp_path)["evaluations"]
    assert evaluation["metrics"]["mrr"] == best["eval_mrr"]
    assert f"The weights are those of step {best['step']}, the best." in text_of(tmp_path)


def test_evaluation_of_a_folder_is_added_to_its_card(tmp_path, graph, graph_folder, capsys):
    make_trainer(tmp_path / "mine", graph).save_model()
    line = ["evaluate", "--model", str(tmp_path / "mine"), "--graph", str(graph_folder), "--dtype", "float32"]
    assert main([*line, "--limit", "2", "--quiet"]) == 0
    text = text_of(tmp_path / "mine")
    assert "2 true triplets, a seeded choice of 3" in text
    assert "model-index" not in text  # of a choice of triplets
    assert main([*line, "--quiet"]) == 0
    assert main([*line, "--limit", "2", "--quiet"]) == 0  # does not take the place of all
    assert main([*line, "--relations", "--quiet"]) == 0
    trainer = make_trainer(tmp_path / "other", graph)
    expected = evaluate_link_prediction(trainer.model, trainer.processing_class, graph, dtype="float32").metrics
    links, relations = read_facts(tmp_path / "mine")["evaluations"]
    assert (links["task"], links["split"], links["dtype"]) == ("link prediction", "test", "float32")
    assert links["metrics"]["head_mrr"] == expected["head_mrr"]
    assert (relations["task"], list(relations["sides"])) == ("relation prediction", ["relation"])
    values = {one.metric_type: one.metric_value for one in ModelCard(text_of(tmp_path / "mine")).data.eval_results[:6]}
    assert values == {name: expected[name] for name in values}


def test_figures_of_other_weights_leave_the_card(tmp_path, graph, graph_folder):
    trainer = make_trainer(tmp_path, graph)
    trainer.evaluate()
    trainer.save_model()
    assert len(read_facts(tmp_path)["evaluations"]) == 1
    make_model(seed=1).save_pretrained(tmp_path)
    assert read_facts(tmp_path) == {}
    assert shared_card(tmp_path, "user/mine", "full") is None
    before = text_of(tmp_path)
    assert main(["evaluate", "--model", str(tmp_path), "--graph", str(graph_folder), "--quiet"]) == 0
    assert text_of(tmp_path) == before  # no facts to tell with the new figures


@pytest.mark.parametrize("own", ["# My own words\n", "", "---\nlicense: mit\n---\n\xe9", b"\xff\xfe"])
def test_readme_of_the_user_is_left_alone(own, tmp_path, graph, caplog):
    caplog.set_level("WARNING", logger="lass_hf")
    content = own if isinstance(own, bytes) else own.encode()
    (tmp_path / CARD_FILE).write_bytes(content)
    trainer = make_trainer(tmp_path, graph)
    trainer.save_model()
    trainer.create_model_card(license="mit")
    assert (tmp_path / CARD_FILE).read_bytes() == content
    assert "it stays as it is" in caplog.text


def test_card_that_was_changed_is_left_alone_and_an_unchanged_one_is_not(tmp_path, graph):
    trainer = make_trainer(tmp_path, graph)
    trainer.save_model()
    trainer.evaluate()
    trainer.save_model()
    assert "No evaluation is recorded" not in text_of(tmp_path)
    changed = text_of(tmp_path).replace("Finds missing links", "Finds many missing links")
    (tmp_path / CARD_FILE).write_text(changed, encoding="utf-8")
    trainer.save_model()
    assert text_of(tmp_path) == changed
    assert shared_card(tmp_path, "user/mine", "full") is None


def test_metadata_that_was_given_stays_in_later_cards(tmp_path, graph):
    trainer = make_trainer(tmp_path, graph)
    trainer.save_model()
    trainer.create_model_card(
        license="mit", language="en", tags="animals", dataset="pets | cats", dataset_tags="me/pets"
    )
    trainer.save_model()
    data = ModelCard(text_of(tmp_path)).data
    assert (data.license, data.language, data.datasets, data.tags[-1]) == ("mit", "en", ["me/pets"], "animals")
    assert "the graph pets \\| cats" in text_of(tmp_path)
    with pytest.raises(LassError, match="colour='red' for a model card; expected language, license"):
        trainer.create_model_card(colour="red")


@pytest.mark.parametrize(
    ("include_graph", "told"), [("vocabulary", "without the triplets"), ("none", "comes without names")]
)
def test_shared_card_says_what_goes_along_and_tells_no_fact(include_graph, told, folder):
    assert "with the true triplets" in text_of(folder)
    shared = shared_card(folder, "user/pets", include_graph)
    assert told in shared
    assert "with the true triplets" not in shared
    assert "from_pretrained('user/pets')" in shared
    asked = re.search(r"head='(\w+)', relation='(\w+)'", shared)
    assert (asked is None) == (include_graph == "none")
    facts = {(head, relation, ENTITY_TEXT[tail]) for head, relation, tail in TRAIN + VALIDATION + TEST}
    assert asked is None or (*asked.groups(), re.search(r"^tail = '(.*)'$", shared, re.MULTILINE)[1]) not in facts


def test_evaluations_take_each_others_place():
    one = {"task": "link prediction", "graph": "a", "split": "test", "triplets": 3, "metrics": {}}
    more, other = {**one, "triplets": 5}, {**one, "graph": "b"}
    assert with_evaluation([one], more) == [more]
    assert with_evaluation([more], one) == [more]
    assert with_evaluation([one, other], {**one, "new": True}) == [other, {**one, "new": True}]


def test_card_and_record_keep_the_token_to_themselves(tmp_path, graph, monkeypatch):
    for words in (["--hub_token", "hf_secret"], ["--hub-token=hf_secret"], ["--hub_token=hf secret"]):
        monkeypatch.setattr("sys.argv", ["lass-hf", "train", *words, "--seed", "7"])
        assert "secret" not in command()
        assert command().endswith("--seed 7")
    make_trainer(tmp_path, graph, hub_token="hf_secret").save_model()
    for file in (CARD_FILE, FACTS_FILE):
        assert "hf_secret" not in (tmp_path / file).read_text()


def test_evaluation_goes_nowhere_without_a_card(tmp_path):
    add_evaluation(tmp_path, {}, None)
    add_evaluation("user/name", {}, None)
    (tmp_path / FACTS_FILE).write_text("[1]")
    add_evaluation(tmp_path, {}, None)
    assert [path.name for path in tmp_path.iterdir()] == [FACTS_FILE]


@pytest.fixture(scope="module")
def facts(folder):
    return {**read_facts(folder), "decision": None}


@pytest.fixture(scope="module")
def plain(facts):
    return ModelCard(model_card(facts, make_graph()))


@given(name=st.text(min_size=1), graph_name=st.text(min_size=1), encoder=st.text(), entity=st.text(min_size=1))
@example(name="---\n# x", graph_name="a|b\n| c |\n", encoder="`x`_*", entity="```\n'\"\\")
@example(name="yes", graph_name="- [x]: {y}\u2028\x85", encoder="<!-- ", entity="$x$\t")
@settings(max_examples=25, deadline=None)
def test_odd_names_break_neither_metadata_nor_tables_of_the_card(facts, plain, name, graph_name, encoder, entity):
    training = {**facts["training"], "graph": graph_name, "load_graph": graph_name}
    odd = {**facts, "folder": name, "encoder": encoder, "training": training, "metadata": {}}
    odd["evaluations"] = [{**facts["evaluations"][0], "graph": graph_name}]
    graph = make_graph()
    graph.entities.ids[0] = graph.entities.texts[0] = entity
    text = model_card(odd, graph)
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


@pytest.mark.parametrize(("given", "named"), [("runs/mine", "runs/mine"), (".", "here"), ("../here/mine", "mine")])
def test_snippets_of_a_card_name_the_folder_as_it_was_given(tmp_path, monkeypatch, given, named):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    trainer = make_trainer(given, make_graph())
    trainer.save_model()
    text = Path(given, CARD_FILE).read_text(encoding="utf-8")
    assert f'from_pretrained("{named}")' in text.replace("'", '"')
    assert str(tmp_path) not in text
