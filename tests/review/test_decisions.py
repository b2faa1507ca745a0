"""The file of decisions: shared by processes, whole after a kill and on a full disk, an error for each bad line."""

import errno
import json
import os
from dataclasses import asdict

import pytest
from helpers.properties import for_all
from helpers.reviews import decision
from helpers.tiny import one_line
from hypothesis import strategies as st

from lass_hf.core.errors import LassError
from lass_hf.review import decisions as module
from lass_hf.review.decisions import DecisionsFile
from lass_hf.review.outcomes import OUTCOMES, Outcomes


def decided(file):
    return [one for _, one in file.read_new()]


def test_each_reader_sees_what_others_wrote_once(tmp_path):
    one, other = DecisionsFile(tmp_path), DecisionsFile(tmp_path)
    assert decided(one) == []
    one.append(decision(0))
    other.append(decision(1, "reject", "Bob É", settles=True))
    assert one.read_new() == [(1, decision(0)), (2, decision(1, "reject", "Bob É", settles=True))]
    assert one.read_new() == []
    one.append(decision(0, "undo"))
    assert one.read_new() == [(3, decision(0, "undo"))]
    assert len(decided(other)) == len(decided(DecisionsFile(tmp_path))) == 3


@pytest.mark.parametrize("at_start", [True, False])
@pytest.mark.parametrize("size", [1, 12, 60, -2])
def test_a_last_line_that_was_cut_off_is_dropped_with_a_note(size, at_start, tmp_path, caplog):
    file = DecisionsFile(tmp_path)
    for row in (0, 1):
        file.append(decision(row))
    whole = file.path.read_bytes()
    first = whole.index(b"\n") + 1
    for lost in (b"", bytes(5000)):  # zeros, where the power failed
        caplog.clear()
        file.path.write_bytes(whole)
        reader = DecisionsFile(tmp_path)
        file.path.write_bytes(whole[:first] + whole[first:][:size] + lost)
        if at_start:
            reader = DecisionsFile(tmp_path)
            assert file.path.read_bytes() == whole[:first]
        assert decided(reader) == [decision(0)]
        reader.append(decision(2))
        assert decided(reader) == [decision(2)]
        assert decided(DecisionsFile(tmp_path)) == [decision(0), decision(2)]
        (message,) = caplog.messages
        assert "decisions.jsonl: its last line was cut off" in message


def test_a_last_line_that_lacks_only_its_end_counts(tmp_path, caplog):
    file = DecisionsFile(tmp_path)
    file.append(decision(0))
    file.path.write_bytes(file.path.read_bytes()[:-1])
    assert decided(DecisionsFile(tmp_path)) == [decision(0)]
    assert not caplog.messages


@pytest.mark.parametrize(
    "line", [b'{"head": "a"}', b"garbage", b"\xff\xfe", b'{"tail": "a', b"[1", b'{"head": "a' + b"b" * 2000]
)
def test_a_last_line_that_no_kill_left_is_named_and_stays(line, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_LINE", 1000)
    file = DecisionsFile(tmp_path)
    file.append(decision(0))
    before = file.path.read_bytes() + line
    file.path.write_bytes(before)
    with pytest.raises(LassError) as error:
        DecisionsFile(tmp_path).read_new()
    one_line(error, "decisions.jsonl, line 2: not a decision", "correct the line or remove it")
    assert file.path.read_bytes() == before + b"\n"


@pytest.mark.parametrize("written", [20, 0, OSError(errno.ENOSPC, "No space left on device")])
def test_a_full_disk_is_one_error_and_keeps_what_is_there(written, tmp_path, monkeypatch):
    file, write = DecisionsFile(tmp_path), os.write

    def write_less(handle, line):
        if isinstance(written, OSError):
            raise written
        return write(handle, line[:written])

    file.append(decision(0))
    before = file.path.read_bytes()
    monkeypatch.setattr(module.os, "write", write_less)
    with pytest.raises(OSError, match="No space left") as error:
        file.append(decision(1))
    assert error.value.filename == str(file.path)
    assert file.path.read_bytes() == before
    monkeypatch.setattr(module.os, "write", write)
    file.append(decision(2))
    assert decided(file) == [decision(0), decision(2)]


@pytest.mark.parametrize("others", [0, 1])
def test_a_decision_that_the_disk_refuses_is_not_kept_whoever_wrote_behind_it(others, tmp_path, monkeypatch):
    file, reader, fsync = DecisionsFile(tmp_path), DecisionsFile(tmp_path), os.fsync

    def refuse(handle):
        monkeypatch.setattr(module.os, "fsync", fsync)
        if others:
            DecisionsFile(tmp_path).append(decision(3))
        raise OSError(errno.EIO, "Input/output error")

    file.append(decision(0))
    assert decided(reader) == [decision(0)]
    monkeypatch.setattr(module.os, "fsync", refuse)
    with pytest.raises(OSError, match="Input/output error") as error:
        file.append(decision(1))
    assert error.value.filename == str(file.path)
    file.append(decision(2))
    behind = [decision(3), decision(2)][1 - others :]
    assert decided(file) == decided(DecisionsFile(tmp_path)) == [decision(0), *behind]
    assert decided(reader) == behind


def test_a_decision_too_long_to_be_read_is_not_written(tmp_path, monkeypatch):
    file = DecisionsFile(tmp_path)
    file.append(decision(0))
    size = file.path.stat().st_size
    for most, fits in ((size, True), (size - 1, False)):
        monkeypatch.setattr(module, "MAX_LINE", most)
        if fits:
            file.append(decision(0))
            assert len(decided(DecisionsFile(tmp_path))) == 2
            continue
        with pytest.raises(LassError, match=f"a decision of {size} bytes; expected at most {most}"):
            file.append(decision(0))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "Expecting"),
        (b"\xff{}", "decode"),
        (b"[1]", "no JSON object"),
        (b"[" * 100_000, "recursion"),
        ({"decision": "maybe"}, "'maybe'; expected one of accept"),
        ({"reviewer": ""}, "reviewer ''"),
        ({"reviewer": "a\x1bb"}, "expected a name"),
        ({"tail": 3}, "no tail of type str"),
        ({"settles": "yes"}, "no settles of type bool"),
        ({"time": None}, "no time of type str"),
    ],
)
def test_a_damaged_line_is_named(line, reason, tmp_path):
    file = DecisionsFile(tmp_path)
    file.append(decision(0))
    if isinstance(line, dict):
        line = json.dumps(asdict(decision(1)) | line).encode()
    with file.path.open("ab") as handle:
        handle.write(b"\n" + line + b"\n")  # an empty line is none
    with pytest.raises(LassError) as error:
        file.read_new()
    one_line(error, "decisions.jsonl, line 3: not a decision", reason, "correct the line or remove it")


def test_a_line_without_a_key_is_named(tmp_path):
    file = DecisionsFile(tmp_path)
    file.path.write_text('{"head": "a"}\n')
    with pytest.raises(LassError) as error:
        file.read_new()
    one_line(error, "line 1: not a decision (no relation of type str)")


@pytest.mark.parametrize("how", ["gone", "cut", "replaced"])
def test_a_file_that_is_no_longer_the_one_that_was_read_is_an_error(how, tmp_path):
    file = DecisionsFile(tmp_path)
    for row in (0, 1):
        file.append(decision(row))
    file.read_new()
    if how == "gone":
        file.path.unlink()
    elif how == "cut":
        os.truncate(file.path, file.path.stat().st_size // 2)
    else:
        other = tmp_path / "other"
        other.write_bytes(3 * file.path.read_bytes())
        other.replace(file.path)
    with pytest.raises(LassError) as error:
        file.read_new()
    one_line(error, "decisions.jsonl: replaced, or cut, since it was read; start the review again")


def test_an_empty_file_is_one_without_decisions(tmp_path):
    (tmp_path / "decisions.jsonl").touch()
    assert decided(DecisionsFile(tmp_path)) == []


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_regular_file_is_refused_without_waiting(make, tmp_path):
    make(tmp_path / "decisions.jsonl")
    with pytest.raises(LassError) as error:
        DecisionsFile(tmp_path)
    one_line(error, f"{tmp_path}/decisions.jsonl: no regular file; move it away")


def test_a_protected_folder_and_file_are_told_before_anybody_decides(tmp_path, monkeypatch):
    file, asked = DecisionsFile(tmp_path), []
    monkeypatch.setattr(module.os, "access", lambda place, mode: asked.append((place, mode)))  # root may always write
    for place in (tmp_path, file.path):
        with pytest.raises(LassError) as error:
            file.check_writable()
        one_line(error, f"{place}: protected, so no decision would be kept")
        file.append(decision(0))
    assert asked == [(tmp_path, os.W_OK), (file.path, os.W_OK)]


def test_outcomes_against_a_reading_of_the_whole_history(request):
    steps = st.tuples(
        st.integers(0, 1),
        st.sampled_from(["accept", "reject", "unsure", "undo"]),
        st.sampled_from("ABC"),
        st.booleans(),
    )

    def check(history):
        outcomes = Outcomes(3)
        for row, what, reviewer, settles in history:
            outcomes.add(row, decision(row, what, reviewer, settles=settles))
        for row in (0, 1, 2):
            about = [one for one in history if one[0] == row]
            last = {reviewer: what for _, what, reviewer, _ in about}
            last = {reviewer: what for reviewer, what in last.items() if what != "undo"}
            people = set(last)
            if about and about[-1][3] and about[-1][1] in ("accept", "reject"):
                people = {about[-1][2]}  # who settled it
            said = {last[reviewer] for reviewer in people} - {"unsure"}
            expected = {0: "unsure" if people else "open", 2: "contradiction"}.get(len(said)) or f"{min(said)}ed"
            assert OUTCOMES[outcomes.codes[row]] == expected
            if len(said) == 1:
                people = {reviewer for reviewer in people if last[reviewer] in said}
            assert outcomes.reviewers(row) == sorted(people)
            assert outcomes.votes.get(row, {}) == last
        for reviewer in "ABC":
            rows = [row for row, _, who, _ in history if who == reviewer]
            order = [row for at, row in enumerate(rows) if row not in rows[at + 1 :]]
            assert list(outcomes.rows_of[reviewer]) == [row for row in order if reviewer in outcomes.votes[row]]
        return len(history)

    for_all(request, 60, history=st.lists(steps, max_size=12))(check)
