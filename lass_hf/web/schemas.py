"""The JSON that `lass-hf serve` reads and writes, as pydantic models, from which its OpenAPI description is made."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_TEXT = 2000  # characters of a name, or of the text of a new entity
MAX_TOP_K = 100

FRANCE = {"id": "france", "text": "France, western European country"}
CAPITAL = {"id": "has_capital", "text": "has the capital city"}
PARIS = {"id": "paris", "text": "Paris, city of museums and fashion houses"}
JUDGED = {"score": 3.81, "known": False, "label": None, "probability": None}
EVIDENCE = {"shares": {"text": 4.1, "rules": 2.7}, "reasons": ["Paris is the largest city of France"]}


def _example(*values: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": list(values)})


# What comes in


class Input(BaseModel):
    """JSON that a request sends; other fields than these are refused."""

    model_config = ConfigDict(extra="forbid")


class NewEntity(Input):
    """An entity that the graph lacks."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT)]


Known = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]
Name = Annotated[Known | NewEntity, Field(description="id of an entity, else its text; or the text of a new one")]


class Question(Input):
    """Two of head, relation and tail; the answers are for the third."""

    model_config = _example(
        {"head": "france", "relation": "has_capital", "top_k": 3},
        {"head": {"text": "Atlantis, an island that sank"}, "relation": "located_in_continent"},
        {"relation": "located_in_continent", "tail": "africa", "exclude_known": False},
    )
    head: Name | None = None
    relation: Known | None = Field(None, description="id, else text")
    tail: Name | None = None
    top_k: int = Field(10, ge=1, le=MAX_TOP_K, description="how many answers")
    exclude_known: bool = Field(True, description="leave out answers that the graph holds already, in any split")


class Triplet(Input):
    """A triplet to check."""

    model_config = _example({"head": "france", "relation": "has_capital", "tail": "paris"})
    head: Name
    relation: Known = Field(description="id, else text")
    tail: Name


# What goes out


class Entry(BaseModel):
    """An entity or a relation. The text of an entity that is new to the graph is also its id."""

    id: str
    text: str


class Entries(BaseModel):
    """Entities or relations that were found."""

    model_config = _example({"total": 237, "found": [FRANCE]})
    total: int = Field(description="the number of all entities, or of all relations, of the graph")
    found: list[Entry] = Field(description="best first")


class Judged(BaseModel):
    """The score of a triplet, and what follows from it."""

    score: float = Field(description="the higher, the better")
    known: bool = Field(description="whether the graph holds it already")
    label: Literal["true", "false"] | None = Field(None, description="null where the model has no calibration")
    probability: float | None = Field(None, description="of being true; null where the model has no calibration")


class RankedAnswer(Judged, Entry):
    """An entity or a relation that was predicted, with the score of the triplet that it makes."""

    shares: dict[str, float] | None = Field(
        None,
        description="what each kind of evidence adds to the score, compared with the mean of all candidates; null "
        "where the words alone count",
    )
    reasons: list[str] = Field([], description="the rules that speak for it, in words, best first")


class Answers(BaseModel):
    """Ranked answers to a question; the slot that the question left open is null."""

    model_config = _example(
        {
            **{"slot": "tail", "head": FRANCE, "relation": CAPITAL, "tail": None},
            "answers": [PARIS | JUDGED | EVIDENCE],
            **{"num_candidates": 237, "num_known": 0, "cached": False},
        }
    )
    slot: Literal["head", "relation", "tail"] = Field(description="the slot that the question left open")
    head: Entry | None
    relation: Entry | None
    tail: Entry | None
    answers: list[RankedAnswer] = Field(description="best first")
    num_candidates: int = Field(description="how many candidates were ranked")
    num_known: int = Field(description="how many answers the graph holds already, left out or not")
    cached: bool = Field(description="whether an earlier question had computed the scores")


class Checked(Judged):
    """A triplet that was checked, and its score."""

    model_config = _example({"head": FRANCE, "relation": CAPITAL, "tail": PARIS} | JUDGED)
    head: Entry
    relation: Entry
    tail: Entry


class Info(BaseModel):
    """The model and its graph."""

    model: str
    architecture: str = Field(
        description="cross-encoder: one pass of the model for each candidate; bi-encoder: one for each question"
    )
    entities: int
    relations: int
    known_triplets: int
    device: str
    dtype: str
    evidence: list[str] = Field(description='kinds that rank heads and tails: "text", and what counts beside the words')
    max_top_k: int
    max_text: int
    has_token: bool = Field(description="whether requests need the header Authorization, or the cookie of the page")
    version: str


class Problem(BaseModel):
    """Why there is no answer."""

    model_config = _example({"error": "top_k: input should be less than or equal to 100"})
    error: str = Field(description="one sentence")
