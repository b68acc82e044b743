"""Tests of giving an encoder to the steps that need one."""

import numpy as np

from tfchain.data.deduplication.remove_exact_duplicates import RemoveExactDuplicates
from tfchain.data.deduplication.remove_semantic_duplicates import RemoveSemanticDuplicates
from tfchain.data.steps.bind_encoder import bind_encoder


def test_only_steps_that_need_an_encoder_and_have_none_get_it():
    def encode(texts):
        return np.ones((len(texts), 2))

    def other(texts):
        return np.zeros((len(texts), 2))

    steps = [RemoveExactDuplicates(), RemoveSemanticDuplicates(threshold=0.9), RemoveSemanticDuplicates(encode=other)]
    bound = bind_encoder(steps, encode)
    assert bound[0] is steps[0]
    assert bound[1].encode is encode
    assert bound[1].threshold == 0.9
    assert bound[2].encode is other
    assert steps[1].encode is None
