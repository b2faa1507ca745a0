"""Finished chunks on disk: what was recorded comes back, whatever a kill left of the files."""

import json

import numpy as np
import pytest

from lass_hf.core.errors import LassError
from lass_hf.evaluation.ranking_result import are_possible_ranks
from lass_hf.scoring.chunk_progress import ChunkProgress, differences, remove_progress

IDENTITY = {"model": "a1", "split": "test", "limit": None, "slots": (0, 2)}
CHUNKS = {
    (0, 0): np.array([[1, 20], [1, 300], [10, 14541]]),
    (0, 1): np.array([[7], [8], [9]]),
    (2, 0): np.arange(9).reshape(3, 3),
}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "results" / "progress"


def record(folder, chunks, identity=IDENTITY):
    progress = ChunkProgress(folder, identity)
    for chunk, ranks in chunks.items():
        progress.record(chunk, ranks)
    return progress


def assert_finished(progress, chunks):
    assert sorted(progress.finished) == sorted(chunks)
    for chunk, ranks in chunks.items():
        assert progress.finished[chunk].dtype == np.int64
        assert progress.finished[chunk].tolist() == ranks.tolist()


def test_nothing_is_written_before_a_chunk_is_finished(folder):
    assert ChunkProgress(folder, IDENTITY).finished == {}
    assert not folder.exists()


def test_recorded_chunks_come_back_while_the_process_that_wrote_them_still_has_the_file_open(folder):
    writer = record(folder, CHUNKS)
    assert_finished(ChunkProgress(str(folder), IDENTITY), CHUNKS)
    assert writer.finished == {}


def test_chunks_recorded_in_several_runs_add_up(folder):
    for number, chunk in enumerate(CHUNKS):
        assert len(record(folder, {chunk: CHUNKS[chunk]}).finished) == number
    assert_finished(ChunkProgress(folder, IDENTITY), CHUNKS)


def test_a_file_cut_at_any_byte_resumes_with_its_whole_lines_and_goes_on(folder):
    record(folder, CHUNKS)
    file = folder / "process-0.jsonl"
    whole = file.read_bytes()
    for size in range(len(whole) + 1):
        file.write_bytes(whole[:size])
        kept = dict(list(CHUNKS.items())[: max(0, whole[:size].count(b"\n") - 1)])  # the first line is the identity
        progress = ChunkProgress(folder, IDENTITY)
        assert_finished(progress, kept)
        for chunk in CHUNKS.keys() - kept.keys():
            progress.record(chunk, CHUNKS[chunk])
        assert_finished(ChunkProgress(folder, IDENTITY), CHUNKS)


def test_digests_are_told_in_words_and_settings_with_their_values():
    one, other = "0a" * 16, "1b" * 16
    before = {"model": one, "texts": one, "graph": one, "graph_texts": one, "seed": 1, "reranker": None, "own": one}
    now = {"model": other, "texts": other, "graph": other, "graph_texts": one, "seed": 2, "reranker": {"model": one}}
    assert differences(before, now | {"own": other}) == (
        "the model is another one, the graph has changed, seed was 1, now 2, "
        "the reranker is another one, or there is none, own has changed"
    )
    assert differences({"texts": one}, {"texts": other}) == "the texts have changed"


@pytest.mark.parametrize(
    "garbage",
    [
        *(b"\0\0\0\0", b"\xff\xfe", b"", b"[1, 2]", b"{}", b'{"slot": 0, "chunk": 9}'),
        *(b'{"slot": 0, "chunk": 9, "values": ' + ranks for ranks in (b"[", b"null}", b"[[1], [1, 2]]}")),
    ],
)
def test_what_is_behind_a_damaged_line_is_dropped_and_recorded_anew(garbage, folder):
    record(folder, CHUNKS)
    file = folder / "process-0.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:2], garbage + b"\n", *lines[2:]]))
    first, *others = CHUNKS
    progress = record(folder, {chunk: CHUNKS[chunk] for chunk in others})
    assert_finished(progress, {first: CHUNKS[first]})
    assert file.read_bytes() == b"".join(lines)


def test_no_flipped_bit_changes_a_rank(folder):
    record(folder, CHUNKS)
    file = folder / "process-0.jsonl"
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        kept = whole[:place].count(b"\n") - 1
        assert_finished(ChunkProgress(folder, IDENTITY), dict(list(CHUNKS.items())[: max(0, kept)]))


def test_a_whole_line_of_another_evaluation_is_no_chunk_of_this_one(folder, tmp_path):
    record(folder, {(0, 0): CHUNKS[0, 0]})
    record(tmp_path / "other", {(0, 1): CHUNKS[0, 1]}, IDENTITY | {"split": "other"})
    line = (tmp_path / "other" / "process-0.jsonl").read_bytes().splitlines(keepends=True)[1]
    with (folder / "process-0.jsonl").open("ab") as file:
        file.write(line)
    assert_finished(ChunkProgress(folder, IDENTITY), {(0, 0): CHUNKS[0, 0]})


@pytest.mark.parametrize(
    ("chunk", "ranks"),
    [
        (2, [[1], [1], [1]]),  # there are chunks 0 and 1
        (-1, [[1], [1], [1]]),
        (1, [[1, 1], [1, 1], [1, 1]]),  # it has one row
        (1, [[1], [1]]),
        (1, [[0], [1], [1]]),
        (1, [[2], [1], [3]]),
        (1, [[1], [4], [3]]),
    ],
)
def test_chunks_that_the_evaluation_cannot_have_are_refused(chunk, ranks, folder):
    record(folder, {(2, chunk): np.array(ranks)})
    progress, rows = ChunkProgress(folder, IDENTITY), [np.arange(3), np.array([3])]
    with pytest.raises(LassError, match=f"impossible values of chunk {chunk} of slot 2; delete .*process-") as error:
        progress.of_slot(2, rows, 3, are_possible_ranks)
    assert str(folder) in str(error.value)
    assert progress.of_slot(0, rows, 3, are_possible_ranks) == {}


@pytest.mark.parametrize("file", ["process-0.jsonl", "process-3.jsonl"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "b2"}, "model was a1, now b2"),
        ({"limit": 5, "slots": [1]}, r"limit was None, now 5, slots was \[0, 2\], now \[1\]"),
        ({"dtype": "torch.bfloat16"}, "dtype was None, now torch.bfloat16"),
    ],
)
def test_the_progress_of_another_evaluation_is_refused_and_kept(change, message, file, folder):
    record(folder, CHUNKS)
    (folder / "process-0.jsonl").rename(folder / file)
    before = (folder / file).read_bytes()
    with pytest.raises(LassError, match=message) as error:
        ChunkProgress(folder, IDENTITY | change)
    assert str(folder) in str(error.value)
    assert "split" not in str(error.value)  # that one is the same
    assert "\n" not in str(error.value)
    assert (folder / file).read_bytes() == before


def test_long_values_are_cut_in_the_error(folder):
    record(folder, CHUNKS, IDENTITY | {"entities": [f"entity {number}" for number in range(10_000)]})
    with pytest.raises(LassError, match=r"entities was \['entity 0', .*…, now None") as error:
        ChunkProgress(folder, IDENTITY)
    assert len(str(error.value)) < 1000


def test_the_files_of_all_processes_are_read_and_only_the_own_one_grows(folder):
    theirs = {(2, 5): np.array([[1, 2], [3, 4], [5, 6]])}
    record(folder, theirs)
    other = (folder / "process-0.jsonl").rename(folder / "process-1.jsonl")
    before = other.read_bytes() + b'0123456789abcdef0123456789abcdef {"slot": 2, "un'
    other.write_bytes(before)
    assert_finished(record(folder, CHUNKS), theirs)
    assert_finished(ChunkProgress(folder, IDENTITY), theirs | CHUNKS)
    assert other.read_bytes() == before


def test_removing_the_progress_removes_the_folder(folder):
    record(folder, CHUNKS)
    (folder / "process-1.jsonl").write_text(json.dumps({"evaluation": IDENTITY}) + "\n")
    remove_progress(folder)
    assert not folder.exists()
    assert folder.parent.exists()


def test_removing_the_progress_leaves_files_of_others(folder):
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    record(folder, CHUNKS)
    remove_progress(folder)
    assert [(file.name, file.read_text()) for file in folder.iterdir()] == [("notes.txt", "mine")]
    assert ChunkProgress(folder, IDENTITY).finished == {}


def test_two_evaluations_at_once_do_not_share_a_file(folder):
    first, second = ChunkProgress(folder, IDENTITY), ChunkProgress(folder, IDENTITY | {"split": "other"})
    chunk, ranks = next(iter(CHUNKS.items()))
    first.record(chunk, ranks)
    with pytest.raises(LassError, match="another evaluation is writing there"):
        second.record(chunk, ranks)
    assert_finished(ChunkProgress(folder, IDENTITY), {chunk: ranks})
