"""Makes the text of a model card from its data: metadata for the hub in YAML, and Markdown by a template.

The card data are the only source of figures. The module reads no folder and no model; the template is
`templates/model_card.md`.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..core.choices import PRESETS, ModelChoices, choice_names
from ..core.knowledge_graph import KnowledgeGraph

TEMPLATES = Path(__file__).parents[1] / "templates"
TAGS = ["lass", "lass-hf", "knowledge-graph", "knowledge-graph-completion", "link-prediction", "triplet-classification"]
RANKING = ["mrr", "mr", "hits@1", "hits@3", "hits@10", "amri"]
METRICS = {
    "link prediction": RANKING,
    "reranked link prediction": RANKING,
    "relation prediction": RANKING,
    "triplet classification": ["accuracy", "precision", "recall", "f1", "roc_auc", "ece_platt"],
}


def render_model_card(
    card_data: Mapping[str, Any], graph: KnowledgeGraph | None, include_graph: str = "full", repo_id: str | None = None
) -> str:
    """Makes the card of a model.

    Args:
        card_data: the content of `model_card.json`, as `card_files.write_card` keeps it.
        graph: the graph that the model is saved with; it gives the names of the examples. None: no example.
        include_graph: how much of the graph is shared with the model: "full", "vocabulary" or "none". Unless it is
            "full", the example does not reveal a triplet of the graph.
        repo_id: the model's name on the hub; None: the name of its folder.

    Returns:
        The text of the card, with the metadata for the hub at its top.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True)
    templates.filters |= {"inline": _inline, "repr": repr, "shell": shlex.quote, "duration": _duration}
    training, metadata = card_data["training"] or {}, card_data["metadata"]
    repo = repo_id or _line(card_data["folder"])
    graph_name = metadata.get("dataset") or training.get("graph")
    data = _metadata(card_data, repo)
    body = templates.get_template("model_card.md").render(
        **{name: card_data[name] for name in ("training", "evaluations", "graph")},
        model=card_data,
        name=data.model_name,
        repo=repo,
        include_graph=include_graph,
        load_graph=_line(training.get("load_graph")),
        graph_name="the graph " + _inline(graph_name) if graph_name else "a graph",
        example=_example(graph, include_graph),
        made_by=_made_by(card_data),
        variant=_variant_sentence(card_data),
        choices=_choice_rows(training.get("choices", {})),
    )
    body = re.sub("\n{3,}", "\n\n", body)  # Branches of the template leave empty lines behind.
    return f"---\n{data.to_yaml()}\n---\n\n{body}"


def _metadata(card_data: Mapping[str, Any], repo: str) -> Any:
    """Returns the hub's `ModelCardData`; only the user gives a language and a license."""
    from huggingface_hub import ModelCardData

    given, training, evaluations = card_data["metadata"], card_data["training"] or {}, card_data["evaluations"]
    dataset = training.get("load_graph") or ""
    return ModelCardData(
        model_name=_line(given.get("model_name") or repo.rpartition("/")[2]) or "model",
        language=given.get("language"),
        license=given.get("license"),
        library_name="transformers",
        pipeline_tag="graph-ml",
        tags=list(dict.fromkeys([*TAGS, *_as_list(given.get("tags")), *_as_list(given.get("tasks"))])),
        base_model=given.get("finetuned_from") or card_data["base_model"],
        datasets=_as_list(given.get("dataset_tags")) or ([dataset] if "/" in dataset else None),
        metrics=list(dict.fromkeys(name for result in evaluations for name in METRICS[result["task"]])) or None,
        eval_results=[one for result in evaluations for one in _eval_results(result)] or None,
    )


def _eval_results(result: Mapping[str, Any]) -> list[Any]:
    """Returns the entries of an evaluation for the hub's `model-index`; none if it covered a part of a split only."""
    from huggingface_hub import EvalResult

    if result["triplets"] < result["of"]:
        return []
    if result["task"] == "triplet classification":
        protocol = {"threshold from": result["threshold_from"]}
    else:
        protocol = {"filtered": "+".join(result["filtered"]), "ties": "realistic", "queries": result["queries"]}
    if result.get("evidence"):
        protocol["evidence"] = "+".join(result["evidence"]["kinds"])
    description = ", ".join(f"{name}: {value}" for name, value in protocol.items())
    return [
        EvalResult(
            task_type=result["task"].replace(" ", "-"),
            task_name=result["task"].capitalize(),
            dataset_type=_line(result["graph"]) or "unknown",
            dataset_name=_line(result["graph"]) or "unknown",
            dataset_split=result["split"],
            metric_type=name,
            metric_name=f"{name} ({description})",
            metric_value=result["metrics"][name],
            metric_args=protocol,
        )
        for name in METRICS[result["task"]]
        if result["metrics"].get(name) is not None
    ]


def _made_by(card_data: Mapping[str, Any]) -> str:
    """Returns the arguments of `LassForKGCompletion.from_encoder` that made the model, as code."""
    defaults = asdict(ModelChoices())
    choices = {name: card_data[name] for name in defaults if card_data[name] != defaults[name]}
    name = card_data["base_model"] or card_data["encoder"]
    return ", ".join([repr(name), *(f"{name}={value!r}" for name, value in choices.items())])


def _variant_sentence(card_data: Mapping[str, Any]) -> str:
    """Returns a sentence that names the variant of the method, or the choices that differ from both presets."""
    if card_data["architecture"] == "bi-encoder":
        return "The model is a bi-encoder, which the paper does not have: entities are encoded apart from the query."
    chosen = (card_data["training"] or {}).get("choices", {})
    differences = [[f"`{name}`" for name in preset if chosen.get(name) != preset[name]] for preset in PRESETS.values()]
    for names, preset, title in zip(differences, PRESETS, ("the paper", "the paper's published code"), strict=True):
        if not names:
            return f"The method is that of {title}, in every choice that changes scores or loss (`--preset {preset}`)."
    paper, code = map(", ".join, differences)
    return f"The method differs from the paper's in {paper}; from its published code's in {code}."


def _choice_rows(chosen: Mapping[str, Any]) -> list[list[str]]:
    """Returns the rows of the table of choices: name, value here, value in each preset; those of the presets first."""
    presets = list(PRESETS.values())
    # Ranking weights can change after the training, so the text of the card has them instead.
    names = [name for name in chosen if name not in choice_names(ModelChoices, affects="ranking")]
    names.sort(key=lambda name: name not in presets[0])
    columns = (chosen, *presets)
    return [[name, *(_as_text(column[name]) if name in column else "" for column in columns)] for name in names]


def _as_text(value: Any) -> str:
    """Returns the value of a choice as text: yes or no, "default" for None, and only the last part of a path."""
    if isinstance(value, list):
        return ", ".join(map(_as_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "default" if value is None else Path(value).name if str(value).startswith(("/", "~", ".")) else str(value)


def _example(graph: KnowledgeGraph | None, include_graph: str) -> dict[str, dict[str, str]] | None:
    """Returns ids and texts for the card's examples; None if no names are shared.

    The example is a triplet of the graph if the triplets are shared. Otherwise it is the first and the last entity with
    the first relation, which reveals nothing about the triplets.
    """
    if graph is None or include_graph == "none" or not graph.num_entities or not graph.num_relations:
        return None
    triplets = [split.positives for split in graph.splits.values() if len(split.positives)]
    row = triplets[0][0] if triplets and include_graph == "full" else (0, 0, graph.num_entities - 1)
    vocabularies = (graph.entities, graph.relations, graph.entities)
    return {
        slot: {"id": names.ids[number], "text": names.texts[number][:80]}
        for slot, names, number in zip(("head", "relation", "tail"), vocabularies, row, strict=True)
    }


def _duration(seconds: float) -> str:
    """Returns a duration in hours, minutes or seconds."""
    unit, size = next((unit, size) for unit, size in (("h", 3600), ("min", 60), ("s", 0)) if seconds >= size)
    return f"{seconds / (size or 1):.1f} {unit}"


def _as_list(value: str | Sequence[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _line(text: Any) -> str:
    """Returns a text as one line of printable characters; "" for None."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in str(text or "")).split())


def _inline(text: Any) -> str:
    """Returns a text as one line in which Markdown's special characters are escaped."""
    return re.sub(r"([\\`*_\[\]<>|~&$#])", r"\\\1", _line(text))
