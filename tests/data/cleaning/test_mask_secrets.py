"""Tests of masking secrets and of leaving out what has some."""

import pytest

from tfchain.core.errors import InputError
from tfchain.data.cleaning.mask_secrets import MaskSecrets
from tfchain.data.steps.run import StepsRun

KEY = "AKIA" + "ABCDEFGH234567IJ"
ROWS = [{"text": f"export KEY={KEY} # {KEY}"}, {"text": "nothing secret"}]


def test_secrets_are_masked_and_counted_by_kind():
    run = StepsRun([MaskSecrets()])
    assert run.process(ROWS) == [{"text": "export KEY=[SECRET] # [SECRET]"}, ROWS[1]]
    assert run.logs[0].changed == {"aws_key": 1}


def test_records_with_some_can_be_dropped_and_kinds_switched_off():
    run = StepsRun([MaskSecrets(action="drop")])
    assert run.process(ROWS) == [ROWS[1]]
    assert run.logs[0].dropped == {"secrets: aws_key": 1}
    assert list(MaskSecrets(kinds=("jwt",))(ROWS)) == ROWS


def test_wrong_settings_are_refused():
    with pytest.raises(InputError, match="`kinds` must be a list of some of: private_key, jwt"):
        MaskSecrets(kinds=("aws",))
    with pytest.raises(InputError, match="`action` must be one of: mask, drop"):
        MaskSecrets(action="hide")
