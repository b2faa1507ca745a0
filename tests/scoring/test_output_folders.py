"""Output folders: what is there of other work is refused, and never to be deleted as a whole."""

import json

import pytest
from helpers.tiny import one_line

from lass_hf.core.errors import LassError
from lass_hf.scoring.output_folders import check_foreign, check_own, only_writer
from lass_hf.utils.result_files import LISTS, RESULTS, write_results

STATES = [(work, state) for work in RESULTS for state in ("another", "damaged", *sorted(RESULTS.keys() - {work}))]


@pytest.mark.parametrize(("work", "state"), [*STATES, ("completion", "no results"), ("audit", "no results")])
def test_the_folder_of_other_work_is_refused_and_nobody_is_told_to_delete_it(work, state, tmp_path):
    if state == "another":
        write_results(tmp_path / RESULTS[work], {}, identity={"seed": 1})
    elif state == "damaged":
        write_results(tmp_path / RESULTS[work], {})
    elif state == "no results":
        (tmp_path / LISTS[work][0]).write_text("mine")
    else:
        (tmp_path / (*LISTS[state], RESULTS[state])[0]).write_text("mine")
    with pytest.raises(LassError) as error:
        check_own(tmp_path, work, {"seed": 2})
    one_line(error, str(tmp_path), "choose another --output")
    assert "delete" not in str(error.value)


def test_the_folder_of_the_same_work_is_its_own(tmp_path):
    check_own(tmp_path, "audit", {"seed": 1})
    write_results(tmp_path / RESULTS["audit"], {}, identity=json.loads('{"seed": 1}'))
    check_own(tmp_path, "audit", {"seed": 1})


@pytest.mark.parametrize("work", ["completion", "audit"])
def test_a_list_that_people_have_decided_about_is_not_written_again(work, tmp_path):
    write_results(tmp_path / RESULTS[work], {}, identity={"seed": 1})
    (tmp_path / LISTS[work][0]).write_text("mine")
    check_own(tmp_path, work, {"seed": 1})
    (tmp_path / "decisions.jsonl").write_text("mine")
    for check in (lambda: check_own(tmp_path, work, {"seed": 1}), lambda: check_foreign(tmp_path, work)):
        with pytest.raises(LassError) as error:
            check()
        one_line(error, f"{tmp_path}: has decisions.jsonl, what people decided", "choose another --output")
        assert ("--decisions" in str(error.value)) == (work == "completion")


@pytest.mark.parametrize("work", RESULTS)
@pytest.mark.parametrize("name", ["config.json", "training.json"])
def test_the_folder_of_a_model_takes_no_list(work, name, tmp_path):
    (tmp_path / name).write_text("{}")
    with pytest.raises(LassError) as error:
        check_own(tmp_path, work, {"seed": 2})
    one_line(error, f"{tmp_path}: has {name} of a trained model", "choose another --output")


def test_a_folder_that_was_made_and_stays_empty_goes_again(tmp_path):
    with pytest.raises(ZeroDivisionError), only_writer(tmp_path / "new" / "out"):
        _ = 1 / 0
    assert not list(tmp_path.iterdir())


def test_a_folder_stays_that_was_there_or_has_a_file(tmp_path):
    (tmp_path / "old").mkdir()
    with only_writer(tmp_path / "old"), only_writer(tmp_path / "new"):
        (tmp_path / "new" / "list.tsv").write_text("mine")
    assert not list((tmp_path / "old").iterdir())
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["list.tsv"]


def test_what_differs_is_told_by_the_options_that_set_it(tmp_path):
    write_results(tmp_path / RESULTS["audit"], {}, identity={"most": 5, "num_folds": 4, "seed": 1})
    with pytest.raises(LassError) as error:
        check_own(tmp_path, "audit", {"most": 6, "num_folds": 3, "seed": 2})
    one_line(error, "(--max was 5, now 6, --folds was 4, now 3, seed was 1, now 2)")
