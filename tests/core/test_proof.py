"""The question with its answer: what holds unless it is said otherwise."""

from tfchain.core.proof import Proof


def test_an_answer_is_compared_as_float32_is_rounded_and_nowhere_tied() -> None:
    proof = Proof("embed", {}, {})
    assert (proof.tolerance, dict(proof.ties), proof.is_warm_up) == (1e-5, {}, True)
