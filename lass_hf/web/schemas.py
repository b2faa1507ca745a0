"""What `lass-hf serve` reads and writes as JSON: pydantic models, which its OpenAPI description is made of. No code."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_TEXT = 2000  # characters of a name, or of the text of a new entity
MAX_TOP_K = 100

FRANCE = {"id": "france", "text": "France, western European country"}
CAPITAL = {"id": "has_capital", "text": "has the capital city"}
PARIS = {"id": "paris", "text": "Paris, city of museums and fashion houses"}
JUDGED = {"score": 3.81, "known": False, "label": None, "probability": None}


def _example(*values: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": list(values)})


# What comes in


class Input(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewEntity(Input):
    """An entity that the graph lacks."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT)]


Known = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]
Name = Annotated[Known | NewEntity, Field(description="id, else text, of an entity; or the text of a new one")]


class Question(Input):
    """Two of head, relation and tail; the third is what is asked for."""

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
    """An entity or a relation; of an entity new to the graph the text is the id."""

    id: str
    text: str


class Entries(BaseModel):
    """Entities or relations that were found."""

    model_config = _example({"total": 237, "found": [FRANCE]})
    total: int = Field(description="of the graph")
    found: list[Entry] = Field(description="best first")


class Judged(BaseModel):
    score: float = Field(description="the higher, the better")
    known: bool = Field(description="whether the graph holds it already")
    label: Literal["true", "false"] | None = Field(None, description="null where no threshold was fitted")
    probability: float | None = Field(None, description="of being true; null where no threshold was fitted")


class RankedAnswer(Judged, Entry):
    pass


class Answers(BaseModel):
    """Ranked answers; the slot that was asked for is null."""

    model_config = _example(
        {
            **{"slot": "tail", "head": FRANCE, "relation": CAPITAL, "tail": None},
            "answers": [PARIS | JUDGED],
            **{"num_candidates": 237, "num_known": 0, "cached": False},
        }
    )
    slot: Literal["head", "relation", "tail"] = Field(description="what was asked for")
    head: Entry | None
    relation: Entry | None
    tail: Entry | None
    answers: list[RankedAnswer] = Field(description="best first")
    num_candidates: int = Field(description="that the answers are the best of")
    num_known: int = Field(description="answers that the graph holds already, left out or not")
    cached: bool = Field(description="whether the scores were remembered from an earlier question")


class Checked(Judged):
    """A triplet and its score."""

    model_config = _example({"head": FRANCE, "relation": CAPITAL, "tail": PARIS} | JUDGED)
    head: Entry
    relation: Entry
    tail: Entry


class Info(BaseModel):
    """The model and its graph."""

    model: str
    architecture: str = Field(description="joint: one pass per candidate; separate: one per question")
    entities: int
    relations: int
    known_triplets: int
    device: str
    dtype: str
    max_top_k: int
    max_text: int
    version: str


class Problem(BaseModel):
    """Why there is no answer."""

    model_config = _example({"error": "top_k: input should be less than or equal to 100"})
    error: str = Field(description="one sentence")
