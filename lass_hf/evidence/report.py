"""What is told of evidence that was found and fitted: sizes, seconds, the share of each kind, its MRR beside text's."""

from typing import Any

from .fused_evidence import FusedEvidence


def report_evidence(evidence: FusedEvidence) -> dict[str, Any]:
    """Returns what was found and fitted, for results files.

    Args:
        evidence: The evidence.

    Returns:
        Plain values: `kinds`; `shares` by kind; `num_rules` and `dim` of the vectors, or None; `fitted_on`, with the
        number of queries as `num_queries`; `mrr` of all evidence on these queries, and `text_mrr` of text alone, or
        None: each half of them is ranked by weights that were fitted on the other half; and `seconds` by kind.
    """
    fusion, rules, vectors = evidence.fusion, evidence.rules, evidence.vectors
    return {
        "kinds": list(evidence.kinds),
        "shares": {kind: fusion.shares[kind] for kind in evidence.kinds},
        "num_rules": None if rules is None else len(rules),
        "dim": None if vectors is None else vectors.entities.shape[1],
        "fitted_on": {**evidence.fitted_on, "num_queries": fusion.num_fitted},
        "mrr": fusion.held_out_mrr,
        "text_mrr": evidence.text_mrr,
        "seconds": evidence.seconds,
    }


def describe_evidence(evidence: FusedEvidence) -> list[str]:
    """Returns lines that say what was found and fitted, for the console.

    Args:
        evidence: The evidence.
    """
    report = report_evidence(evidence)
    sizes = {"rules": f"{report['num_rules'] or 0:,} rules", "vectors": f"vectors of {report['dim']} dimensions"}
    lines = [f"{sizes.get(name, 'weights')}: {seconds:.1f} s" for name, seconds in evidence.seconds.items()]
    lines.append("share of each kind: " + ", ".join(f"{kind} {share:.0%}" for kind, share in report["shares"].items()))
    if report["mrr"] is not None:
        text = "" if report["text_mrr"] is None else f", text alone {report['text_mrr']:.3f}"
        where = "validation" if evidence.fitted_on["split"] == "validation" else "held-out training"
        queries = f"the {evidence.fusion.num_fitted:,} {where} queries of the fit"
        lines.append(f"MRR {report['mrr']:.3f}{text}: estimated on {queries}, each half by weights of the other half")
    return lines
