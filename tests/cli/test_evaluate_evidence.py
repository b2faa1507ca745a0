"""`lass-hf evaluate` by evidence: with a model and without, what it prints, writes and puts on the card."""

import shutil

import pytest
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor
from helpers.command_line import content_of, run
from helpers.evidence import some_evidence

from lass_hf import evaluate_link_prediction
from lass_hf.evidence import fusion_fitting
from lass_hf.evidence.evidence_files import evidence_fingerprint, save_evidence, summarize_evidence
from lass_hf.hub.card_files import model_card_data, render_shared_card, update_card, write_card

KINDS = ("text", "frequency", "rules")


@pytest.fixture(scope="module")
def saved(tmp_path_factory, graph):
    folder = tmp_path_factory.mktemp("saved")
    model, processor = bi_encoder_model(), bi_encoder_processor(graph)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    save_evidence(some_evidence(graph, model, processor, KINDS), folder / "evidence", graph)
    write_card(folder, {**model_card_data(model, processor), "training": None, "evaluations": []}, graph)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "model")


@pytest.fixture
def asked(folder, graph_folder, tmp_path):
    return ("evaluate", "--model", folder, "--graph", graph_folder, "--json", tmp_path / "found.json", "--quiet")


@pytest.fixture(autouse=True)
def _fit_fast(monkeypatch):
    monkeypatch.setattr(fusion_fitting, "STRENGTHS", (10.0,))
    monkeypatch.setattr(fusion_fitting, "MAX_ITERATIONS", 3)


def test_the_results_say_what_ranked(asked, graph, tmp_path, capsys):
    evidence = some_evidence(graph, bi_encoder_model(), bi_encoder_processor(graph), KINDS)
    assert run(*asked) == 0
    content = content_of(tmp_path / "found.json")
    assert content["evidence"]["fingerprint"] == evidence_fingerprint(evidence)
    assert content["evidence"]["kinds"] == list(KINDS)
    assert content["ranking_weights"] is None
    assert content["evidence_seconds"].keys() == {"evidence", "ranking"}
    out = capsys.readouterr().out
    assert "share of each kind: text 25%, frequency 25%, rules 25%\nranking: " in out
    assert run(*asked, "--evidence", "text") == 0
    text = content_of(tmp_path / "found.json")
    assert text["evidence"] is None
    expected = evaluate_link_prediction(bi_encoder_model(), bi_encoder_processor(graph), graph, quiet=True)
    assert text["ranks"] == expected.ranks.tolist()


def test_the_card_tells_text_from_structure(asked, folder, graph):
    for choice in ("auto", "text", "rules,text"):  # the last has weights that the folder has not
        assert run(*asked, "--evidence", choice) == 0
    card = (folder / "README.md").read_text()
    assert "### Link prediction, text and structure: test split" in card
    assert "### Link prediction, text alone: test split" in card
    assert card.count("### ") == 2
    assert "one fitted score of text (25 %), frequency (25 %), rules (25 %)" in card
    assert "fitted on 6 queries (validation)" in card
    assert render_shared_card(folder, "user/animals", "vocabulary").count("### Link prediction:") == 1  # no evidence
    (folder / "evidence" / "rules.tsv").write_text("confidence\thead\tbody\n")
    update_card(folder, graph)
    assert "text and structure:" not in (folder / "README.md").read_text()  # these were figures of other rules
    shutil.rmtree(folder / "evidence")
    update_card(folder, graph)
    assert "evidence" not in (folder / "README.md").read_text()


def test_an_ablation_is_a_table_and_in_the_results(asked, tmp_path, capsys):
    assert run(*asked, "--evidence", "frequency,rules", "--ablate") == 0
    rows = content_of(tmp_path / "found.json")["ablation"]
    assert [row["kinds"] for row in rows] == [["frequency"], ["rules"], ["frequency", "rules"]]
    assert {row["source"] for row in rows} == {"structure"}
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    start = lines.index(["evidence", "made", "of", "MRR", "Hits@1", "Hits@10", "MR", "seconds"])
    for line, row in zip(lines[start + 1 :], rows, strict=False):
        assert line[:3] == [",".join(row["kinds"]), "structure", f"{row['mrr']:.4f}"]


def test_a_graph_is_ranked_without_a_model(graph_folder, tmp_path, capsys):
    file = tmp_path / "found.json"
    given = ("--graph", graph_folder, "--evidence", "frequency", "--json", file, "--quiet")
    assert run("evaluate", *given) == 0
    content = content_of(file)
    assert (content["model"], content["fingerprint"], content["training"]) == (None, None, None)
    assert content["evidence"]["kinds"] == ["frequency"]
    assert "weights: " in capsys.readouterr().out
    assert not list(tmp_path.glob("*.progress"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--evidence", "vectors"), "evidence: no vectors in this evidence, which has text, frequency, rules"),
        (("--evidence", "rulez"), "evidence 'rulez'; expected some of text, neighbors, frequency, rules, vectors"),
        (("--relations", "--evidence", "rules"), "--relations and --evidence or --ablate exclude each other"),
        (
            ("--ablate", "--evidence", "text"),
            "--ablate compares kinds of evidence: it needs --evidence other than text",
        ),
        (("--neighbor_weight", "0.5"), "--neighbor_weight is for rankings by text alone"),
        (("--keep_weights",), "weights of its own: add --evidence text"),
    ],
)
def test_what_does_not_fit_evidence_is_refused(flags, message, asked, bad_input):
    assert message in bad_input(*asked, *flags)


def test_weights_of_text_alone_are_for_text_alone(asked, tmp_path):
    assert run(*asked, "--evidence", "text", "--neighbor_weight", "0.5") == 0
    assert content_of(tmp_path / "found.json")["ranking_weights"]["neighbor_weight"] == 0.5


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "neither --model nor --graph"),
        (("--graph", "umls"), "neither --model nor --evidence"),
        (("--graph", "umls", "--evidence", "text"), "neither --model nor --evidence"),
        (("--graph", "umls", "--evidence", "rules", "--relations"), "--relations needs --model"),
        (("--graph", "umls", "--evidence", "rules", "--dtype", "float32"), "--dtype needs --model"),
    ],
)
def test_what_needs_a_model_is_refused_without_one(flags, message, bad_input):
    assert message in bad_input("evaluate", *flags)


def test_a_split_that_is_not_there_is_refused_before_evidence_is_found(graph_folder, bad_input, monkeypatch):
    evaluating = "lass_hf.evaluation.evaluate_and_record.choose_evidence"
    monkeypatch.setattr(evaluating, lambda *_, **__: pytest.fail("it searched"))
    asked = ("evaluate", "--graph", graph_folder, "--evidence", "rules", "--split", "future")
    assert "no split 'future'" in bad_input(*asked)


def test_an_ablation_needs_evidence(model_folder, graph_folder, bad_input):
    asked = ("evaluate", "--model", model_folder, "--graph", graph_folder, "--ablate")
    assert "no evidence beside the text whose kinds could be compared" in bad_input(*asked)


def test_shared_files_have_evidence_only_with_the_triplets(folder):
    from lass_hf.hub.upload import list_shared_files

    names = {what: {file.parent.name for file in list_shared_files(folder, what)} for what in ("full", "vocabulary")}
    assert names == {"full": {"model", "evidence"}, "vocabulary": {"model"}}
    assert summarize_evidence(folder / "evidence")["kinds"] == list(KINDS)
