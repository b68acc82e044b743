"""Runs of unknown characters in a Unigram graph, beside Hugging Face's."""

import pytest
from tokenizers import Tokenizer, models

from tests.models.tokenizers.bpe_tokenizers import Pair, wrap
from tfchain.models.tokenizers.unknown_runs import UnknownRuns

TEXTS = ["?a??", "<unk>", "?<unk>?a", "<unk><unk>", "a", "", "é?é", "€?", "<0x3F>?", "\U0001f600", "?" * 40]


@pytest.mark.parametrize(("num_bytes", "has_unknown"), [(0, True), (256, True), (256, False), (0xC0, True)])
def test_a_run_is_one_unknown_token_or_its_bytes(num_bytes: int, has_unknown: bool) -> None:
    pieces = [("<unk>" if has_unknown else "a", 0.0), ("<pad>", 0.0), ("a", -1.0), ("aa", -1.5)]
    pieces += [(f"<0x{byte:02X}>", -2.0) for byte in range(num_bytes)]
    backend = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=num_bytes > 0))
    pair = Pair(wrap(backend))
    assert isinstance(pair.graph._runs, UnknownRuns)
    assert pair.find_difference(TEXTS) is None
