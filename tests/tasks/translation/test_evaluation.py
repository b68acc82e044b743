"""Models and versions are measured alike."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.tiny_translation import PAIRS, make_tiny_chain
from tfchain.core.errors import InputError
from tfchain.core.judgement import Question
from tfchain.tasks.translation.graph import make_graph
from tfchain.tasks.translation.parallel_rows import read_parallel


class Version:
    """A version that is not written: its graph."""

    description: Mapping[str, Any] = {}

    def __init__(self, signatures: Mapping[str, Any]) -> None:
        self.signatures = signatures

    def ask(self, question: Question) -> Mapping[str, np.ndarray]:
        inputs = {name: tf.constant(value) for name, value in question.inputs.items()}
        return {name: value.numpy() for name, value in self.signatures[question.signature](**inputs).items()}


def test_a_version_is_judged_as_the_model_is_evaluated() -> None:
    chain = make_tiny_chain(generation={"max_length": 8, "num_beams": 1})
    rows = read_parallel([*PAIRS, ("The cat sleeps.", ["猫在睡觉。", "在"])])
    version = Version(make_graph(chain.model, chain.task.options, [], {}).signatures)
    for metric in ("chrf", "bleu"):
        judgement = chain.task.make_judge(rows, None, metric=metric)(version)
        assert judgement.score == pytest.approx(chain.evaluate(rows)[metric])
        assert judgement.values.shape == (len(rows),)
        assert [row[0] for row in judgement.rankings] == chain.translate(rows.sources, sentences="whole")
        assert judgement.probes[0].inputs["text"].tolist() == [b"The cat sleeps."]
    with pytest.raises(InputError, match="The version must translate texts. Received: embed"):
        chain.task.make_judge(rows, None)(Version({"embed": None}))
    with pytest.raises(InputError, match="must be a list of chrf, bleu"):
        chain.task.make_judge(rows, None, metric="ter")
