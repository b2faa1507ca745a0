"""A ranking that stops, is interrupted or killed goes on with what is missing; its progress bars say so."""

import contextlib
import io
import itertools
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import pytest
from helpers.ranking import Table, same
from helpers.tiny import ENTITY_TEXT, RELATION_TEXT, TEST, TRAIN, VALIDATION, make_model, wordpiece_tokenizer

from lass_hf import KnowledgeGraph, LassForKGCompletion, LassProcessor, evaluate_link_prediction
from lass_hf.core.architectures import CrossEncoder
from lass_hf.core.errors import LassError
from lass_hf.evaluation.link_prediction import rank_split
from lass_hf.scoring import chunk_progress
from lass_hf.scoring.candidate_scores import scorer_from_triplets
from lass_hf.scoring.chunk_progress import ChunkProgress, remove_progress
from lass_hf.scoring.triplet_scorer import TripletScorer

SLOTS = (0, 2, 1)

# A ranking


class Stopping(Table):
    """A table that scores a few chunks and then raises."""

    def __init__(self, scores, chunks, error):
        super().__init__(scores)
        self.chunks, self.error = chunks, error

    def __call__(self, *arguments):
        if not self.chunks:
            raise self.error
        self.chunks -= 1
        return super().__call__(*arguments)


@pytest.mark.parametrize("chunk_size", [1, 30])
@pytest.mark.parametrize(
    ("chunks", "error"),
    [*((chunks, KeyboardInterrupt()) for chunks in (0, 1, 9, [2, 0, 5, 3])), (9, RuntimeError("stop"))],
    ids=str,
)
def test_a_stopped_ranking_goes_on_with_the_chunks_that_are_missing(chunks, error, chunk_size, dense_graph, tmp_path):
    folder = tmp_path / "progress"
    whole = Table.random(dense_graph)
    expected = rank_split(scorer_from_triplets(whole), dense_graph["test"], quiet=True, chunk_size=chunk_size)
    asked = []
    for number in [chunks] if isinstance(chunks, int) else chunks:
        score = Stopping(whole.scores, number, error)
        with pytest.raises(type(error)):
            rank_split(
                scorer_from_triplets(score),
                dense_graph["test"],
                quiet=True,
                chunk_size=chunk_size,
                progress=ChunkProgress(folder, {}),
            )
        asked += score.asked
        assert (len(score.asked) > 0) == (number > 0)
    rest = Table(whole.scores)
    result = rank_split(
        scorer_from_triplets(rest),
        dense_graph["test"],
        quiet=True,
        chunk_size=chunk_size,
        progress=ChunkProgress(folder, {}),
    )
    assert same(result, expected)
    assert asked + rest.asked == whole.asked
    remove_progress(folder)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def bars(monkeypatch):
    """The progress bars that are shown."""
    shown = []

    class Noted(chunk_progress.tqdm):
        def __init__(self, **choices):
            super().__init__(**choices, file=io.StringIO())
            shown.append(self)

    monkeypatch.setattr(chunk_progress, "tqdm", Noted)
    return shown


@pytest.mark.parametrize("chunk_size", [1, 30, 10**6])
@pytest.mark.parametrize("limit", [None, 20])
def test_the_progress_bar_ends_where_all_is_scored(limit, chunk_size, dense_graph, bars):
    score = Table.random(dense_graph)
    rank_split(scorer_from_triplets(score), dense_graph["test"], SLOTS, limit, chunk_size=chunk_size)
    asked = Counter(row[0] for row in score.asked)
    assert [(bar.initial, bar.total, bar.n) for bar in bars] == [(0, asked[slot], asked[slot]) for slot in SLOTS]


@pytest.mark.parametrize("chunks", [9, 40])
def test_the_progress_bar_of_a_resumed_ranking_starts_with_what_was_scored(chunks, dense_graph, tmp_path, bars):
    whole = Table.random(dense_graph)
    first = Stopping(whole.scores, chunks, KeyboardInterrupt())
    for score in (first, whole):
        with contextlib.suppress(KeyboardInterrupt):
            rank_split(
                scorer_from_triplets(score),
                dense_graph["test"],
                chunk_size=1,
                progress=ChunkProgress(tmp_path / "progress", {}),
            )
    done, rest = (Counter(row[0] for row in score.asked) for score in (first, whole))
    assert (done[2] > 0) == (chunks == 40)
    total = [done[slot] + rest[slot] for slot in (0, 2)]
    assert [(bar.initial, bar.total, bar.n) for bar in bars[-2:]] == [
        (done[slot], count, count) for slot, count in zip((0, 2), total, strict=True)
    ]


# An evaluation


def evaluate_in_chunks(model, processor, graph, before_chunk=lambda number: None, asked=None, split="train", **choices):
    """An evaluation in chunks of one query; `before_chunk` gets the number of each, `asked` what is scored."""
    score, numbers = TripletScorer.score, itertools.count()

    def noted(self, triplets, slot=None, progress=None):
        before_chunk(next(numbers))
        if asked is not None:
            asked.extend((slot, *triplet) for triplet in triplets.tolist())
        return score(self, triplets, slot, progress)

    choices = {"dtype": "float32", "quiet": True} | choices
    with (
        patch.object(TripletScorer, "score", noted),
        patch.object(CrossEncoder, "candidates_per_chunk", 1),
    ):
        return evaluate_link_prediction(model, processor, graph, split, **choices)


def animals(*splits, **more):
    return KnowledgeGraph.from_triplets(*splits, **more, entity_text=ENTITY_TEXT, relation_text=RELATION_TEXT)


def interrupt_at(chunks):
    def interrupt(number):
        if number == chunks:
            raise KeyboardInterrupt

    return interrupt


@pytest.mark.parametrize("chunks", [0, 3, 16])
def test_a_stopped_evaluation_scores_what_is_missing_and_an_ended_one_nothing(
    chunks, model, processor, graph, tmp_path
):
    whole, first, second = [], [], []
    expected = evaluate_in_chunks(model, processor, graph, asked=whole)
    with pytest.raises(KeyboardInterrupt):
        evaluate_in_chunks(model, processor, graph, interrupt_at(chunks), first, resume_dir=tmp_path / "a" / "b")
    result = evaluate_in_chunks(make_model(), processor, graph, asked=second, resume_dir=tmp_path / "a" / "b")
    assert same(result, expected)
    assert first + second == whole
    assert (len(first) > 0) == (chunks > 0)
    again = evaluate_in_chunks(model, processor, graph, interrupt_at(0), resume_dir=tmp_path / "a" / "b")
    assert same(again, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": lambda: make_model(seed=1)}, "the model is another one"),
        ({"processor": lambda: LassProcessor(wordpiece_tokenizer(), separators=False)}, "the texts have changed"),
        ({"graph": lambda: animals(TRAIN, VALIDATION[1:], TEST)}, "the graph has changed"),
        ({"split": "test"}, "split was train, now test"),
        ({"limit": 10}, "limit was None, now 10"),
        ({"seed": 3}, "seed was 42, now 3"),
        ({"slots": (1,)}, r"slots was \[0, 2\], now \[1\]"),
        ({"dtype": "bfloat16"}, "dtype was torch.float32, now torch.bfloat16"),
    ],
    ids=["model", "texts", "graph", "split", "limit", "seed", "slots", "dtype"],
)
def test_the_progress_of_another_evaluation_is_refused(change, message, model, processor, graph, tmp_path):
    choices = {"model": model, "processor": processor, "graph": graph, "resume_dir": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        evaluate_in_chunks(**choices, before_chunk=interrupt_at(3))
    changed = {name: value() if callable(value) else value for name, value in change.items()}
    with pytest.raises(LassError, match=message):
        evaluate_in_chunks(**choices | changed)


def test_the_progress_of_an_evaluation_among_other_candidates_is_refused(model, processor, tmp_path):
    """Two graphs that differ in a false triplet: as many candidates, but another one among them."""
    milk, house = (
        animals(TRAIN[:5], test=[(*TRAIN[0], 1), (other, "is_a", "animal", 0)]) for other in ("milk", "house")
    )
    with pytest.raises(KeyboardInterrupt):
        evaluate_in_chunks(model, processor, milk, interrupt_at(3), resume_dir=tmp_path)
    with pytest.raises(LassError, match="another evaluation"):
        evaluate_in_chunks(model, processor, house, resume_dir=tmp_path)


@pytest.mark.parametrize("choice", [{"split": "nowhere"}, {"limit": 0}, {"seed": -1}, {"dtype": "fp32"}], ids=str)
def test_an_evaluation_that_cannot_begin_leaves_no_progress(choice, model, processor, graph, tmp_path):
    with pytest.raises(LassError):
        evaluate_in_chunks(model, processor, graph, resume_dir=tmp_path / "progress", **choice)
    assert list(tmp_path.iterdir()) == []


# A killed process


def evaluate_saved(folder, resume_dir=None, kill_at=None, asked=None):
    def kill(number):
        if number == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    model, processor = LassForKGCompletion.from_pretrained(folder), LassProcessor.from_pretrained(folder)
    return evaluate_in_chunks(model, processor, processor.graph, kill, asked, resume_dir=resume_dir)


CHUNKS = (1, 4, 12)  # after which a process is killed


def evaluate_and_die(model, folder):
    for chunks in CHUNKS:
        child = os.fork()  # each evaluation in a process of its own, which has nothing to import any more
        if not child:
            evaluate_saved(model, f"{folder}/{chunks}", kill_at=chunks)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL, chunks


@pytest.fixture(scope="module")
def killed(model_folder, tmp_path_factory):
    """The folder of the progress of killed evaluations, by the number of chunks."""
    folder = tmp_path_factory.mktemp("killed")
    code = (
        "import sys; sys.path.insert(0, '..'); import test_resume_ranking as test; test.evaluate_and_die(*sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, model_folder, str(folder)]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def uninterrupted(model_folder):
    """A result, and what was scored for it."""
    asked = []
    return evaluate_saved(model_folder, asked=asked), asked


@pytest.mark.slow
@pytest.mark.parametrize("chunks", CHUNKS)
def test_an_evaluation_of_a_killed_process_goes_on_in_another(chunks, killed, uninterrupted, model_folder):
    expected, whole = uninterrupted
    assert len((killed / str(chunks) / "process-0.jsonl").read_bytes().splitlines()) == 1 + chunks
    asked = []
    assert same(evaluate_saved(model_folder, killed / str(chunks), asked=asked), expected)
    assert whole[len(whole) - len(asked) :] == asked
    assert 0 < len(asked) < len(whole)
