"""Names: the search by id or text, suggestions for unknown names, and the conversion to Arrow."""

import difflib

import numpy as np
import pytest

from lass_hf.core import vocabulary as module
from lass_hf.core.errors import GraphError, UnknownNameError
from lass_hf.core.vocabulary import BLANKS, Vocabulary
from lass_hf.names.name_forms import is_blank
from lass_hf.names.named_triplets import to_arrow_strings

WORDS = ["Berlin, a city", "Bern, a city", "Merlin, a wizard", "Lisbon, a city", "Madrid, a city", "Oslo, a city"]


def cities(count=300):
    """Returns a vocabulary of cities and of numbered texts that share few letters with them."""
    texts = [*WORDS, *(f"thing {number}" for number in range(count))]
    return Vocabulary("entities", [f"Q{number}" for number in range(len(texts))], texts)


def suggestions(vocabulary, name):
    with pytest.raises(UnknownNameError) as caught:
        vocabulary.find(name)
    return str(caught.value).partition("did you mean ")[2]


@pytest.fixture
def vocabulary():
    return Vocabulary("entities", ["Q1", "Q2", "Q3", "Paris"], ["Paris", "Berlin", "Berlin", "Paris, Texas"])


def test_a_name_is_an_id_before_it_is_a_text(vocabulary):
    assert vocabulary.find("Paris") == 3
    assert vocabulary.find("Q1") == 0


def test_a_name_is_found_by_its_text(vocabulary):
    assert vocabulary.find("Paris, Texas") == 3


def test_a_name_is_the_part_of_a_text_before_the_first_comma_and_space():
    texts = ["Doxorubicin, a drug, for tumor", "Bern, a city", "Bern, a canton", "Basel", "Basel, a canton", "1,2-diol"]
    vocabulary = Vocabulary("entities", ["Q1", "Q2", "Q3", "Q4", "Q5", "Q6"], texts)
    assert vocabulary.find("Doxorubicin") == vocabulary.find(" Doxorubicin\n") == 0
    assert vocabulary.find("Basel") == 3  # a whole text comes first
    with pytest.raises(UnknownNameError, match="2 entities have the name 'Bern': Q2, Q3; name the one you mean"):
        vocabulary.find("Bern")
    for part in ("Doxorubicin, a drug", "a drug", "1", "Doxo"):
        assert vocabulary.find_exactly(part) is None


def test_what_several_are_called_stands_with_the_id():
    texts = ["Bakker, Pieter, painter", "Bakker, Giovanni", "Rembrandt, painter", ", of no name", "Ada", "Ada"]
    names = Vocabulary("entities", [f"p{number}" for number in range(6)], texts)
    called = [names.name_of(number) for number in range(6)]
    assert called == ["Bakker (p0)", "Bakker (p1)", "Rembrandt", ", of no name", "Ada (p4)", "Ada (p5)"]


def test_an_unknown_name_lists_the_closest_matches_first(vocabulary):
    with pytest.raises(UnknownNameError, match=r"'berlim'.*entities; did you mean 'Berlin'"):
        vocabulary.find("berlim")


def test_an_unknown_name_like_no_other_has_no_suggestion(vocabulary):
    with pytest.raises(UnknownNameError) as caught:
        vocabulary.find("xyzzy-1234567890")
    assert "did you mean" not in str(caught.value)


def test_closest_matches_look_at_the_name_before_the_comma():
    texts = ["dog, a member of the genus Canis that has long been domesticated", "seal, an animal", "seal, a stamp"]
    vocabulary = Vocabulary("entities", ["02084071", "1", "2"], texts)
    assert suggestions(vocabulary, "dgo") == "'dog'?"
    assert suggestions(vocabulary, "seall").startswith("'2', ")  # an id, since two share the name


def test_what_all_ids_begin_with_makes_no_two_of_them_alike():
    names = ["Berlin", "Bern", "Oslo", "Zagreb"]
    vocabulary = Vocabulary("entities", [f"http://example.org/graph/entity/{name}" for name in names], names)
    start = "http://example.org/graph/entity/"
    assert suggestions(vocabulary, f"{start}berlim") == f"'{start}Berlin', '{start}Bern'?"
    assert suggestions(vocabulary, f"{start}Xyzzy12345") == ""
    assert suggestions(vocabulary, "berlim").startswith(f"'{start}Berlin'")


@pytest.mark.parametrize("name", ["berlim", "Lisbn", "Osllo", "thing 29x", "Q30O", "o"])
def test_suggestions_among_many_names_are_those_among_few(name, monkeypatch):
    expected = suggestions(cities(), name)
    monkeypatch.setattr(module, "SHORTLIST", 60)
    compared = []
    close = difflib.get_close_matches
    monkeypatch.setattr(
        difflib, "get_close_matches", lambda word, keys, **rest: compared.append(keys) or close(word, keys, **rest)
    )
    assert suggestions(cities(), name) == expected
    assert len(compared[0]) <= 3 * 60  # an id, a text and its label each


def test_a_text_that_several_share_lists_their_ids_in_order():
    vocabulary = Vocabulary("entities", ["Q3", "Q1", "Q2", "Q4"], ["same", "other", "same", "same"])
    with pytest.raises(UnknownNameError, match="3 entities have the text 'same': Q3, Q2, Q4;"):
        vocabulary.find("same")
    assert vocabulary.find("other") == 1


def test_index_gives_the_number_of_each_id():
    vocabulary = cities()
    assert [vocabulary.ids[number] for number in vocabulary.index.values()] == vocabulary.ids
    assert list(vocabulary.index.values()) == list(range(len(vocabulary)))


def test_a_name_is_found_with_blanks_around_it(vocabulary):
    assert [vocabulary.find(name) for name in (" Q1", "Q1\r", "\ufeffParis", "Paris, Texas\xa0")] == [0, 0, 3, 3]


def test_an_unknown_name_is_written_otherwise_than_the_one_it_looks_like():
    vocabulary = Vocabulary("entities", ["caf\xe9", "New York"], ["coffee house", "city"])
    with pytest.raises(UnknownNameError, match=r"^'cafe\\u0301' is not .*; did you mean 'café'"):
        vocabulary.find("cafe\u0301")
    with pytest.raises(UnknownNameError, match=r"^'New\\xa0York' is not .*; did you mean 'New York'"):
        vocabulary.find("New\xa0York")


def test_a_string_is_blank_if_it_is_white_space_or_without_width():
    characters = [chr(code) for code in range(0x11000) if not 0xD800 <= code < 0xE000]
    expected = [not character.strip() or character in "\u200b\u2060\ufeff" for character in characters]
    assert [not character.strip(BLANKS) for character in characters] == expected
    assert np.array_equal(is_blank(to_arrow_strings("entities", characters)), expected)
    assert is_blank(to_arrow_strings("entities", ["", " \u2028\t", " a "])).tolist() == [True, True, False]


def test_a_string_that_is_not_unicode_is_an_error_that_names_its_kind():
    with pytest.raises(GraphError, match=r"relations: 'a.ud800' is not valid Unicode"):
        to_arrow_strings("relations", ["b", "a\ud800"])
