"""Output folders: what is there of other work is refused, and never to be deleted as a whole."""

import json

import pytest
from helpers.tiny import one_line

from lass_hf.core.errors import LassError
from lass_hf.scoring.output_folders import check_own, only_writer
from lass_hf.utils.result_files import LISTS, RESULTS, write_results


@pytest.mark.parametrize("work", RESULTS)
@pytest.mark.parametrize("state", ["another", "damaged", "no results", "another command"])
def test_the_folder_of_other_work_is_refused_and_nobody_is_told_to_delete_it(work, state, tmp_path):
    (other,) = RESULTS.keys() - {work}
    if state == "another":
        write_results(tmp_path / RESULTS[work], {}, identity={"seed": 1})
    elif state == "damaged":
        write_results(tmp_path / RESULTS[work], {})
    else:
        (tmp_path / LISTS[work if state == "no results" else other][0]).write_text("mine")
    with pytest.raises(LassError) as error:
        check_own(tmp_path, work, {"seed": 2})
    one_line(error, str(tmp_path), "choose another --output")
    assert "delete" not in str(error.value)


def test_the_folder_of_the_same_work_is_its_own(tmp_path):
    check_own(tmp_path, "audit", {"seed": 1})
    write_results(tmp_path / RESULTS["audit"], {}, identity=json.loads('{"seed": 1}'))
    check_own(tmp_path, "audit", {"seed": 1})


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


@pytest.mark.parametrize("is_there", [True, False])
def test_a_folder_stays_that_was_there_or_has_a_file(is_there, tmp_path):
    out = tmp_path / "new" / "out"
    if is_there:
        out.mkdir(parents=True)
    with pytest.raises(ZeroDivisionError), only_writer(out):
        if not is_there:
            (out / "list.tsv").write_text("mine")
        _ = 1 / 0
    assert out.is_dir()
    assert [file.name for file in out.iterdir()] == ([] if is_there else ["list.tsv"])
