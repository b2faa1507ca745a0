"""Audits of whole small graphs: nonsense comes first, files, and what is refused."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.audits import unit_vectors
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor
from helpers.command_line import content_of, run
from helpers.tiny import TRAIN, make_graph, one_line
from helpers.towns import QUICK, SMALL, texts_of_towns, towns, write_towns
from transformers import BertModel

from lass_hf import KnowledgeGraph
from lass_hf.audit import auditing, measuring
from lass_hf.audit.audit_files import (
    FINDINGS_FILE,
    SIGNALS_FILE,
    audit_identity,
    only_audit,
    write_audit,
)
from lass_hf.audit.auditing import audit_graph, true_facts
from lass_hf.audit.entity_findings import find_odd_entities
from lass_hf.audit.findings import SignalWords, find_better, find_reasons, usual_length
from lass_hf.audit.measuring import evaluate_audit
from lass_hf.audit.model_signals import chance_by_heart
from lass_hf.audit.neighbor_signals import simple_adjacency
from lass_hf.audit.pattern_signals import pattern_signals
from lass_hf.audit.signals import SIGNALS, Signals
from lass_hf.audit.suspicion import fit_suspicion
from lass_hf.audit.vector_signals import ranks_out_of_fold, vector_signals
from lass_hf.completion.completion_files import only_completion
from lass_hf.core.errors import GraphError, LassError
from lass_hf.core.known_triplets import KnownTriplets
from lass_hf.scoring.chunk_progress import differences
from lass_hf.scoring.output_folders import RESULTS
from lass_hf.scoring.step_progress import StepProgress
from lass_hf.structure.answer_ranks import AnswerRanks, rank_by_vectors
from lass_hf.structure.facts import Facts
from lass_hf.structure.vector_training import train_structural_vectors
from lass_hf.utils.distributed import processes

AUDIT_FILE = RESULTS["audit"]


@pytest.fixture
def bi_encoder():
    graph = make_graph()
    return bi_encoder_model(), bi_encoder_processor(graph), graph


def test_a_wrong_country_is_the_most_suspicious(audit):
    graph = towns()
    assert (audit.triplets == true_facts(graph).triplets).all()
    assert graph.entities.ids[audit.triplets[audit.order()[0], 2]] == "43"
    assert ((audit.suspicion >= 0) & (audit.suspicion <= 1)).all()
    assert min(audit.num_injected.values()) > 10
    findings = find_reasons(audit, graph, 3)
    assert len(findings.kinds) == len(findings.against) == len(findings.better) == 3
    assert "patterns" in findings.kinds[0]
    assert (
        'the graph also has: entity 0 relation 1 entity 40; without this triplet, 100 % of the 40 heads of "relation '
        '1" have one tail only'
    ) in findings.against[0]
    assert set(audit.signals.names) <= set(SIGNALS)


def with_signals(audit, position, **changed):
    """The audit with one triplet first, and signals that differ from their middle where they are changed alone."""
    values = np.zeros_like(audit.signals.values)
    for name, own in changed.items():
        values[audit.signals.names.index(name)] = own
    suspicion = (np.arange(len(audit.triplets)) == position).astype(float)
    return replace(audit, suspicion=suspicion, signals=replace(audit.signals, values=values))


@pytest.mark.parametrize(("share", "is_reason"), [(0.85, False), (0.97, True)])
def test_a_second_tail_is_a_reason_only_where_nearly_all_heads_have_one(audit, share, is_reason):
    wrong = int(audit.order()[0])
    findings = find_reasons(with_signals(audit, wrong, second_tail=-share), towns(), 1)
    assert findings.kinds == ["patterns" if is_reason else "all signals together"]
    assert any("97 % of the 40 heads" in one for one in findings.against[0]) == is_reason


def test_a_second_tail_is_no_reason_where_few_heads_are_known(audit):
    rows = audit.triplets[:, 1] == 0
    rows[np.flatnonzero((audit.triplets[:, 1] == 1) & (audit.triplets[:, 0] < 5))] = True
    few = replace(
        audit, triplets=audit.triplets[rows], suspicion=audit.suspicion[rows], signals=audit.signals.select(rows)
    )
    assert (few.triplets[:, 1] == 1).sum() == 6  # of 5 heads, one of which has two tails
    patterns = SignalWords(few, towns()).are_broken(np.arange(len(few.triplets)))
    values = few.signals.values[few.signals.names.index("second_tail")]
    assert values.min() == -1
    assert not patterns[few.signals.names.index("second_tail")].any()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mirror_missing", '60 % of the other triplets of "relation 1" are there in both directions'),
        ("mirror_present", '60 % of the other triplets of "relation 1" have one direction'),
        ("cycle", 'it closes a circle of "relation 1", and 60 % of the other triplets of "relation 1" are in none'),
        ("self_loop", 'it leads from an entity to itself, and 60 % of the other triplets of "relation 1" do not'),
    ],
)
def test_a_broken_pattern_is_named_with_the_share_that_keeps_to_it(audit, name, words):
    changed = with_signals(audit, int(audit.order()[0]), **{name: -0.6})
    assert find_reasons(changed, towns(), 1).against[0][0].startswith(words)


def test_a_triplet_without_an_unusual_signal_is_listed_with_the_least_usual_ones(audit):
    graph, wrong = towns(), int(audit.order()[0])
    own = np.flatnonzero(audit.triplets[:, 1] == audit.triplets[wrong, 1])
    levels = np.zeros(len(audit.triplets))
    levels[np.concatenate([[wrong], own[own != wrong]])] = [8, *range(8), *range(9, len(own))]  # 8 of 41 are lower
    findings = find_reasons(
        with_signals(audit, wrong, rules=levels, text_of_pair=levels, text_analogs=levels), graph, 1
    )
    assert findings.kinds == ["all signals together"]
    assert findings.against[0] == [
        "no signal is unusual alone, all together are; least usual: no rule, or only a weak one, leads to it (21 % of "
        "the relation's triplets look worse); the texts of head and tail are further apart than is usual for this "
        "relation (21 % of the relation's triplets look worse)"
    ]
    assert find_reasons(with_signals(audit, wrong), graph, 1).against[0] == [
        "no signal stands out: only all of them together speak against it"
    ]


def test_reasons_are_without_the_words_of_methods():
    for _, words in SIGNALS.values():
        assert not {"vectors", "rank", "ranks", "symmetric", "mirror", "functional", "profile"} & set(words.split())


def test_a_better_value_is_named_once_if_it_is_more_than_its_share(audit):
    graph, count = towns(), len(audit.triplets)
    is_own = np.arange(count) % 5 < 3  # Three of five own values come first, and so does the best other one.
    own, other = np.log(np.where(is_own, 0.8, 0.1)), np.log(np.where(is_own, 0.1, 0.8))
    ranks = AnswerRanks(own, own, 1 - audit.triplets[:, 1], other)
    profiles = replace(audit.profiles, best_relations=ranks.best, log_probabilities=np.stack([own, other], axis=1))
    changed = replace(audit, answers=[AnswerRanks.unknown(count), ranks, AnswerRanks.unknown(count)], profiles=profiles)
    named = find_better(changed, graph, np.arange(count))
    shares = np.bincount(audit.triplets[:, 1]) / count
    assert 2 * shares[0] > 0.6 > 2 * shares[1]
    for relation, is_first, lines in zip(audit.triplets[:, 1], is_own, named, strict=True):
        assert len(lines) == (relation == 0 and not is_first)  # 0 is too common to be better than 1.
    assert (
        "a better relation: relation 1 (chance 0.60 if this one is wrong" in next(lines for lines in named if lines)[0]
    )


def test_a_killed_audit_goes_on_and_no_training_is_done_twice(audit, tmp_path, monkeypatch):
    choices = {"num_folds": 2, "vector_choices": SMALL, "quiet": True, "seed": 3}

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lass_hf.audit.auditing.fit_suspicion", killed)
        with pytest.raises(KeyboardInterrupt):
            audit_graph(towns(), texts=texts_of_towns(), **choices, progress=StepProgress(tmp_path))
    for name in ("auditing.train_structural_vectors", "vector_signals.train_structural_vectors", "auditing.find_rules"):
        monkeypatch.setattr(f"lass_hf.audit.{name}", killed)
    again = audit_graph(towns(), texts=texts_of_towns(), **choices, progress=StepProgress(tmp_path))
    np.testing.assert_array_equal(again.suspicion, audit.suspicion)
    np.testing.assert_array_equal(again.signals.values, audit.signals.values)
    assert find_reasons(again, towns(), 9).better == find_reasons(audit, towns(), 9).better


def test_vectors_judge_only_triplets_that_they_never_saw():
    facts = true_facts(towns())
    known = KnownTriplets(facts.triplets, facts.num_entities, facts.num_relations)
    answers = ranks_out_of_fold(facts, known, 2, SMALL, seed=5)
    folds = np.random.default_rng(5).permutation(len(facts.triplets)) % 2
    for fold in (0, 1):
        others = Facts(facts.triplets[folds != fold], facts.num_entities, facts.num_relations)
        vectors = train_structural_vectors(others, SMALL, seed=5 + fold)
        for slot in (0, 1, 2):
            ranks, rows = rank_by_vectors(vectors, facts.triplets[folds == fold], slot, known)
            own = np.flatnonzero(folds == fold)[rows]
            np.testing.assert_allclose(answers[slot].log_probabilities[own], ranks.log_probabilities, rtol=1e-5)
    signals = vector_signals(answers)
    np.testing.assert_array_equal(signals["vectors_tail"], answers[2].log_probabilities)
    np.testing.assert_array_equal(signals["vectors_head_rank"], -np.log(answers[0].ranks))


def test_a_model_counts_in_the_fit_only_by_triplets_that_it_never_saw(bi_encoder, monkeypatch):
    model, processor, graph = bi_encoder
    asked = []

    def fit(features, is_injected, is_fitted, *more):
        asked.append((features.shape[1], int(is_fitted.sum()), len(features)))
        return np.full(len(features), 0.5)

    monkeypatch.setattr("lass_hf.audit.auditing.fit_suspicion", fit)
    choices = {"texts": unit_vectors(count=graph.num_entities), "num_folds": 2, "vector_choices": SMALL, "quiet": True}
    audit = audit_graph(graph, model, processor, **choices)
    assert (audit.model_counts, "model_tail" in audit.signals.names) == ("none", False)
    assert audit.num_held_out == len(audit.triplets) - len(graph["train"])
    monkeypatch.setattr("lass_hf.audit.auditing.LEAST_HELD_OUT", 1)
    audit = audit_graph(graph, model, processor, **choices)
    assert {"model_tail", "model_tail_rank", "model_head", "model_head_rank"} <= set(audit.signals.names)
    assert np.isfinite(audit.signals.values[audit.signals.names.index("model_tail")]).all()
    assert audit.model_counts == "all"
    (without, all_rows, size), (with_model, some_rows, _) = asked
    assert all_rows == size
    assert with_model == without + 8
    assert some_rows == size - len(graph["train"])


def test_a_model_that_knows_train_by_heart_counts_for_the_others_alone(bi_encoder, monkeypatch):
    model, processor, graph = bi_encoder
    monkeypatch.setattr("lass_hf.audit.auditing.LEAST_HELD_OUT", 1)
    monkeypatch.setattr("lass_hf.audit.auditing.chance_by_heart", lambda *_: 0.9)
    monkeypatch.setattr(
        "lass_hf.audit.auditing.fit_suspicion", lambda features, *_: np.full(len(features), features.shape[1] / 1000)
    )
    choices = {"texts": unit_vectors(count=graph.num_entities), "num_folds": 2, "vector_choices": SMALL, "quiet": True}
    without = audit_graph(graph, **choices).suspicion
    audit = audit_graph(graph, model, processor, **choices)
    seen = graph.known_in_train.contains(audit.triplets)
    assert 0 < seen.sum() < len(seen)
    np.testing.assert_allclose(audit.suspicion, np.where(seen, without, without + 0.008))
    assert audit.model_counts == "outside of train"
    own = audit.signals.values[audit.signals.names.index("model_tail")]
    np.testing.assert_array_equal(np.isnan(own), seen)  # what does not count speaks against nothing


def test_the_chance_by_heart_is_how_often_a_seen_triplet_comes_before_an_unseen_one():
    rng = np.random.default_rng(0)
    signals = {name: rng.normal(size=40).astype(np.float32) for name in ("model_tail", "model_head")}
    seen = np.arange(40) % 3 == 0
    unseen = ~seen & (np.arange(40) > 10)
    expected = np.mean([(own[seen][:, None] > own[unseen]).mean() for own in signals.values()])
    assert chance_by_heart(signals, seen, unseen) == pytest.approx(expected)
    assert chance_by_heart({}, seen, unseen) is None
    assert chance_by_heart(signals, seen, np.zeros(40, bool)) is None


def test_patterns_are_those_of_the_graph_without_the_errors_of_the_fit(audit):
    graph = towns()
    own = pattern_signals(KnownTriplets(audit.triplets, graph.num_entities, graph.num_relations))
    for name, values in own.items():
        np.testing.assert_array_equal(audit.signals.values[audit.signals.names.index(name)], values)


def test_what_a_graph_labels_true_and_false_is_a_finding():
    graph = towns()
    wrong = graph["train"].triplets[:1]
    labels = np.zeros(1, np.int8)
    both = KnowledgeGraph(
        graph.entities, graph.relations, {"train": (graph["train"].triplets, None), "test": (wrong, labels)}
    )
    audit = audit_graph(both, texts=texts_of_towns(), num_folds=2, vector_choices=SMALL, quiet=True)
    place = int(np.flatnonzero((audit.triplets == wrong).all(axis=1))[0])
    assert audit.suspicion[place] >= 0.5
    findings = find_reasons(audit, both, len(audit.triplets))
    rank = audit.order().tolist().index(place)
    assert "labels" in findings.kinds[rank]
    assert np.isnan(findings.shares[audit.signals.names.index("contradiction"), rank])  # it is broken, and no share


def test_the_files_hold_the_findings_and_are_not_those_of_another_audit(audit, encoder_folder, tmp_path):
    graph, choices = towns(), {"encoder": encoder_folder, "dtype": "auto", "seed": 3}
    folder = tmp_path / "out"
    identity = audit_identity(graph, None, None, 4, **choices)
    with only_audit(folder, identity):
        write_audit(folder, audit, graph, identity, graph_name="towns", seed=3)
    rows = table_of(folder / FINDINGS_FILE)
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    assert rows[0]["tail"] == "43"
    assert len({(row["head"], row["relation"], row["tail"]) for row in rows}) == 4
    signals = table_of(folder / SIGNALS_FILE)
    for row, signal, position in zip(rows, signals, audit.order(), strict=False):
        assert float(row["score"]) == pytest.approx(1 - audit.suspicion[position], abs=1e-6)
        assert float(row["probability"]) == pytest.approx(1 - audit.suspicion[position])
        assert row["kind"]
        assert signal["rank"] == row["rank"]
        values = [float(signal[name] or "nan") for name in audit.signals.names]
        np.testing.assert_allclose(values, audit.signals.values[:, position], rtol=1e-5)
    content = json.loads((folder / AUDIT_FILE).read_text())
    assert content["metrics"]["findings"] == 4
    assert content["injected"] == audit.num_injected
    train, label = graph["train"], np.append(np.ones(len(graph["train"]), np.int8), np.int8(0))
    wrong = np.concatenate([train.triplets, [[0, 1, 42]]])
    labeled = KnowledgeGraph(graph.entities, graph.relations, {"train": (wrong, label)})
    others = [audit_identity(one, None, None, 4, **choices) for one in (towns(wrong=False), labeled)]
    for other in (*others, {**identity, "seed": 4}):
        with pytest.raises(LassError) as error, only_audit(folder, other):
            pass
        one_line(error, "the output of another audit", "choose another --output")
    (folder / AUDIT_FILE).unlink()
    with pytest.raises(LassError) as error, only_audit(folder, identity):
        pass
    one_line(error, f"has {FINDINGS_FILE} but no {AUDIT_FILE}")
    with pytest.raises(LassError) as error, only_completion(folder, {}):
        pass
    one_line(error, f"has {FINDINGS_FILE}, the output of another command", "choose another --output")


def test_an_audit_depends_on_the_weights_of_the_encoder_the_precision_and_the_texts_of_the_model(
    encoder_folder, tmp_path, bi_encoder
):
    folder = shutil.copytree(encoder_folder, tmp_path / "encoder")
    model, processor, graph = bi_encoder

    def identity(dtype="float32"):
        return audit_identity(graph, model, processor, 4, encoder=str(folder), dtype=dtype)

    before = json.loads(json.dumps(identity()))
    assert before == identity()
    assert (before["dtype"], before["device"]) == ("torch.float32", processes().device.type)
    assert differences(before, identity("bfloat16")) == "dtype was torch.float32, now torch.bfloat16"
    encoder = BertModel.from_pretrained(folder)
    encoder.embeddings.word_embeddings.weight.data += 1
    encoder.save_pretrained(folder)
    assert differences(before, identity()) == "the weights of the encoder are others"
    before = identity()
    processor = bi_encoder_processor(graph, max_length=20)
    assert differences(before, identity()) == "the texts have changed"


def table_of(file) -> list[dict[str, str]]:
    header, *lines = file.read_text().splitlines()
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]


def test_a_fit_judges_each_triplet_by_other_folds_and_knows_the_share_of_errors():
    rng = np.random.default_rng(0)
    is_injected = rng.random(400) < 0.3
    noise = rng.normal(size=(400, 3)).astype(np.float32)
    everything = np.ones(400, bool)
    assert fit_suspicion(noise, is_injected, everything, 0.05).mean() == pytest.approx(0.05, abs=0.03)
    assert abs(np.corrcoef(fit_suspicion(noise, is_injected, everything, 0.3), is_injected)[0, 1]) < 0.2
    noise[:, 0] = is_injected
    found = fit_suspicion(noise, is_injected, rng.random(400) < 0.5, 0.05)
    assert found[is_injected].min() > found[~is_injected].max()


def test_odd_entities_are_duplicates_and_those_whose_text_fits_nothing():
    facts = Facts.from_triplets(np.array([[0, 0, 4], [1, 0, 4], [2, 0, 3], [0, 1, 3], [1, 1, 3]]), 5, 2)
    texts = unit_vectors(count=5)
    texts[1] = texts[0]
    values = np.array([[0.9, 0.9, 0.0, 0.5, 0.5]], np.float32)
    found = find_odd_entities(
        facts, texts, simple_adjacency(facts), Signals(("text_of_pair",), values, np.zeros(5, int))
    )
    assert found.duplicates.tolist() == [[0, 1]]
    assert found.common.tolist() == [1]
    assert found.misfits.tolist() == []


def test_a_graph_that_is_too_small_is_refused():
    graph = KnowledgeGraph.from_triplets(TRAIN[:3])
    with pytest.raises(GraphError) as error:
        audit_graph(graph, texts=unit_vectors(count=graph.num_entities), num_folds=2, vector_choices=SMALL, quiet=True)
    one_line(error, "3 triplets", "an audit needs 10 of each")


@pytest.mark.parametrize("judge", [audit_graph, evaluate_audit])
def test_an_audit_that_cannot_be_is_refused_before_the_work(judge, graph, model, processor, monkeypatch):
    for module in (auditing, measuring):
        monkeypatch.setattr(module, "encode_with_bar", None)
    for choices, message in (
        ({"num_folds": 1}, "num_folds=1; expected a whole number of 2 or more"),
        ({"num_folds": 2.5}, "num_folds=2.5; expected a whole number of 2 or more"),
        ({"seed": -1}, "seed=-1; expected a whole number of 0 or more"),
        ({"model": model}, "model and processor belong together"),
    ):
        with pytest.raises(LassError, match=message):
            judge(graph, quiet=True, **choices)
    with pytest.raises(GraphError, match="the model is that of another graph"):
        judge(towns(), quiet=True, model=model, processor=processor)


def test_the_command_writes_findings(encoder_folder, tmp_path, capsys):
    folder = write_towns(tmp_path / "graph")
    model = tmp_path / "model"
    bi_encoder_model().save_pretrained(model)
    bi_encoder_processor(KnowledgeGraph.from_directory(folder)).save_pretrained(model)
    given = ["--graph", folder, "--encoder", encoder_folder, *QUICK, "--model", model, "--max", 7]
    assert run("audit", *(one for one in given if one != "--quiet"), "--output", tmp_path / "told") == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("lass-hf: note: ")]
    count = len(true_facts(towns()).triplets)
    assert len(notes) == 1  # and none of what a model may know by heart that counts nowhere
    assert f"the text model counts for no triplet: 0 of the {count} triplets are outside of train, and 200" in notes[0]
    assert notes[0].endswith("Too few would be left of this graph if so many were held out; leave --model out.")
    assert run("audit", *given, "--output", tmp_path / "out", "--json", tmp_path / "audit.json") == 0
    assert content_of(tmp_path / "audit.json")["model_counts"] == "none"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        AUDIT_FILE,
        FINDINGS_FILE,
        f"{FINDINGS_FILE}.metadata.json",
        "report.html",
        SIGNALS_FILE,
    ]
    assert len((tmp_path / "out" / FINDINGS_FILE).read_text().splitlines()) == 8
    assert content_of(tmp_path / "audit.json")["metrics"]["findings"] == 7


@pytest.mark.parametrize(("model_counts", "is_too_high"), [(None, False), ("none", False), ("all", True)])
def test_an_evaluation_says_that_it_counts_a_model_too_high_where_it_counts(
    model_counts, is_too_high, audit, encoder_folder, tmp_path, monkeypatch, capsys
):
    judged = replace(audit, model_counts=model_counts, by_heart=0.6 if model_counts == "all" else None)
    monkeypatch.setattr("lass_hf.audit.measuring.evaluate_audit", lambda *_, **__: (judged, {"auc": 0.5}, {}))
    folder = write_towns(tmp_path / "graph")
    assert run("audit", "--graph", folder, "--encoder", encoder_folder, "--evaluate") == 0
    shown = capsys.readouterr().err
    assert ("which counts it too high" in shown) == is_too_high
    assert ("lass-hf: note: the text model counts for" in shown) == (model_counts is not None)


@pytest.mark.parametrize(("triplets", "length"), [(30, 50), (499, 50), (1_190, 119), (9_996, 1_000), (10**6, 1_000)])
def test_a_list_is_a_tenth_of_the_graph_within_what_people_can_decide_about(triplets, length):
    assert usual_length(triplets) == length


def test_the_command_lists_a_share_of_the_graph_unless_a_number_is_given(encoder_folder, tmp_path, capsys):
    folder, choices = write_towns(tmp_path / "graph"), [one for one in QUICK if one != "--quiet"]
    given = ["--graph", folder, "--encoder", encoder_folder, *choices]
    count = len(true_facts(towns()).triplets)
    assert 50 < count < 500
    assert run("audit", *given, "--output", tmp_path / "usual", "--json", tmp_path / "usual.json") == 0
    shown = capsys.readouterr().out
    assert f"the 50 most suspicious of {count} triplets begin with" in shown
    assert "--evaluate instead of --output measures how many errors" in shown.splitlines()[-1]
    assert len(table_of(tmp_path / "usual" / FINDINGS_FILE)) == 50
    assert content_of(tmp_path / "usual.json")["metrics"]["findings"] == 50
    assert run("audit", *given, "--output", tmp_path / "usual", "--max", 50) == 0  # the same list
    assert run("audit", *given, "--output", tmp_path / "usual", "--max", 60) == 2
    assert run("audit", *given, "--output", tmp_path / "all", "--max", 1_000) == 0
    assert len(table_of(tmp_path / "all" / FINDINGS_FILE)) == count


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ([], "--output is not given; expected a folder for the findings, or --evaluate"),
        (["--output", "out", "--folds", 1], "--folds 1; expected 2 or more"),
        (["--output", "out", "--evaluate"], "leave out --output"),
        (["--evaluate", "--max", 7], "leave out --max"),
        (["--output", "out", "--errors", "x.tsv"], "--errors are what --evaluate looks for"),
        (["--output", __file__], "cannot be written (File exists); choose another --output"),
    ],
)
def test_bad_arguments_end_in_one_line(arguments, fault, bad_input):
    assert fault in bad_input("audit", "--graph", "countries", *arguments)


def test_a_model_of_another_graph_is_refused(model_folder, bad_input):
    fault = bad_input("audit", "--graph", "countries", "--model", model_folder, "--output", "out")
    assert "the model is that of another graph" in fault


def test_a_text_model_judges_a_triplet_without_the_names_of_its_neighbors(monkeypatch):
    graph = towns()
    processor = bi_encoder_processor(graph, num_neighbors=2)
    stores = []

    def signals(scorer, *_):
        stores.append(scorer.store)
        return {}

    monkeypatch.setattr("lass_hf.audit.auditing.model_signals", signals)
    monkeypatch.setattr("lass_hf.audit.auditing.LEAST_HELD_OUT", 0)
    more = {"texts": texts_of_towns(), "vector_choices": SMALL, "num_folds": 2, "quiet": True}
    audit_graph(graph, bi_encoder_model(), processor, **more)
    plain = bi_encoder_processor(graph).token_store(graph)
    rows = graph["train"].triplets[:5]
    assert not torch.equal(processor.token_store(graph).assemble(rows)["input_ids"], plain.assemble(rows)["input_ids"])
    for name, values in plain.assemble(rows).items():
        assert torch.equal(stores[0].assemble(rows)[name], values)
