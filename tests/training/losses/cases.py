"""The losses that are compared with sentence-transformers': ours and theirs, each on the same vectors."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.training.losses import get_loss

ROWS, COLUMNS, DIM, GUIDE_DIM = 6, 5, 8, 6


@dataclass(frozen=True)
class Case:
    """One loss of ours and the loss of theirs that it must equal.

    Args:
        ours: What `get_loss` takes.
        theirs: The class's name in sentence-transformers and its arguments; functions by their names.
        columns: How many of the vectors' columns it is given.
        labels: The name of the labels, or None.
        dim: How many of the vectors' dimensions it is given.
        inner: The loss that theirs is wrapped round, as in `theirs`, or None.
        beside: The loss that theirs is added to, as in `theirs`, or None.
    """

    ours: dict[str, Any]
    theirs: tuple[str, dict[str, Any]]
    columns: int = 2
    labels: str | None = None
    dim: int = DIM
    inner: tuple[str, dict[str, Any]] | None = None
    beside: tuple[str, dict[str, Any]] | None = None


RANKING = "MultipleNegativesRankingLoss"
IN_BATCH = {"name": "in_batch_softmax"}
BOTH = {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}
ALL = {"directions": ("query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc")}
SPREAD = "GlobalOrthogonalRegularizationLoss"
GUIDED = {"name": "guided_in_batch_softmax"}
WARM = {"temperature": 0.2}
NO_CONTRAST = {"contrast_anchors": False, "contrast_positives": False}

CASES = {
    "in_batch": Case(IN_BATCH, (RANKING, {})),
    "in_batch_both": Case({**IN_BATCH, "directions": "both"}, (RANKING, BOTH)),
    "in_batch_1_negative": Case(IN_BATCH, (RANKING, {}), columns=3),
    "in_batch_3_negatives": Case({**IN_BATCH, "scale": 4}, (RANKING, {"scale": 4}), columns=5),
    "in_batch_3_negatives_both": Case({**IN_BATCH, "directions": "both"}, (RANKING, BOTH), columns=5),
    "in_batch_temperature": Case({**IN_BATCH, "temperature": 0.1}, (RANKING, {"scale": 10.0})),
    "in_batch_dot": Case(
        {**IN_BATCH, "scale": 1.0, "similarity": "dot"}, (RANKING, {"scale": 1.0, "similarity_fct": "dot_score"}), 3
    ),
    "in_batch_all": Case({**IN_BATCH, "directions": "all", "scale": 5}, (RANKING, {**ALL, "scale": 5})),
    "in_batch_all_3_negatives": Case(
        {**IN_BATCH, "directions": "all", "scale": 5}, (RANKING, {**ALL, "scale": 5}), columns=5
    ),
    "in_batch_joint": Case(
        {**IN_BATCH, "directions": ["query_to_document", "document_to_query"], "scale": 5},
        (RANKING, {"directions": ("query_to_doc", "doc_to_query"), "scale": 5}),
        columns=3,
    ),
    "in_batch_to_documents": Case(
        {**IN_BATCH, "directions": ["query_to_document", "document_to_document"], "scale": 5},
        (RANKING, {"directions": ("query_to_doc", "doc_to_doc"), "scale": 5}),
        columns=3,
    ),
    "in_batch_hard_in_batch": Case(
        {**IN_BATCH, "hardness": "in_batch_negatives", "hardness_strength": 9, "scale": 5},
        (RANKING, {"hardness_mode": "in_batch_negatives", "hardness_strength": 9.0, "scale": 5}),
        columns=4,
    ),
    "in_batch_hard_negatives_both": Case(
        {**IN_BATCH, "hardness": "hard_negatives", "directions": "both", "scale": 5},
        (RANKING, {"hardness_mode": "hard_negatives", "hardness_strength": 5.0, "scale": 5, **BOTH}),
        columns=4,
    ),
    "in_batch_hard_all": Case(
        {**IN_BATCH, "hardness": "all_negatives", "hardness_strength": 2, "directions": "all", "scale": 5},
        (RANKING, {"hardness_mode": "all_negatives", "hardness_strength": 2.0, "scale": 5, **ALL}),
        columns=4,
    ),
    "spread_out": Case({"name": "spread_out", "loss": IN_BATCH}, (SPREAD, {}), columns=3, beside=(RANKING, {})),
    "spread_out_sum": Case(
        {"name": "spread_out", "loss": IN_BATCH, "mean_weight": 0, "second_moment_weight": 3, "aggregation": "sum"},
        (SPREAD, {"mean_weight": 0.0, "second_moment_weight": 3.0, "aggregation": "sum"}),
        beside=(RANKING, {}),
    ),
    "spread_out_cosent": Case(
        {"name": "spread_out", "loss": "cosent", "mean_weight": 2, "second_moment_weight": 0, "similarity": "dot"},
        (SPREAD, {"mean_weight": 2.0, "second_moment_weight": None, "similarity_fct": "dot_score"}),
        labels="scores",
        beside=("CoSENTLoss", {}),
    ),
    "guided": Case(GUIDED, ("GISTEmbedLoss", {})),
    "guided_1_negative": Case({**GUIDED, **WARM}, ("GISTEmbedLoss", WARM), columns=3),
    "guided_absolute": Case({**GUIDED, **WARM, "margin": 0.2}, ("GISTEmbedLoss", {**WARM, "margin": 0.2}), columns=3),
    "guided_relative": Case(
        {**GUIDED, **WARM, "margin_strategy": "relative", "margin": 0.5},
        ("GISTEmbedLoss", {**WARM, "margin_strategy": "relative", "margin": 0.5}),
        columns=3,
    ),
    "guided_documents_only": Case(
        {**GUIDED, **WARM, "contrast_queries": False, "contrast_positives": False},
        ("GISTEmbedLoss", {**WARM, **NO_CONTRAST}),
        columns=3,
    ),
    "simcse": Case({"name": "simcse"}, (RANKING, {})),
    "triplet": Case({"name": "triplet"}, ("TripletLoss", {}), columns=3),
    "triplet_manhattan": Case(
        {"name": "triplet", "distance": "manhattan", "margin": 2.0},
        ("TripletLoss", {"distance_metric": "TripletDistanceMetric.MANHATTAN", "triplet_margin": 2.0}),
        columns=3,
    ),
    "triplet_cosine": Case(
        {"name": "triplet", "distance": "cosine", "margin": 0.2},
        ("TripletLoss", {"distance_metric": "TripletDistanceMetric.COSINE", "triplet_margin": 0.2}),
        columns=3,
    ),
    "contrastive": Case({"name": "contrastive"}, ("ContrastiveLoss", {}), labels="binary"),
    "contrastive_margin": Case(
        {"name": "contrastive", "margin": 1.2}, ("ContrastiveLoss", {"margin": 1.2}), labels="binary"
    ),
    "contrastive_euclidean": Case(
        {"name": "contrastive", "distance": "euclidean", "margin": 4.0},
        ("ContrastiveLoss", {"distance_metric": "SiameseDistanceMetric.EUCLIDEAN", "margin": 4.0}),
        labels="binary",
    ),
    "contrastive_manhattan": Case(
        {"name": "contrastive", "distance": "manhattan", "margin": 9.0},
        ("ContrastiveLoss", {"distance_metric": "SiameseDistanceMetric.MANHATTAN", "margin": 9.0}),
        labels="binary",
    ),
    "online_contrastive": Case({"name": "online_contrastive"}, ("OnlineContrastiveLoss", {}), labels="binary"),
    "online_contrastive_margin": Case(
        {"name": "online_contrastive", "margin": 1.2}, ("OnlineContrastiveLoss", {"margin": 1.2}), labels="binary"
    ),
    "online_contrastive_euclidean": Case(
        {"name": "online_contrastive", "distance": "euclidean", "margin": 4.0},
        ("OnlineContrastiveLoss", {"distance_metric": "SiameseDistanceMetric.EUCLIDEAN", "margin": 4.0}),
        labels="binary",
    ),
    "online_contrastive_no_positives": Case(
        {"name": "online_contrastive", "margin": 1.2}, ("OnlineContrastiveLoss", {"margin": 1.2}), labels="zeros"
    ),
    "online_contrastive_no_negatives": Case(
        {"name": "online_contrastive"}, ("OnlineContrastiveLoss", {}), labels="ones"
    ),
    "cosent": Case({"name": "cosent"}, ("CoSENTLoss", {}), labels="scores"),
    "cosent_scale": Case({"name": "cosent", "scale": 3}, ("CoSENTLoss", {"scale": 3}), labels="scores"),
    "cosent_equal_scores": Case({"name": "cosent"}, ("CoSENTLoss", {}), labels="ones"),
    "angle": Case({"name": "angle"}, ("AnglELoss", {}), labels="scores"),
    "angle_odd_width": Case({"name": "angle", "scale": 5}, ("AnglELoss", {"scale": 5}), labels="scores", dim=7),
    "angle_1_negative": Case({"name": "angle"}, ("AnglELoss", {}), columns=3),
    "angle_3_negatives": Case({"name": "angle"}, ("AnglELoss", {}), columns=5),
    "angle_negatives_and_scores": Case({"name": "angle"}, ("AnglELoss", {}), columns=4, labels="scores"),
    "cosine_mse": Case({"name": "cosine_mse"}, ("CosineSimilarityLoss", {}), labels="scores"),
    "margin_mse": Case({"name": "margin_mse"}, ("MarginMSELoss", {}), columns=3, labels="margin_1"),
    "margin_mse_scores": Case({"name": "margin_mse"}, ("MarginMSELoss", {}), columns=3, labels="teacher_2"),
    "margin_mse_3_negatives": Case({"name": "margin_mse"}, ("MarginMSELoss", {}), columns=5, labels="margin_3"),
    "margin_mse_3_negatives_scores": Case({"name": "margin_mse"}, ("MarginMSELoss", {}), columns=5, labels="teacher_4"),
    "margin_mse_cosine": Case(
        {"name": "margin_mse", "similarity": "cosine"},
        ("MarginMSELoss", {"similarity_fct": "pairwise_cos_sim"}),
        columns=3,
        labels="margin_1",
    ),
    "kl_divergence": Case({"name": "kl_divergence"}, ("DistillKLDivLoss", {}), columns=3, labels="teacher_2"),
    "kl_divergence_temperature": Case(
        {"name": "kl_divergence", "temperature": 2.0},
        ("DistillKLDivLoss", {"temperature": 2.0}),
        columns=5,
        labels="teacher_4",
    ),
    "kl_divergence_teacher": Case(
        {"name": "kl_divergence", "temperature": 0.5, "teacher_temperature": 3.0, "similarity": "cosine"},
        ("DistillKLDivLoss", {"temperature": 0.5, "teacher_temperature": 3.0, "similarity_fct": "pairwise_cos_sim"}),
        columns=5,
        labels="teacher_4",
    ),
    "embed_distill": Case(
        {"name": "embed_distill"}, ("EmbedDistillLoss", {}), columns=1, labels="guide_1", dim=GUIDE_DIM
    ),
    "embed_distill_2_columns": Case(
        {"name": "embed_distill"}, ("EmbedDistillLoss", {}), labels="guide_2", dim=GUIDE_DIM
    ),
    "embed_distill_first": Case(
        {"name": "embed_distill", "target": "first"}, ("EmbedDistillLoss", {}), labels="guide_1", dim=GUIDE_DIM
    ),
    "embed_distill_l2": Case(
        {"name": "embed_distill", "distance": "l2"},
        ("EmbedDistillLoss", {"distance_metric": "l2"}),
        labels="guide_2",
        dim=GUIDE_DIM,
    ),
    "embed_distill_mse": Case(
        {"name": "embed_distill", "distance": "mse"},
        ("EmbedDistillLoss", {"distance_metric": "mse"}),
        labels="guide_2",
        dim=GUIDE_DIM,
    ),
    "matryoshka_in_batch": Case(
        {"name": "matryoshka", "loss": "in_batch_softmax", "dims": [8, 4, 2], "weights": [1.0, 0.5, 0.25]},
        ("MatryoshkaLoss", {"matryoshka_dims": [8, 4, 2], "matryoshka_weights": [1.0, 0.5, 0.25]}),
        columns=3,
        inner=(RANKING, {}),
    ),
    "matryoshka_cosent": Case(
        {"name": "matryoshka", "loss": {"name": "cosent", "scale": 5}, "dims": [3, 8], "weights": [2.0, 0.3]},
        ("MatryoshkaLoss", {"matryoshka_dims": [3, 8], "matryoshka_weights": [2.0, 0.3]}),
        labels="scores",
        inner=("CoSENTLoss", {"scale": 5}),
    ),
    "matryoshka_guided": Case(
        {"name": "matryoshka", "loss": {**GUIDED, **WARM}, "dims": [8, 5]},
        ("MatryoshkaLoss", {"matryoshka_dims": [8, 5]}),
        columns=3,
        inner=("GISTEmbedLoss", WARM),
    ),
    "matryoshka_margin_mse": Case(
        {"name": "matryoshka", "loss": "margin_mse", "dims": [8, 6]},
        ("MatryoshkaLoss", {"matryoshka_dims": [8, 6]}),
        columns=3,
        labels="margin_1",
        inner=("MarginMSELoss", {}),
    ),
}


def make_arrays() -> dict[str, np.ndarray]:
    """Vectors, the guide's vectors and labels: each row's documents lie near its query, the first the nearest."""
    random = np.random.default_rng(3)
    arrays = {}
    for name, dim in (("vectors", DIM), ("guide", GUIDE_DIM)):
        noise = random.normal(size=(ROWS, COLUMNS, dim))
        nearness = np.array([0.0, 0.9, 0.5, 0.3, 0.1])[None, :, None]
        arrays[name] = noise + nearness * noise[:, :1]
    # EmbedDistillLoss takes the teacher's vectors as labels: one a row, or one a text.
    arrays["guide_1"], arrays["guide_2"] = arrays["guide"][:, 0], arrays["guide"][:, :2]
    arrays["binary"] = np.array([[1], [0], [1], [0], [0], [1]])
    arrays["zeros"], arrays["ones"] = np.zeros((ROWS, 1)), np.ones((ROWS, 1))
    arrays["scores"] = np.array([[0.9], [0.1], [0.5], [0.5], [0.0], [1.0]])
    arrays["teacher_4"] = random.normal(size=(ROWS, COLUMNS - 1)) * 3
    arrays["teacher_2"] = arrays["teacher_4"][:, :2]
    arrays["margin_3"] = arrays["teacher_4"][:, :1] - arrays["teacher_4"][:, 1:] + 0.5
    arrays["margin_1"] = arrays["margin_3"][:, :1]
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def make_inputs(case: Case, arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """`y_true` and the embeddings that the case's loss of ours is called with."""
    y_true = {}
    if case.labels is not None:
        y_true["labels"] = arrays[case.labels]
    if get_loss(case.ours).needs_guide:
        y_true["guide"] = arrays["guide"][:, : case.columns]
    return y_true, arrays["vectors"][:, : case.columns, : case.dim]
