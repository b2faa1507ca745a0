"""Output folders: what is there of other work is refused, and never to be deleted as a whole."""

import json

import pytest
from helpers.tiny import one_line

from lass_hf.core.errors import LassError
from lass_hf.scoring.output_folders import check_own
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
