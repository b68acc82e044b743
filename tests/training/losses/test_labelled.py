"""The losses with labels, triplets and matryoshka against values worked out by hand; their labels' ranges."""

import numpy as np
import pytest
from numpy import exp, log

from tfchain.core.errors import InputError
from tfchain.training.losses import (
    AnglE,
    Contrastive,
    CoSENT,
    CosineMSE,
    InBatchSoftmax,
    KLDivergence,
    MarginMSE,
    Matryoshka,
    OnlineContrastive,
    Triplet,
)


def make_pairs(*distances):
    """Pairs of two vectors that far apart."""
    return np.array([[[0.0, 0.0], [distance, 0.0]] for distance in distances], "float32")


def test_a_triplet_with_several_negatives_costs_their_mean():
    rows = np.array([[[0.0, 0.0], [3.0, 4.0], [0.0, 6.0], [8.0, 6.0]]], "float32")  # 5, then 6 and 10 away

    np.testing.assert_allclose(Triplet(margin=2.0).call({}, rows), [(1.0 + 0.0) / 2])


def test_online_contrastive_takes_the_hard_pairs_alone():
    labels = np.array([[1], [1], [0], [0]], "float32")
    pairs = make_pairs(0.5, 2.0, 1.0, 3.0)  # hard: the positive at 2 (beyond 1), the negative at 1 (within 2)

    loss = OnlineContrastive("euclidean", margin=4.0).call({"labels": labels}, pairs)

    np.testing.assert_allclose(loss, 2.0**2 + (4.0 - 1.0) ** 2)


def test_online_contrastive_without_positives_takes_the_negatives_closer_than_their_mean():
    loss = OnlineContrastive("euclidean", margin=4.0).call({"labels": np.zeros((3, 1))}, make_pairs(1.0, 2.0, 6.0))

    np.testing.assert_allclose(loss, 3.0**2 + 2.0**2)  # the mean is 3


def test_contrastive_costs_half_the_squares():
    labels = np.array([[1], [0], [0]], "float32")

    losses = Contrastive("euclidean", margin=4.0).call({"labels": labels}, make_pairs(3.0, 1.0, 5.0))

    np.testing.assert_allclose(losses, [0.5 * 9, 0.5 * 9, 0.0])


def test_cosent_compares_each_pair_with_those_of_a_lower_score():
    cosines = np.array([0.6, 0.8, 0.0])
    rows = np.array([[[1, 0], [cosine, (1 - cosine**2) ** 0.5]] for cosine in cosines], "float32")

    loss = CoSENT(scale=2.0).call({"labels": np.array([[3.0], [1.0], [1.0]])}, rows)

    np.testing.assert_allclose(loss, log(1 + exp(2 * (0.8 - 0.6)) + exp(2 * (0.0 - 0.6))), rtol=1e-6)


def test_margins_and_scores_of_the_same_teacher_give_the_same_loss():
    rows = np.array([[[1.0, 0.0], [2.0, 0.0], [0.5, 0.0], [1.0, 7.0]]], "float32")  # margins 1.5 and 1

    for labels in ([[1.0, 3.0]], [[5.0, 4.0, 2.0]]):
        losses = MarginMSE().call({"labels": np.array(labels)}, rows)
        np.testing.assert_allclose(losses, [(0.5**2 + 2.0**2) / 2])


def test_a_teacher_with_the_model_s_own_scores_leaves_no_divergence():
    rows = np.array([[[1.0, 0.0], [200.0, 0.0], [0.5, 0.0], [-300.0, 7.0]]], "float32")

    np.testing.assert_allclose(
        KLDivergence().call({"labels": np.array([[200.0, 0.5, -300.0]])}, rows), [0.0], atol=1e-6
    )
    # Sure of the other document: p = (0, 1), log q = (0, -199.5), and what underflows stays out.
    wrong = KLDivergence().call({"labels": np.array([[0.0, 400.0]])}, rows[:, :3])
    np.testing.assert_allclose(wrong, [199.5], rtol=1e-6)


def test_matryoshka_weighs_the_loss_of_each_width():
    rows = np.array([[[1.0, 0.0], [3.0, 4.0]], [[2.0, 0.0], [0.0, 1.0]]], "float32")
    labels = np.array([[0.5], [1.0]], "float32")

    losses = Matryoshka(CosineMSE(), dims=(2, 1), weights=(1.0, 10.0)).call({"labels": labels}, rows)

    # Cosines at width 2: 0.6 and 0; at width 1: 1, and 0 for the vector that is cut to nothing.
    np.testing.assert_allclose(losses, [0.1**2 + 10 * 0.5**2, 1.0 + 10 * 1.0], rtol=1e-5)


def test_matryoshka_takes_what_the_loss_inside_takes():
    loss = Matryoshka(MarginMSE(), dims=[8, 4])

    assert (loss.min_columns, loss.max_columns, loss.labels, loss.needs_guide) == (3, None, "margin", False)
    assert loss.weights == (1.0, 1.0)
    with pytest.raises(InputError, match="The loss `margin_mse` takes 3 or more columns"):
        loss.check(2, None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Matryoshka("cosent", [2]),
            "`loss` must be a loss of tfchain, such as InBatchSoftmax\\(\\). Received: loss='cosent'",
        ),
        (lambda: Matryoshka(CoSENT(), []), "`dims` must be a list of at least one width. Received: dims=\\[\\]."),
        (lambda: Matryoshka(CoSENT(), [4, 0]), "`dims` must be a whole number of at least 1. Received: dims=0."),
        (lambda: Matryoshka(CoSENT(), [4, 4]), "`dims` must not have a width twice. Received: dims=\\[4, 4\\]."),
        (
            lambda: Matryoshka(CoSENT(), [4, 2], [1.0]),
            "must have one for each of the 2 widths. Received: weights=\\[1.0\\]",
        ),
        (lambda: Matryoshka(CoSENT(), [4], [0]), "`weights` must be a finite number above 0. Received: weights=0."),
        (
            lambda: Matryoshka(InBatchSoftmax(), [9])({}, np.ones((1, 2, 8))),
            "must be at most the embeddings' width of 8.",
        ),
        (lambda: Triplet(margin=-1), "`margin` must be a finite number of at least 0. Received: margin=-1."),
        (lambda: Triplet("dot"), "`distance` must be one of cosine, euclidean, manhattan. Received: distance='dot'."),
        (lambda: Contrastive(margin=0), "`margin` must be a finite number above 0."),
        (lambda: CoSENT(scale=None), "`scale` must be a finite number above 0. Received: scale=None."),
        (lambda: KLDivergence(teacher_temperature=0), "`teacher_temperature` must be a finite number above 0."),
        (
            lambda: MarginMSE()({"labels": np.ones((1, 4))}, np.ones((1, 3, 2))),
            "must have 1 or 2 columns. Received: shape",
        ),
        (lambda: KLDivergence()({"labels": np.ones((1, 1))}, np.ones((1, 3, 2))), "must have 2 columns, one for each"),
    ],
)
def test_arguments_out_of_range_are_errors(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("loss", [Contrastive(), OnlineContrastive(), Matryoshka(Contrastive(), [2])])
def test_binary_labels_other_than_0_and_1_are_an_error(loss):
    loss.check(2, np.array([True, False]))
    with pytest.raises(InputError, match="must be 0 or 1. Received: 0.5 in row 1 .*, 2 such labels in all."):
        loss.check(2, np.array([[1.0], [0.5], [0.0], [2.0]]))


def test_scores_of_the_cosine_must_be_in_its_range_and_those_of_cosent_need_not():
    grades = np.array([0.0, -1.0, 1.0, 4.5])
    CoSENT().check(2, grades)
    CosineMSE().check(2, grades[:3])
    with pytest.raises(InputError, match="must be from -1 to 1, as a cosine is. Received: 4.5 in row 3"):
        CosineMSE().check(2, grades)


def test_angle_takes_negatives_in_the_place_of_labels():
    AnglE().check(4, None)
    AnglE().check(4, np.array([1.0, 0.3]))
    AnglE().check(2, np.array([1.0, 5.0]))
    with pytest.raises(InputError, match="from 0 to 1 where rows have negatives. Received: 5 in row 1"):
        AnglE().check(3, np.array([1.0, 5.0]))
    with pytest.raises(InputError, match="needs labels: one score a row. Found none."):
        AnglE().check(2, None)


def test_margins_may_come_as_margins_or_as_scores():
    for width in (2, 3):
        MarginMSE().check(4, np.zeros((5, width)))
    with pytest.raises(InputError, match="needs 2 margins .* or 3 scores a row. Found 1 numbers a row."):
        MarginMSE().check(4, np.zeros((5, 1)))
    with pytest.raises(
        InputError, match="needs 3 teacher's scores a row, one for each document. Found 2 numbers a row."
    ):
        KLDivergence().check(4, np.zeros((5, 2)))
    with pytest.raises(InputError, match="must be of shape \\(rows, k\\). Received: shape \\(5, 3, 1\\)."):
        KLDivergence().check(4, np.zeros((5, 3, 1)))
