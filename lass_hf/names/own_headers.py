"""The columns of the tables that this package writes judged triplets in; by them its readers know these tables."""

JUDGED_COLUMNS = (
    *("head", "relation", "tail", "head_text", "relation_text", "tail_text"),
    *("score", "probability", "rank", "known", "label", "kind", "reviewer", "reasons"),
)
KGX_COLUMNS = (
    *("id", "subject", "predicate", "object", "original_predicate", "negated"),
    *("primary_knowledge_source", "knowledge_level", "agent_type", "has_confidence_score"),
    *("subject_label", "predicate_label", "object_label"),
    *("score", "rank", "known", "label", "kind", "reviewer", "reasons"),
)
SSSOM_COLUMNS = (
    *("subject_id", "subject_label", "predicate_id", "predicate_label", "predicate_modifier"),
    *("object_id", "object_label", "mapping_justification", "confidence", "reviewer_label"),
    *("lass_score", "lass_rank", "lass_known", "lass_label", "lass_kind", "lass_reasons"),
)
OWN_HEADERS = tuple(map(set, (JUDGED_COLUMNS, KGX_COLUMNS, SSSOM_COLUMNS)))  # people may have changed their order


def is_own_header(header: list[str]) -> bool:
    """Checks whether the columns of a table are those that this package writes, in any order."""
    return set(header) in OWN_HEADERS
