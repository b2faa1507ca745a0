"""Link prediction as an `evaluate` metric, from ranks; no model, no graph: `link_prediction.py` makes the ranks.

`evaluate.load("<this file>")` copies it and the siblings that it imports, whose import lines must bear no comment.
"""

import datasets
import evaluate
import numpy as np

from .metrics import ranking_metrics

DESCRIPTION = """\
Filtered link prediction (entity or relation prediction): MR, MRR, Hits@1, Hits@3, Hits@10 and the adjusted mean rank \
index (AMRI; 1 is perfect, 0 is chance). A query is a triplet with one slot left out.
"""
INPUTS = """
Args:
    predictions: rank of the true answer of each query, float, shape (n,); 1 is best. Realistic ranks (the mean of
        the best and the worst place among equal scores, so halves occur) are fair to ties.
    references: number of candidates of each query after filtering, the true answer included, int, shape (n,).
Returns:
    dict of floats: `mr`, `mrr`, `hits@1`, `hits@3`, `hits@10`, `amri`.
Raises:
    ValueError: no queries, or a rank that is not between 1 and the query's number of candidates. Everything that was
        added is dropped then.
Example:
    >>> metric = LinkPredictionMetric()
    >>> metric.add_batch(predictions=[1.0, 2.5], references=[135, 133])
    >>> metric.add_batch(predictions=[1.0, 14.0], references=[135, 130])
    >>> metric.compute()["hits@3"]
    0.75
"""
CITATION = """\
@inproceedings{shen-etal-2022-joint,
    title = "Joint Language Semantic and Structure Embedding for Knowledge Graph Completion",
    author = "Shen, Jianhao and Wang, Chenguang and Gong, Linyuan and Song, Dawn",
    booktitle = "Proceedings of the 29th International Conference on Computational Linguistics",
    year = "2022",
    url = "https://aclanthology.org/2022.coling-1.171",
}
"""


class LinkPredictionMetric(evaluate.Metric):
    """MR, MRR, Hits@1/3/10 and AMRI from realistic ranks (float) and numbers of candidates (int), batch by batch.

    `evaluate.load` takes the path of this file, too.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=datasets.Features(
                {"predictions": datasets.Value("float64"), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions, references) -> dict[str, float]:
        ranks, candidates = (np.asarray(values, dtype=np.float64) for values in (predictions, references))
        if not len(ranks):
            raise ValueError("no ranks were given; expected the rank and the number of candidates of each query")
        right = (ranks >= 1) & (ranks <= candidates)
        if not right.all():
            query = int(np.argmin(right))
            raise ValueError(
                f"query {query}: rank {ranks[query]:.12g} of {candidates[query]:.12g} candidates; expected a rank from "
                "1 (best) to the number of candidates (predictions are ranks, references numbers of candidates)"
            )
        return ranking_metrics(ranks, candidates)
