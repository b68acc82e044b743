"""The in-batch softmax against values worked out by hand: masks, positions, arguments."""

import numpy as np
import pytest
from numpy import exp, log

from tfchain.core.errors import InputError
from tfchain.training.losses import GuidedInBatchSoftmax, InBatchSoftmax, SimCSE

# Dot products of the queries (rows) with the positives 0, 1 and the negatives of rows 0, 1.
# fmt: off
ROWS = np.array([
    [[1.0, 0.0], [2.0, 1.0], [3.0, 0.0]],
    [[0.0, 1.0], [1.0, 4.0], [0.5, 2.0]],
], "float32")
PRODUCTS = np.array([
    [2.0, 1.0, 3.0, 0.5],
    [1.0, 4.0, 0.0, 2.0],
])
# fmt: on
DOT = {"scale": 1.0, "similarity": "dot"}


def cross_entropy(row, own, left_out=()):
    """By hand: log of the sum over what is left, less the own."""
    return log(sum(exp(value) for place, value in enumerate(row) if place not in left_out)) - row[own]


def test_documents_are_all_positives_and_then_all_negatives():
    losses = InBatchSoftmax(**DOT).call({}, ROWS)

    np.testing.assert_allclose(losses, [cross_entropy(PRODUCTS[0], 0), cross_entropy(PRODUCTS[1], 1)], rtol=1e-5)


@pytest.mark.parametrize(("query", "document"), [(0, 1), (0, 2), (0, 3), (1, 0), (1, 2), (1, 3)])
def test_a_masked_document_is_left_out_of_its_query_s_softmax_alone(query, document):
    masked = np.zeros((2, 4), "float32")
    masked[query, document] = 1

    losses = InBatchSoftmax(**DOT).call({"masked": masked}, ROWS)

    expected = [cross_entropy(PRODUCTS[row], row, (document,) if row == query else ()) for row in (0, 1)]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_a_query_whose_negatives_are_all_masked_costs_nothing():
    masked = np.array([[0, 1, 1, 1], [0, 0, 0, 0]], "float32")

    assert float(InBatchSoftmax(**DOT).call({"masked": masked}, ROWS)[0]) == 0.0


def test_the_own_positive_stays_whatever_the_mask_says():
    masked = np.array([[1, 0, 0, 0], [0, 1, 0, 0]], "float32")

    np.testing.assert_array_equal(
        InBatchSoftmax(**DOT).call({"masked": masked}, ROWS), InBatchSoftmax(**DOT).call({}, ROWS)
    )


def test_in_both_directions_a_masked_pair_is_left_out_of_both():
    masked = np.array([[0, 1, 0, 0], [0, 0, 0, 0]], "float32")  # positive 1 would answer query 0 too

    losses = InBatchSoftmax(**DOT, directions="both").call({"masked": masked}, ROWS)

    forward = [cross_entropy(PRODUCTS[0], 0, (1,)), cross_entropy(PRODUCTS[1], 1)]
    backward = [cross_entropy(PRODUCTS[:, 0], 0), cross_entropy(PRODUCTS[:, 1], 1, (0,))]
    np.testing.assert_allclose(losses, np.mean([forward, backward], axis=0), rtol=1e-5)
    assert backward[1] == 0.0


def test_in_all_directions_a_masked_pair_parts_neither_queries_nor_positives():
    masked = np.array([[0, 1, 0, 0], [0, 0, 0, 0]], "float32")  # positive 1 would answer query 0 too

    losses = InBatchSoftmax(**DOT, directions="all").call({"masked": masked}, ROWS)

    # Query 0 to positive 0 and both negatives; positive 0 to both queries, and to negative 1: 2 * 0.5 + 1 * 2 = 3.
    # Query 1 to all documents; positive 1 to its own query; to negative 0: 1 * 3 + 4 * 0 = 3.
    first = log(sum(map(exp, [2.0, 3.0, 0.5, 2.0, 1.0, 3.0]))) - 2
    second = log(sum(map(exp, [1.0, 4.0, 0.0, 2.0, 4.0, 3.0]))) - 4
    np.testing.assert_allclose(losses, [first, second], rtol=1e-5)


def test_hardness_moves_negatives_that_count_alone():
    masked = np.array([[0, 1, 0, 0], [0, 0, 0, 0]], "float32")

    losses = InBatchSoftmax(**DOT, hardness="in_batch_negatives", hardness_strength=2).call({"masked": masked}, ROWS)

    first = log(exp(2.0) + exp(3.0) + exp(0.5 * 3)) - 2  # negative 1 counts three times, negative 0 is the row's own
    second = log(exp(1.0 * 3) + exp(4.0) + exp(0.0 * 3) + exp(2.0)) - 4
    np.testing.assert_allclose(losses, [first, second], rtol=1e-5)


def test_without_hardness_the_configuration_is_that_of_older_checkpoints():
    assert InBatchSoftmax(hardness_strength=9).get_config() == {
        "scale": 20.0,
        "directions": "query_to_document",
        "similarity": "cosine",
    }


def test_simcse_masks_too():
    texts = ROWS[:, :2]
    lengths = np.linalg.norm(texts, axis=-1)
    cosines = PRODUCTS[:, :2] / (lengths[:, :1] * lengths[None, :, 1])
    masked = np.array([[0, 1], [0, 0]], "float32")

    losses = SimCSE(scale=1.0).call({"masked": masked}, texts)

    np.testing.assert_allclose(losses, [0.0, cross_entropy(cosines[1], 1)], rtol=1e-5, atol=1e-7)


def test_with_a_guide_a_masked_pair_parts_neither_queries_nor_positives():
    # The guide finds everything unlike, so that nothing but the mask leaves out.
    guide = np.array([[[1.0, 0, 0, 0], [1, 0, 0, 0]], [[0, 1.0, 0, 0], [0, 1, 0, 0]]], "float32")
    vectors = np.array([[[1.0, 0.0], [0.6, 0.8]], [[0.0, 1.0], [0.8, 0.6]]], "float32")
    masked = np.array([[0, 1], [0, 0]], "float32")

    losses = GuidedInBatchSoftmax(temperature=1.0).call({"guide": guide, "masked": masked}, vectors)

    # Query 0 is left with its positive. Query 1: its positive 0.6, positive 0 at 0.8, query 0 at 0, positives at 0.96.
    np.testing.assert_allclose(losses, [0.0, log(exp(0.6) + exp(0.8) + exp(0.0) + exp(0.96)) - 0.6], rtol=1e-5)


def test_with_a_guide_a_text_is_never_its_own_negative():
    # The guide finds query and positive the same: by the threshold alone, each text would be no closer than that.
    guide = np.array([[[1.0, 0], [1, 0]], [[0, 1.0], [0, 1]]], "float32")
    vectors = np.array([[[1.0, 0.0], [0.6, 0.8]], [[0.0, 1.0], [0.8, 0.6]]], "float32")

    losses = GuidedInBatchSoftmax(temperature=1.0).call({"guide": guide}, vectors)

    expected = [log(exp(0.6) + exp(0.8) + exp(0.0) + exp(0.96)) - 0.6] * 2
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_with_a_guide_several_negatives_are_left_out_one_by_one():
    guide = np.array([[[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.0, 1.0]]], "float32")  # 0.6, then 0.8 and 0
    vectors = np.array([[[1.0, 0.0], [0.8, 0.6], [0.96, 0.28], [0.6, 0.8]]], "float32")  # 0.8, then 0.96 and 0.6

    losses = GuidedInBatchSoftmax(temperature=1.0).call({"guide": guide}, vectors)

    np.testing.assert_allclose(losses, [log(exp(0.8) + exp(0.6)) - 0.8], rtol=1e-5)


def test_the_temperature_is_the_inverse_of_the_scale():
    assert InBatchSoftmax().scale == 20.0
    assert InBatchSoftmax(temperature=0.25).scale == 4.0
    assert InBatchSoftmax(scale=4.0, temperature=0.25).get_config()["scale"] == 4.0
    assert SimCSE(temperature=0.05).scale == 20.0
    with pytest.raises(
        InputError, match="two ways to say the same, give one of them. Received: scale=5, temperature=1."
    ):
        InBatchSoftmax(scale=5, temperature=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InBatchSoftmax(scale=0), "`scale` must be a finite number above 0. Received: scale=0."),
        (lambda: InBatchSoftmax(scale="20"), "`scale` must be a finite number above 0. Received: scale='20'."),
        (
            lambda: InBatchSoftmax(temperature=-1),
            "`temperature` must be a finite number above 0. Received: temperature=-1",
        ),
        (
            lambda: InBatchSoftmax(directions="back"),
            "must be one of query_to_document, both, all. Received: directions='back'",
        ),
        (
            lambda: InBatchSoftmax(directions="document_to_query"),
            "must be one of query_to_document, both, all. Received: directions='document_to_query'",
        ),
        (
            lambda: InBatchSoftmax(directions=["document_to_query"]),
            "each once and query_to_document, which has the positives, among them. Received: directions=.'doc",
        ),
        (lambda: InBatchSoftmax(directions=["query_to_document"] * 2), "each once and query_to_document"),
        (lambda: InBatchSoftmax(directions=["query_to_document", "sideways"]), "a list of query_to_document, doc"),
        (lambda: InBatchSoftmax(hardness="hard"), "must be one of none, in_batch_negatives, hard_negatives, all_neg"),
        (
            lambda: InBatchSoftmax(hardness_strength=-1),
            "`hardness_strength` must be a finite number of at least 0. Received: hardness_strength=-1.",
        ),
        (
            lambda: InBatchSoftmax(similarity="l2"),
            "`similarity` must be one of cosine, dot. Received: similarity='l2'.",
        ),
        (lambda: GuidedInBatchSoftmax(margin_strategy="x"), "must be one of absolute, relative. Received: margin_st"),
        (lambda: GuidedInBatchSoftmax(margin=float("nan")), "`margin` must be a finite number. Received: margin=nan."),
        (lambda: GuidedInBatchSoftmax(temperature=True), "`temperature` must be a finite number above 0."),
    ],
)
def test_arguments_out_of_range_are_errors(make, message):
    with pytest.raises(InputError, match=message):
        make()
