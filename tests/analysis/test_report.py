"""`analyze` and `lass-hf analyze`: the files that they write, the numbers against the evaluations, and bad input."""

import base64
import json
import re

import numpy as np
import pytest
from helpers.pages import EVIL, Loads
from helpers.tiny import ENTITY_TEXT, RELATION_TEXT, TEST, TRAIN, VALIDATION, make_model, make_processor, write_graph

from lass_hf import KnowledgeGraph, LassProcessor, evaluate_link_prediction, evaluate_triplet_classification
from lass_hf.analysis import plots, report
from lass_hf.analysis.report import analyze
from lass_hf.cli.commands import main
from lass_hf.core.errors import GraphError, LassError, UnknownNameError
from lass_hf.evaluation.platt_scaling import fit_platt, reliability_curve, sigmoid
from lass_hf.utils.result_files import write_results

PAGES = {"index.html", "attention.html", "attention.png", "analysis.json"}


def numbers_of(folder):
    return json.loads((folder / "analysis.json").read_text(encoding="utf-8"))


def files_of(folder):
    return {file.name for file in folder.iterdir()}


def page_of(folder):
    return (folder / "index.html").read_text(encoding="utf-8")


# Triplet classification


@pytest.fixture(scope="module")
def classified(tmp_path_factory, labeled_graph, processor):
    folder = tmp_path_factory.mktemp("classified") / "new" / "folder"
    model = make_model()
    return folder, analyze(
        model, processor, labeled_graph, folder, dtype="float32", quiet=True, top_k=2, metadata={"model": "mine"}
    )


def test_a_labeled_split_is_classified(classified):
    folder, analysis = classified
    assert files_of(folder) == PAGES | {"errors_by_relation.png", "reliability.png"}
    written = numbers_of(folder)
    assert {name: written[name] for name in analysis} == analysis
    assert (written["task"], written["split"], written["model"]) == ("triplet_classification", "test", "mine")


def test_predictions_are_those_of_the_evaluation(classified, labeled_graph, processor):
    _, analysis = classified
    result = evaluate_triplet_classification(make_model(), processor, labeled_graph, dtype="float32", quiet=True)
    assert analysis["metrics"].items() >= result.metrics.items()
    assert analysis["threshold"] == result.threshold
    errors = sum(row["errors"] for row in analysis["errors_by_relation"])
    assert errors == (result.labels != result.predictions).sum()
    assert sum(row["share_of_errors"] for row in analysis["errors_by_relation"]) == pytest.approx(100)
    assert {row["label"] for row in analysis["confident"]["right"] + analysis["confident"]["wrong"]} <= {0, 1}


def test_probabilities_come_from_the_validation_split(classified, labeled_graph, processor):
    _, analysis = classified
    scores = {
        split: evaluate_triplet_classification(
            make_model(), processor, labeled_graph, split=split, dtype="float32", quiet=True
        ).scores
        for split in ("validation", "test")
    }
    platt = fit_platt(scores["validation"], labeled_graph["validation"].labels)
    assert analysis["platt"] == pytest.approx({"slope": platt.slope, "intercept": platt.intercept}, rel=1e-3)
    labels = labeled_graph["test"].labels
    assert analysis["metrics"]["ece_platt"] == pytest.approx(reliability_curve(platt(scores["test"]), labels).ece, 1e-3)
    assert analysis["metrics"]["ece_sigmoid"] == reliability_curve(sigmoid(scores["test"]), labels).ece


def test_the_attention_is_that_of_the_most_confident_right_true_triplet(classified, labeled_graph):
    _, analysis = classified
    confident = [row for row in analysis["confident"]["right"] if row["label"] == 1]
    head, relation, tail = labeled_graph["test"].positives[0].tolist()
    entities, relations = labeled_graph.entities.ids, labeled_graph.relations.ids
    expected = confident[0]["ids"] if confident else [entities[head], relations[relation], entities[tail]]
    assert analysis["attention"]["ids"] == expected
    assert np.sum(analysis["attention"]["between_segments"], axis=1) == pytest.approx(np.ones(4), abs=1e-5)


def test_the_report_shows_the_plots_and_loads_nothing(classified):
    folder, analysis = classified
    page = page_of(folder)
    loads = Loads(page)
    images = [address for address in loads.addresses if address.startswith("data:image/png;base64,")]
    assert [address for address in loads.addresses if address not in images] == ["attention.html"]
    content = {base64.b64decode(image.split(",")[1]) for image in images}
    assert content == {(folder / name).read_bytes() for name in files_of(folder) if name.endswith(".png")}
    assert "http://" not in page
    assert "https://" not in page
    assert "script" not in loads.tags
    assert f"{analysis['metrics']['accuracy']:.3f}" in page
    for row in analysis["errors_by_relation"]:
        name, rate, share = f">{row['text']}</td>", f"{row['error_rate']:.1f}", f"{row['share_of_errors']:.1f}"
        assert f'{name}<td class="n">{rate}</td><td class="n">{share}</td>' in page


def test_a_perfect_model_a_single_relation_and_a_relation_without_errors(processor, tmp_path):
    rows = [("cat", "eats", "mouse", 1), ("food", "eats", "garden", 0)]
    graph = KnowledgeGraph.from_triplets(TRAIN, rows, rows, entity_text=ENTITY_TEXT, relation_text=RELATION_TEXT)
    model = next(
        model
        for model in (make_model(seed=seed) for seed in range(50))
        if evaluate_triplet_classification(model, processor, graph, dtype="float32", quiet=True).metrics["accuracy"]
        == 1
    )
    analysis = analyze(model, processor, graph, tmp_path, dtype="float32", quiet=True)
    assert analysis["confident"]["wrong"] == []
    assert [row["errors"] for row in analysis["errors_by_relation"]] == [0]
    assert analysis["attention"]["ids"] == ["cat", "eats", "mouse"]
    assert "None." in page_of(tmp_path)


# Link prediction


@pytest.fixture(scope="module")
def ranked(tmp_path_factory, graph, processor):
    folder = tmp_path_factory.mktemp("ranked")
    return folder, analyze(make_model(), processor, graph, folder, dtype="float32", quiet=True, layer=1)


def test_a_split_without_labels_is_ranked(ranked, graph, processor):
    folder, analysis = ranked
    assert files_of(folder) == PAGES
    result = evaluate_link_prediction(make_model(), processor, graph, dtype="float32", quiet=True)
    assert analysis["metrics"] == result.metrics
    assert analysis["ranks"] == result.ranks.tolist()
    assert (analysis["by_relation"], analysis["by_category"]) == (result.by_relation, result.by_category)
    worst = analysis["worst_queries"]
    assert [row["rank"] for row in worst] == sorted(result.ranks.tolist(), reverse=True)
    for row in worst:
        assert row["outranked"] == row["rank"] - 1
    assert {name: numbers_of(folder)[name] for name in analysis} == analysis


def test_the_attention_is_that_of_the_first_triplet_in_the_given_layer(ranked):
    _, analysis = ranked
    assert analysis["attention"]["ids"] == list(TEST[0])
    assert (analysis["attention"]["layer"], analysis["attention"]["num_layers"]) == (1, 2)


def test_the_report_shows_every_relation_and_the_candidates_that_outranked_the_true_entity(ranked):
    folder, analysis = ranked
    page = page_of(folder)
    assert Loads(page).tags.count("details") == len(analysis["worst_queries"]) == 6
    for name in [*analysis["by_relation"], *analysis["by_category"]]:
        assert f"<td>{name}</td>" in page
    candidate = analysis["worst_queries"][0]["outranked_by"][0]
    assert f">{candidate['text']}</td>" in page
    assert f"{candidate['score']:.3f}" in page


def test_the_triplet_is_found_by_id_or_text(graph, processor, tmp_path):
    analysis = analyze(
        make_model(),
        processor,
        graph,
        tmp_path,
        triplet=("cat", "lives in", "house, a building to live in"),
        quiet=True,
        limit=1,
    )
    assert analysis["attention"]["ids"] == ["cat", "lives_in", "house"]
    assert analysis["metrics"]["num_triplets"] == 1
    page = (tmp_path / "attention.html").read_text(encoding="utf-8")
    assert re.search(r'<span class="part relation">lives in</span>', page)


@pytest.fixture
def evaluation(tmp_path, model_folder, graph_folder):
    """Writes the --json file of `lass-hf evaluate`."""
    file = tmp_path / "evaluation.json"
    assert (
        main(["evaluate", "--model", model_folder, "--graph", str(graph_folder), "--quiet", "--json", str(file)]) == 0
    )
    return file


def test_ranks_of_an_earlier_evaluation_are_not_computed_again(evaluation, graph, processor, tmp_path, monkeypatch):
    monkeypatch.delattr(report, "evaluate_link_prediction")
    content = json.loads(evaluation.read_text(encoding="utf-8"))
    analysis = analyze(make_model(), processor, graph, tmp_path / "out", ranks_file=evaluation, quiet=True)
    assert analysis["ranks"] == content["ranks"]
    assert analysis["metrics"] == content["metrics"]
    assert [row["rank"] for row in analysis["worst_queries"]] == sorted(content["ranks"], reverse=True)


def test_a_killed_ranking_goes_on(graph, processor, tmp_path, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "find_worst_queries", stop)
    with pytest.raises(KeyboardInterrupt):
        analyze(make_model(), processor, graph, tmp_path, quiet=True)
    assert files_of(tmp_path) == {"ranking.progress"}
    monkeypatch.undo()
    analyze(make_model(), processor, graph, tmp_path, quiet=True)
    assert files_of(tmp_path) == PAGES


def test_texts_with_markup_stay_texts(processor, tmp_path):
    texts = {**ENTITY_TEXT, "cat": EVIL, "garden": f"garden {EVIL}"}
    graph = KnowledgeGraph.from_triplets(TRAIN, VALIDATION, TEST, entity_text=texts, relation_text=RELATION_TEXT)
    processor = LassProcessor(processor.tokenizer, max_length=30)
    analyze(make_model(), processor, graph, tmp_path, quiet=True, metadata={"graph": EVIL})
    for name, scripts in (("index.html", 0), ("attention.html", 1)):
        loads = Loads((tmp_path / name).read_text(encoding="utf-8"))
        assert loads.tags.count("script") == scripts
        assert loads.handlers == []
        assert not [address for address in loads.addresses if address not in ("attention.html",)][1:]


# Bad input


@pytest.fixture
def no_scoring(monkeypatch):
    def never(*arguments, **choices):
        raise AssertionError("scored before the input was checked")

    for name in ("evaluate_link_prediction", "evaluate_triplet_classification", "TripletScorer"):
        monkeypatch.setattr(report, name, never)


@pytest.mark.parametrize(
    ("choices", "error", "message"),
    [
        ({"split": "dev"}, GraphError, "no split 'dev'"),
        ({"layer": 3}, LassError, "layer 3; expected 1 to 2"),
        ({"top_k": 0}, LassError, "top_k=0"),
        ({"triplet": ("cat", "eats")}, LassError, r"expected \(head, relation, tail\)"),
        ({"triplet": ("cat", "eats", "chees")}, UnknownNameError, "did you mean 'cheese'"),
        ({"triplet": ("cat", "devours", "milk")}, UnknownNameError, "relations"),
        ({"ranks_file": "ranks.json", "limit": 2}, LassError, "exclude each other"),
        ({"ranks_file": "missing.json"}, LassError, "missing.json: not a results file"),
    ],
)
def test_bad_input_is_an_error_before_any_scoring(choices, error, message, graph, processor, tmp_path, no_scoring):
    with pytest.raises(error, match=message):
        analyze(make_model(), processor, graph, tmp_path / "out", quiet=True, **choices)
    assert not (tmp_path / "out").exists()


def test_without_the_extra_nothing_is_scored(graph, processor, tmp_path, monkeypatch, no_scoring):
    monkeypatch.setattr(plots, "find_spec", lambda name: None)
    with pytest.raises(LassError, match=r"pip install lass-hf\[plots\]"):
        analyze(make_model(), processor, graph, tmp_path / "out", quiet=True)


def test_an_output_that_is_a_file_is_an_error(graph, processor, tmp_path, no_scoring):
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    for output in (file, file / "below"):
        with pytest.raises(LassError, match="choose another output"):
            analyze(make_model(), processor, graph, output, quiet=True)
    assert file.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", ["index.html", "attention.png"])
def test_pages_of_something_else_are_not_overwritten(name, graph, processor, tmp_path, no_scoring):
    (tmp_path / name).write_text("the start page of a site", encoding="utf-8")
    with pytest.raises(
        LassError, match=f"{tmp_path}: has {name} but no analysis.json, so no analysis wrote it; choose"
    ):
        analyze(make_model(), processor, graph, tmp_path, quiet=True)
    assert (tmp_path / name).read_text(encoding="utf-8") == "the start page of a site"


def test_a_folder_of_an_analysis_that_was_killed_is_written_again(graph, processor, tmp_path, monkeypatch):
    written, write = [], report.write_whole

    def kill(file, content):
        if written:
            raise KeyboardInterrupt
        written.append(file)
        write(file, content)

    monkeypatch.setattr(report, "write_whole", kill)
    with pytest.raises(KeyboardInterrupt):
        analyze(make_model(), processor, graph, tmp_path, quiet=True)
    monkeypatch.undo()
    for _ in range(2):  # and once more over a whole one
        analyze(make_model(), processor, graph, tmp_path, quiet=True)
        assert files_of(tmp_path) == PAGES


@pytest.mark.parametrize("choices", [{"limit": 2}, {"ranks_file": "ranks.json"}])
def test_ranks_and_limit_are_not_for_classification(choices, labeled_graph, processor, tmp_path, no_scoring):
    with pytest.raises(LassError, match="test split has labels"):
        analyze(make_model(), processor, labeled_graph, tmp_path / "out", quiet=True, **choices)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ranks": [1.0] * 4}, "4 ranks of the test split; expected 6"),
        ({"split": "validation"}, "6 ranks of the validation split; expected 6, those .* of the test split"),
        ({"by_relation": None}, "no by_relation in it"),
        ({"ranks": "all"}, "0 ranks of the test split; expected 6"),
        ({"ranks": [0.5, 1, 1, 1, 1, 1]}, "another graph"),
        ({"ranks": [1, 1, 1, 1, 1, 11]}, "another graph"),
        ({"fingerprint": "0" * 32}, "ranks of another model"),
        ({"fingerprint": None}, "no fingerprint in it; .* run it again"),
    ],
)
def test_ranks_that_do_not_fit_are_an_error(changes, message, evaluation, graph, processor, tmp_path, no_scoring):
    content = json.loads(evaluation.read_text(encoding="utf-8")) | changes
    write_results(evaluation, **{name: value for name, value in content.items() if value is not None})
    with pytest.raises(LassError, match=message):
        analyze(make_model(), processor, graph, tmp_path / "out", ranks_file=evaluation, quiet=True)


@pytest.mark.parametrize("other", [{"seed": 1}, {"margin": 3.0}])
def test_ranks_of_another_model_are_an_error(other, evaluation, graph, processor, tmp_path, no_scoring):
    with pytest.raises(LassError, match=r"evaluation.json: ranks of another model \(.*model.*\)"):
        analyze(make_model(**other), processor, graph, tmp_path / "out", ranks_file=evaluation, quiet=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", ["order", "text"])
def test_ranks_of_a_graph_that_has_changed_are_an_error(change, evaluation, processor, tmp_path, no_scoring):
    texts = ENTITY_TEXT | ({"cat": "cat, a large animal"} if change == "text" else {})
    test = TEST[::-1] if change == "order" else TEST
    changed = KnowledgeGraph.from_triplets(TRAIN, VALIDATION, test, entity_text=texts, relation_text=RELATION_TEXT)
    with pytest.raises(LassError, match=r"evaluation.json: ranks of another graph \(.*\), or of this one before"):
        analyze(make_model(), processor, changed, tmp_path / "out", ranks_file=evaluation, quiet=True)


@pytest.mark.parametrize(("evaluated", "analyzed"), [("bfloat16", "float32"), ("float32", "bfloat16")])
def test_ranks_in_another_precision_are_those_of_the_same_model(
    evaluated, analyzed, model_folder, graph_folder, graph, processor, tmp_path
):
    file = tmp_path / "evaluation.json"
    arguments = ["--model", model_folder, "--graph", graph_folder, "--dtype", evaluated, "--json", file, "--quiet"]
    assert run("evaluate", *arguments) == 0
    analysis = analyze(make_model(), processor, graph, tmp_path / "out", ranks_file=file, dtype=analyzed, quiet=True)
    assert analysis["ranks"] == json.loads(file.read_text(encoding="utf-8"))["ranks"]


# The command line


def run(*argv):
    return main([str(argument) for argument in argv])


def test_the_command_writes_the_folder_and_prints_a_summary(model_folder, graph_folder, tmp_path, capsys):
    file = tmp_path / "numbers.json"
    output = tmp_path / "out"
    arguments = ["--model", model_folder, "--graph", graph_folder, "--output", output, "--json", file, "--quiet"]
    assert run("analyze", *arguments, "--limit", 2, "--top_k", 1, "--triplet", "cat", "eats", "milk") == 0
    out = capsys.readouterr().out
    assert "mrr" in out
    assert str(output / "index.html") in out
    assert files_of(output) == PAGES
    content = json.loads(file.read_text(encoding="utf-8"))
    assert {**content, "seconds": 0} == {**numbers_of(output), "seconds": 0}  # Each file has its own time.
    assert (content["model"], content["limit"]) == (model_folder, 2)
    assert len(content["worst_queries"]) == 1
    assert content["attention"]["ids"] == ["cat", "eats", "milk"]


def test_the_command_classifies_a_labeled_graph(model_folder, labeled_graph, tmp_path, capsys):
    rows = {
        name: [
            (
                labeled_graph.entities.ids[h],
                labeled_graph.relations.ids[r],
                labeled_graph.entities.ids[t],
                str(label),
            )
            for (h, r, t), label in zip(split.triplets.tolist(), split.labels.tolist(), strict=True)
        ]
        for name, split in labeled_graph.splits.items()
        if name != "train"
    }
    folder = write_graph(tmp_path / "graph", validation=rows["validation"], test=rows["test"])
    output = tmp_path / "out"
    assert run("analyze", "--model", model_folder, "--graph", folder, "--output", output, "--quiet") == 0
    out = capsys.readouterr().out
    assert "accuracy" in out
    assert "ece_platt" in out
    assert (output / "reliability.png").is_file()


def test_a_wrong_layer_is_one_line(model_folder, graph_folder, tmp_path, capsys):
    arguments = [
        "--model",
        model_folder,
        "--graph",
        graph_folder,
        "--output",
        tmp_path / "out",
        "--layer",
        9,
        "--quiet",
    ]
    assert run("analyze", *arguments) == 2
    assert capsys.readouterr().err == "lass-hf: error: layer 9; expected 1 to 2, the layers of this BertModel\n"


# Bi-encoder


def test_a_bi_encoder_is_analyzed_without_attention(graph, tmp_path):
    processor = make_processor(graph, architecture="bi-encoder")
    model = make_model(architecture="bi-encoder", normalize=True)
    analysis = analyze(model, processor, graph, tmp_path, quiet=True)
    assert analysis["attention"] is None
    assert files_of(tmp_path) == {"index.html", "analysis.json"}
    assert "Attention" not in page_of(tmp_path)
    assert analysis["worst_queries"]
    with pytest.raises(LassError, match="no attention between head, relation and tail"):
        analyze(model, processor, graph, tmp_path, layer=1, quiet=True)
