"""Answers to queries: compared with a loop over all candidates, cut, killed and shared."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers.evidence import some_evidence
from helpers.ranking import Table
from helpers.tiny import make_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from lass_hf.completion.answering import MOST_MARGIN, Reranking, answer_queries, top_of_rows
from lass_hf.completion.queries import choose_queries, observed_ranges
from lass_hf.core.errors import LassError, NonFiniteError
from lass_hf.scoring.candidate_scores import scorer_from_triplets
from lass_hf.scoring.chunk_progress import ChunkProgress
from lass_hf.structure.facts import Facts


@pytest.fixture(scope="module")
def graph():
    return make_graph()


@pytest.fixture(scope="module")
def asked(graph):
    return choose_queries(Facts.from_graph(graph))


def answers_by_loop(scores, graph, queries, slots, per_query, ranges):
    """Rows of triplet, slot, log probability, rank and margin."""
    known, rows = {tuple(one) for one in graph.known_in_train.triplets().tolist()}, []
    for query, slot in zip(queries, slots.tolist(), strict=True):
        logits = {}
        for candidate in graph.candidates[slot].tolist():
            triplet = tuple(np.where(np.arange(3) == slot, candidate, query).tolist())
            if triplet not in known:
                logits[triplet] = float(scores[triplet])
        total = np.log(sum(map(np.exp, logits.values()))) if logits else 0
        allowed = None if ranges is None else set(ranges[slot, query[1]].tolist())
        best = sorted((one for one in logits if allowed is None or one[slot] in allowed), key=lambda one: -logits[one])
        for rank, triplet in enumerate(best[:per_query], start=1):
            margin = logits[triplet] - logits[best[rank]] if rank < len(best) else MOST_MARGIN
            rows.append((triplet, slot, logits[triplet] - total, rank, margin))
    return rows


def answer(graph, score, asked, **choices):
    chosen = {"per_query": 3, "chunk_size": 40, **choices}
    return answer_queries(scorer_from_triplets(score), graph.known_in_train, graph.candidates[2], *asked, **chosen)


def assert_same(found, expected):
    for name, own in vars(expected).items():
        assert np.array_equal(getattr(found, name), own), name
        assert getattr(found, name).dtype == own.dtype, name


@pytest.mark.parametrize("in_range", [True, False])
@pytest.mark.parametrize(("per_query", "chunk_size"), [(1, 1), (3, 40), (50, 10**6)])
def test_answers_are_those_of_a_loop_over_all_candidates(graph, asked, per_query, chunk_size, in_range):
    score = Table.random(graph)  # with many ties
    ranges = observed_ranges(Facts.from_graph(graph)) if in_range else None
    found = answer(graph, score, asked, per_query=per_query, chunk_size=chunk_size, ranges=ranges)
    expected = answers_by_loop(score.scores, graph, *asked, per_query, ranges)
    assert [tuple(one) for one in found.triplets.tolist()] == [row[0] for row in expected]
    for name, column in (("slots", 1), ("ranks", 3)):
        assert getattr(found, name).tolist() == [row[column] for row in expected]
    for name, column in (("log_probabilities", 2), ("margins", 4)):
        assert getattr(found, name) == pytest.approx([row[column] for row in expected], abs=1e-5)


def test_probabilities_are_those_of_the_evidence(graph, asked):
    bound = some_evidence(graph).bind(graph)
    found = answer_queries(bound.score_candidates, graph.known, graph.candidates[2], *asked, per_query=2)
    assert len(found) > 20
    for triplet, slot, log in zip(found.triplets, found.slots.tolist(), found.log_probabilities.tolist(), strict=True):
        expected = bound.probabilities(triplet[None], slot, triplet[slot, None])[0, 0]
        assert np.exp(log) == pytest.approx(expected, rel=1e-4)


def test_no_answer_is_known_and_none_is_outside_of_the_range(graph, asked):
    ranges = observed_ranges(Facts.from_graph(graph))
    found = answer(graph, Table.random(graph), asked, ranges=ranges)
    assert not graph.known_in_train.contains(found.triplets).any()
    assert graph.known.contains(found.triplets).any()  # links that are held out of training are answers
    for triplet, slot in zip(found.triplets.tolist(), found.slots.tolist(), strict=True):
        assert triplet[slot] in ranges[slot, triplet[1]]


def test_an_entity_is_an_answer_to_its_own_query_only_of_relations_with_such_facts(graph, asked):
    everything = answer(graph, Table.random(graph), asked, per_query=50)
    found = answer(graph, Table.random(graph), asked, per_query=50, reflexive={graph.relations.find("eats")})
    is_dropped = np.equal(*everything.triplets[:, [0, 2]].T) & (
        everything.triplets[:, 1] != graph.relations.find("eats")
    )
    assert is_dropped.any()
    assert np.array_equal(found.triplets, everything.triplets[~is_dropped])
    assert np.array_equal(found.log_probabilities, everything.log_probabilities[~is_dropped])


@pytest.mark.parametrize(("top_k", "weight"), [(2, 0.0), (5, 0.5), (99, 0.0)])
def test_a_second_model_reorders_the_best_answers_and_keeps_their_probability_together(graph, asked, top_k, weight):
    first = Table.random(graph)
    second = Table(np.random.default_rng(1).normal(size=first.scores.shape))
    ranges = observed_ranges(Facts.from_graph(graph))
    everything = answers_by_loop(first.scores, graph, *asked, 10**6, ranges)
    reranking = Reranking(SimpleNamespace(score=second), top_k, weight)
    found, expected = answer(graph, first, asked, ranges=ranges, reranking=reranking), []
    starts = [number for number, row in enumerate(everything) if row[3] == 1]
    for start, end in zip(starts, [*starts[1:], len(everything)], strict=True):
        own = everything[start:end]
        scored = [(float(second.scores[row[0]]) / (weight or 1) + row[2] * (weight > 0), row[0]) for row in own[:top_k]]
        scored.sort(key=lambda one: -one[0])
        total = np.log(sum(np.exp(row[2]) for row in own[:top_k])) - np.log(sum(np.exp(one) for one, _ in scored))
        logs = [(one + total, triplet) for one, triplet in scored]
        logs += [(min(row[2], logs[-1][0]), row[0]) for row in own[top_k:]]
        for rank, (log, triplet) in enumerate(logs[:3], start=1):
            margin = log - logs[rank][0] if rank < len(logs) else MOST_MARGIN
            expected.append((triplet, rank, log, min(margin, MOST_MARGIN)))
    assert [tuple(one) for one in found.triplets.tolist()] == [row[0] for row in expected]
    assert found.ranks.tolist() == [row[1] for row in expected]
    assert found.log_probabilities == pytest.approx([row[2] for row in expected], abs=1e-3)
    assert found.margins == pytest.approx([row[3] for row in expected], abs=1e-3)


def test_a_relation_without_a_range_has_no_answers(graph, asked):
    assert len(answer(graph, Table.random(graph), asked, ranges={})) == 0


def test_no_queries_have_no_answers(graph):
    none = np.empty((0, 3), dtype=np.int64), np.empty(0, dtype=np.int64)
    found = answer(graph, Table.random(graph), none)
    assert (found.triplets.shape, len(found.margins)) == ((0, 3), 0)


class Stopping(Table):
    """Raises KeyboardInterrupt when it has scored some chunks."""

    def __init__(self, scores, chunks):
        super().__init__(scores)
        self.left = chunks

    def __call__(self, triplets, slot, progress=None):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return super().__call__(triplets, slot, progress)


@pytest.mark.parametrize("chunks", [0, 1, 5, 9])
def test_after_a_kill_the_rest_is_answered_and_nothing_twice(graph, asked, tmp_path, chunks):
    whole = Table.random(graph)
    expected = answer(graph, whole, asked)
    stopped, rest = Stopping(whole.scores, chunks), Table(whole.scores)
    with pytest.raises(KeyboardInterrupt):
        answer(graph, stopped, asked, progress=ChunkProgress(tmp_path / "progress", {"model": "a"}))
    found = answer(graph, rest, asked, progress=ChunkProgress(tmp_path / "progress", {"model": "a"}))
    assert_same(found, expected)
    assert stopped.asked + rest.asked == whole.asked


def test_the_chunks_of_two_processes_give_the_same_answers(graph, asked, tmp_path, monkeypatch):
    score = Table.random(graph)
    expected = answer(graph, score, asked)
    for number in (0, 1):  # each works on its own half; the second run of the first one finds both
        monkeypatch.setattr("lass_hf.scoring.chunk_progress.processes", lambda number=number: OneOfTwo(number))
        answer(graph, score, asked, progress=ChunkProgress(tmp_path / str(number), {}))
        (tmp_path / str(number) / f"process-{number}.jsonl").rename(tmp_path / f"process-{number}.jsonl")
    monkeypatch.undo()
    silent = Stopping(score.scores, 0)  # nothing is left to score
    assert_same(answer(graph, silent, asked, progress=ChunkProgress(tmp_path, {})), expected)


class OneOfTwo:
    num_processes = 2

    def __init__(self, number):
        self.process_index, self.is_main_process = number, number == 0

    def wait_for_everyone(self): ...


@pytest.mark.parametrize(("row", "value"), [(0, 999), (0, -1), (3, np.float32(1.0).view(np.int32)), (6, -1)])
def test_impossible_values_of_a_finished_chunk_are_refused(graph, asked, tmp_path, row, value):
    progress = ChunkProgress(tmp_path, {})
    score = Stopping(Table.random(graph).scores, 1)
    with pytest.raises(KeyboardInterrupt):
        answer(graph, score, asked, progress=progress)
    resumed = ChunkProgress(tmp_path, {})
    (values,) = resumed.finished.values()
    values[row] = value
    with pytest.raises(LassError, match="impossible values of chunk 0 of slot 0; delete "):
        answer(graph, score, asked, progress=resumed)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(graph, asked, value):
    score = Table.random(graph)
    score.scores[:, :, 3] = value
    with pytest.raises(NonFiniteError, match="NaN or infinite"):
        answer(graph, score, asked)


def test_before_it_goes_on_it_says_how_many_queries_and_how_long(graph, asked, capsys):
    answer(graph, Table.random(graph), asked, quiet=False)
    shown = capsys.readouterr().err
    assert f"{len(asked[0])} queries in " in shown
    assert "chunks: about 0:00:0" in shown
    answer(graph, Table.random(graph), asked)
    assert capsys.readouterr().err == ""


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(0, 12), st.integers(1, 5), st.integers(0, 99))
def test_the_top_of_rows_is_a_stable_sort_of_each(rows, columns, count, seed):
    scores = np.random.default_rng(seed).integers(4, size=(rows, columns)).astype(np.float32)
    scores[scores == 0] = -np.inf
    found, best = top_of_rows(scores, count)
    for row, own in enumerate(scores.tolist()):
        expected = [one for one in sorted(range(columns), key=lambda one: -own[one]) if own[one] > -np.inf][:count]
        assert found[row].tolist() == expected + [-1] * (count - len(expected))
        assert best[row, : len(expected)].tolist() == [own[one] for one in expected]
