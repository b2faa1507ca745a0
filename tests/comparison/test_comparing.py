"""Several methods in one protocol: what each is measured by, what is kept, and what is refused before the work."""

import numpy as np
import pytest
from helpers.command_line import content_of
from helpers.embeddings import TableModel
from helpers.evidence import some_evidence
from helpers.ranking import same
from helpers.tiny import make_model, make_processor, one_line

from lass_hf import (
    KnowledgeGraph,
    LassForKGCompletion,
    evaluate_link_prediction,
    evaluate_triplet_classification,
    load_benchmark,
)
from lass_hf.comparison.comparing import compare, prepare
from lass_hf.comparison.contenders import ModelContender, RulesContender, Task
from lass_hf.comparison.methods import EMBEDDINGS
from lass_hf.comparison.report import comparison_table
from lass_hf.core.errors import GraphError, LassError, NonFiniteError
from lass_hf.core.vocabulary import Vocabulary
from lass_hf.evaluation.metrics import best_threshold
from lass_hf.evidence.evidence_files import save_evidence
from lass_hf.structure.facts import Facts
from lass_hf.structure.rule_mining import find_rules
from lass_hf.structure.rule_scores import RuleScorer


@pytest.fixture
def trainings(monkeypatch):
    return TableModel.instead_of_pykeen(monkeypatch)


@pytest.fixture
def quiet_task(graph):
    return Task(graph, quiet=True)


def test_rules_are_measured_as_evaluate_measures_them():
    task = Task(load_benchmark("countries"), seed=7, quiet=True)
    outcome = RulesContender(seed=7).run(task, "rules")
    expected = evaluate_link_prediction(None, None, task.graph, evidence="rules", seed=7, quiet=True)
    assert same(outcome.result, expected)
    assert outcome.parameters == len(find_rules(Facts.from_graph(task.graph), seed=7))
    assert set(outcome.seconds) == {"training", "ranking"}


def test_rules_classify_by_what_they_say_of_a_triplet(labeled_graph):
    task = Task(labeled_graph, quiet=True)
    assert task.classifies
    facts = Facts.from_graph(labeled_graph)
    outcome = RulesContender().run(task, "rules")
    scorer = RuleScorer(find_rules(facts), facts)
    np.testing.assert_array_equal(outcome.result.scores, scorer.triplet_scores(labeled_graph["test"].triplets))


def test_the_model_is_measured_as_evaluate_and_classify_measure_it(graph, labeled_graph):
    model, processor = make_model(), make_processor(graph)
    for one, evaluate in ((graph, evaluate_link_prediction), (labeled_graph, evaluate_triplet_classification)):
        task = Task(one, quiet=True)
        outcome = ModelContender.of(model, processor, task, "float32").run(task, "LASS")
        expected = evaluate(model, processor, one, dtype="float32", quiet=True)
        assert outcome.result.metrics == expected.metrics
        assert set(outcome.seconds) == {"ranking"}
        assert outcome.parameters == sum(weights.numel() for weights in model.parameters())


def labels_of(graph, count):
    """The same graph with so many true and false triplets in validation."""
    rows = [(head, 0, tail) for head in range(2) for tail in range(2, 5)][: 2 * count]
    validation = np.array(rows, dtype=np.int64), (np.arange(2 * count) % 2).astype(np.int8)
    splits = {name: (split.triplets, split.labels) for name, split in graph.splits.items()}
    return KnowledgeGraph(graph.entities, graph.relations, {**splits, "validation": validation})


def test_the_evidence_in_the_models_folder_counts_for_both_tasks(graph, labeled_graph, tmp_path):
    model, processor = make_model(), make_processor(labeled_graph)
    model.save_pretrained(tmp_path)
    model = LassForKGCompletion.from_pretrained(tmp_path)
    kinds = ("text", "frequency", "rules", "vectors")
    save_evidence(some_evidence(labeled_graph, model, processor, kinds), tmp_path / "evidence", labeled_graph)
    for one in (graph, labels_of(labeled_graph, 3)):
        contender = ModelContender.of(model, processor, Task(one, seed=7, quiet=True))
        assert (contender.evidence.kinds, contender.identity["seed"]) == (kinds, 7)
    with pytest.raises(GraphError, match="2 true and 2 false distinct triplets, and a fit of all evidence needs 3"):
        ModelContender.of(model, processor, Task(labels_of(labeled_graph, 2), quiet=True))


def test_a_labeled_split_is_classified_by_the_projects_thresholds(labeled_graph, trainings):
    (row,) = compare(["distmult"], Task(labeled_graph, quiet=True))
    shape = labeled_graph.num_entities, labeled_graph.num_relations, labeled_graph.num_entities
    place = list(EMBEDDINGS).index("distmult")
    scores = np.random.default_rng(place).integers(4, size=shape)
    validation, test = labeled_graph["validation"], labeled_graph["test"]
    threshold = best_threshold(scores[tuple(validation.triplets.T)], validation.labels)
    accuracy = ((scores[tuple(test.triplets.T)] > threshold) == test.labels).mean()
    assert row["metrics"]["accuracy"] == pytest.approx(accuracy)


def test_what_is_labeled_in_one_split_alone_is_ranked(graph, labeled_graph):
    splits = {"train": (graph["train"].triplets, None), "validation": (graph["validation"].triplets, None)}
    test = labeled_graph["test"]
    mixed = KnowledgeGraph(graph.entities, graph.relations, {**splits, "test": (test.triplets, test.labels)})
    assert not Task(mixed).classifies
    assert not Task(graph).classifies
    assert Task(labeled_graph, "validation").classifies


def test_methods_are_trained_on_distinct_true_training_triplets_with_an_equal_part_of_the_time(trainings, graph):
    train = graph["train"].triplets
    labels = np.ones(len(train) + 4, np.int8)
    labels[-1] = 0
    doubled = np.concatenate([train, train[:3], graph["test"].triplets[:1][:, [2, 1, 0]]])
    splits = {"train": (doubled, labels), "test": (graph["test"].triplets, None)}
    task = Task(KnowledgeGraph(graph.entities, graph.relations, splits), seed=5, quiet=True)
    rows = compare(["rules", "transe", "ntn"], task, minutes=3)
    assert [row["method"] for row in rows] == ["rules", "transe", "ntn"]
    assert [title for title, _ in trainings] == ["TransE", "NTN"]
    for _, given in trainings:
        assert (given["minutes"], given["seed"]) == (1, 5)
        np.testing.assert_array_equal(np.unique(given["triplets"], axis=0), np.unique(train, axis=0))
        assert len(given["triplets"]) == len(np.unique(train, axis=0))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (NonFiniteError("TransH: the training diverged"), "TransH: the training diverged"),
        (MemoryError("no room"), "out of memory (no room)"),
        (RuntimeError("CUDA out of memory"), "out of memory (CUDA out of memory)"),
    ],
)
def test_a_method_that_fails_ends_no_comparison(error, told, quiet_task, tmp_path, monkeypatch):
    TableModel.instead_of_pykeen(monkeypatch, fails={"TransH": error})
    rows = compare(["transh", "transe"], quiet_task, folder=tmp_path)
    assert (rows[0]["metrics"], rows[0]["error"]) == ({}, told)
    assert rows[1]["metrics"]["mrr"] > 0
    assert "error" not in rows[1]
    assert {path.name for path in tmp_path.iterdir()} == {"transe.json"}
    lines = comparison_table(rows)
    assert lines[1].split() == ["TransH", *["-"] * 8]
    assert len({len(line) for line in lines}) == 1
    trainings = TableModel.instead_of_pykeen(monkeypatch)
    assert compare(["transh", "transe"], quiet_task, folder=tmp_path)[0]["metrics"]["mrr"] > 0
    assert [title for title, _ in trainings] == ["TransH"]


def test_a_method_that_cannot_be_measured_leaves_the_others_their_rows(quiet_task, monkeypatch):
    TableModel.instead_of_pykeen(monkeypatch, fails={"TransH": LassError("there is nothing to fit on")})
    rows = compare(["transe", "transh"], quiet_task)
    assert [row.get("error") for row in rows] == [None, "there is nothing to fit on"]
    assert rows[0]["metrics"]


# What is kept


def test_each_method_is_kept_as_soon_as_it_is_done_and_not_computed_again(quiet_task, tmp_path, monkeypatch):
    TableModel.instead_of_pykeen(monkeypatch, fails={"TransH": RuntimeError("the machine went off")})
    with pytest.raises(RuntimeError, match="the machine went off"):
        compare(["transe", "transh"], quiet_task, folder=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"transe.json"}
    kept = content_of(tmp_path / "transe.json")
    assert len(kept["ranks"]) == 2 * len(quiet_task.graph["test"])
    assert {"versions", "machine", "git_commit", "command", "identity"} <= set(kept)
    trainings = TableModel.instead_of_pykeen(monkeypatch)
    rows = compare(["transh", "transe"], quiet_task, folder=tmp_path)
    assert [title for title, _ in trainings] == ["TransH"]
    assert rows[1]["metrics"] == kept["metrics"]
    assert rows == compare(["transh", "transe"], quiet_task, folder=tmp_path)


def test_results_with_other_settings_are_refused_before_any_training(quiet_task, labeled_graph, tmp_path, trainings):
    compare(["transe"], quiet_task, folder=tmp_path, minutes=2)
    trainings.clear()
    graph = quiet_task.graph
    for task, methods, minutes, what in (
        (Task(graph, seed=1, quiet=True), ["ntn", "transe"], 4, "seed was 42, now 1"),
        (quiet_task, ["ntn", "transe"], 2, "minutes was 2.0, now 1.0"),
        (Task(graph, "validation", quiet=True), ["transe"], 2, "split was test, now validation"),
        (Task(labeled_graph, quiet=True), ["transe"], 2, "task was link_prediction, now triplet_classification"),
    ):
        with pytest.raises(LassError) as error:
            compare(methods, task, folder=tmp_path, minutes=minutes)
        one_line(error, str(tmp_path / "transe.json"), what, "choose another --output")
    assert not trainings
    compare(["ntn", "transe"], quiet_task, folder=tmp_path, minutes=4)  # the same part for each
    assert [title for title, _ in trainings] == ["NTN"]


def test_other_weights_of_the_model_are_another_comparison(graph, tmp_path):
    task, processor = Task(graph, quiet=True), make_processor(graph)
    compare(["ours"], task, model=make_model(), processor=processor, folder=tmp_path)
    other = make_model()
    next(other.parameters()).data.add_(1)
    with pytest.raises(LassError) as error:
        compare(["ours"], task, model=other, processor=processor, folder=tmp_path)
    one_line(error, "ours.json", "the model is another one")


def test_other_texts_are_another_comparison(graph, tmp_path):
    compare(["ours"], Task(graph, quiet=True), model=make_model(), processor=make_processor(graph), folder=tmp_path)
    texts = [graph.entities.texts[1], *graph.entities.texts[1:]]
    entities = Vocabulary("entities", graph.entities.ids, texts)
    splits = {name: (split.triplets, split.labels) for name, split in graph.splits.items()}
    other = KnowledgeGraph(entities, graph.relations, splits)
    with pytest.raises(LassError) as error:
        compare(["ours"], Task(other, quiet=True), model=make_model(), processor=make_processor(other), folder=tmp_path)
    one_line(error, "ours.json", "the texts")


def test_a_damaged_file_of_a_method_is_refused(quiet_task, tmp_path, trainings):
    (tmp_path / "transe.json").write_text('{"format": 2, "metrics": {}}')
    with pytest.raises(LassError) as error:
        compare(["transe"], quiet_task, folder=tmp_path)
    one_line(error, "transe.json", "choose another --output")
    assert not trainings


# What is refused before any training


@pytest.mark.parametrize(
    ("methods", "choices", "told"),
    [
        (["transe"], {"minutes": 0}, "minutes=0; expected more than 0"),
        (["transe"], {"minutes": -1}, "minutes=-1; expected more than 0"),
        (["transe"], {"minutes": float("nan")}, "minutes=nan; expected more than 0"),
        (["ours"], {"minutes": 5, "model": "bi-encoder"}, "minutes=5 is for trainings"),
        (["transe"], {"dtype": "foo"}, "dtype='foo'; expected one of auto"),
        (["transe"], {"dtype": "float32"}, "dtype='float32' is the precision of a text model"),
        (["transe", "ours"], {"dtype": "foo", "model": "bi-encoder"}, "dtype='foo'; expected one of auto"),
        (["transe"], {"model": "bi-encoder"}, "a model is given, which is the method ours"),
        (["transe", "ours"], {"model": "cross-encoder"}, "bi-encoder"),
        (["transe", "ours"], {"model": None}, "needs a model and its processor"),
    ],
)
def test_wrong_choices_are_refused_and_no_method_that_failed(methods, choices, told, quiet_task, trainings):
    if "model" in choices:
        architecture = choices["model"]
        processor = make_processor(quiet_task.graph, architecture="bi-encoder")
        choices = {**choices, "model": architecture and make_model(architecture=architecture), "processor": processor}
    with pytest.raises(LassError) as error:
        compare(methods, quiet_task, **choices)
    one_line(error, told)
    assert not trainings


def test_what_a_method_needs_is_checked_before_any_training(graph, trainings, monkeypatch):
    task = Task(graph, quiet=True)
    with pytest.raises(LassError, match="ours is a text model, and none is given"):
        compare(["transe", "ours"], task)
    splits = {"test": (graph["test"].triplets, None)}
    without = Task(KnowledgeGraph(graph.entities, graph.relations, splits), quiet=True)
    for method in ("transe", "rules"):
        with pytest.raises(GraphError, match="no training triplets"):
            compare([method], without)
    with pytest.raises(GraphError, match="no split 'future'"):
        compare(["transe"], Task(graph, "future"))
    monkeypatch.setattr("lass_hf.comparison.contenders.check_pykeen", lambda: (_ for _ in ()).throw(LassError("none")))
    with pytest.raises(LassError, match="none"):
        prepare(["rules", "transe"], task)
    prepare(["rules"], task)
    assert not trainings
