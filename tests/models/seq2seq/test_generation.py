"""Every family's encoder, decoder and generation give transformers' numbers and tokens, in float32."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.models.seq2seq.generation import generate
from tfchain.models.seq2seq.generation_options import GenerationOptions
from tfchain.models.seq2seq.score_rules import ScoreRules, draw_noise
from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel

NAMES = ("marian", "m2m_100", "nllb", "t5", "mt5")
# Each family greedily and by four beams; every other choice once.
CASES = [
    *((name, choice) for name in NAMES for choice in ("greedy", "beam")),
    *(("marian", choice) for choice in ("beam_short", "beam_words", "beam_rules")),
    *(("m2m_100", "beam_never"), ("t5", "greedy_rules"), ("nllb", "beam_short")),
]
Load = Callable[[str], tuple[Seq2SeqModel, dict[str, Any]]]


def pad(model: Seq2SeqModel, rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Returns token ids and padding mask."""
    longest = max(map(len, rows))
    ids = np.full((len(rows), longest), model.transformer.config.pad_token_id, "int32")
    mask = np.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
        mask[number, : len(row)] = 1
    return ids, mask


def run(
    model: Seq2SeqModel, sources: Sequence[Sequence[int]], seed: int = 0, is_few: bool = False, **options: Any
) -> list[list[int]]:
    """Returns the ids that a graph of these options writes."""
    chosen = model.options.replace(**options)
    graph = tf.function(
        lambda ids, mask: generate(model.transformer, ids, mask, chosen, seed=seed, is_few=is_few), autograph=False
    )
    return graph(*map(tf.constant, pad(model, sources))).token_ids.numpy().tolist()


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_transformers(name: str, load_small: Load) -> None:
    model, content = load_small(name)
    ids, mask = pad(model, content["sources"])
    expected = content["logits"]
    inputs = {"token_ids": ids[:4], "padding_mask": mask[:4], "target_ids": np.array(expected["target_ids"], "int32")}
    logits = np.asarray(model.transformer(inputs))[:, :, expected["columns"]]
    np.testing.assert_allclose(logits, expected["values"], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("name", "choice"), CASES)
def test_tokens_are_those_of_transformers(name: str, choice: str, load_small: Load) -> None:
    model, content = load_small(name)
    expected = content["written"][choice]
    assert run(model, content["sources"], **expected["options"]) == expected["ids"]


@pytest.mark.parametrize("name", NAMES)
def test_few_hypotheses_write_the_tokens_of_many(name: str, load_small: Load) -> None:
    model, content = load_small(name)
    expected = content["written"]["greedy"]
    pad_id = model.transformer.config.pad_token_id
    two = run(model, content["sources"][:2], is_few=True, **expected["options"])
    for found, row in zip(two, expected["ids"], strict=False):
        longest = max(len(found), len(row))
        assert found + [pad_id] * (longest - len(found)) == row + [pad_id] * (longest - len(row))
    beams = {**expected["options"], "num_beams": 2}
    assert run(model, content["sources"][2:3], is_few=True, **beams) == run(model, content["sources"][2:3], **beams)


def test_the_first_token_may_differ_from_text_to_text(load_small: Load) -> None:
    model, content = load_small("nllb")
    codes = [model.tokenizer.find_language(name) for name in ("zho_Hans", "deu_Latn")]
    options = model.options.replace(num_beams=2, max_length=6)
    both = model.generate_ids(content["sources"][:2], options=options, target_codes=codes)
    assert [row[0] for row in both] == codes
    alone = model.generate_ids(content["sources"][1:2], options=options, target_codes=codes[1:])
    assert both[1:] == alone


def test_draws_repeat_with_their_seed_and_keep_to_the_likeliest(load_small: Load) -> None:
    model, content = load_small("mt5")
    sources = content["sources"][:2]
    options: dict[str, Any] = {"do_sample": True, "num_beams": 1, "max_length": 8, "num_return_sequences": 3}
    warm = model.options.replace(**options, temperature=1.5, top_k=0)
    first, again, other = (model.generate_ids(sources, options=warm, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert len(first) == 6
    assert first[0] != first[1]
    only_best = model.generate_ids(sources, options=model.options.replace(**options, top_k=1), seed=3)
    greedy = model.generate_ids(sources, options=model.options.replace(num_beams=1, max_length=8))
    assert only_best == [greedy[0]] * 3 + [greedy[1]] * 3


def test_draws_by_beams_end_within_the_length(load_small: Load) -> None:
    model, content = load_small("t5")
    rows = run(model, content["sources"][:2], seed=1, do_sample=True, num_beams=2, max_length=5)
    assert len(rows) == 2
    assert all(len(row) <= 5 for row in rows)


def test_the_likeliest_tokens_that_have_a_probability_together_stay() -> None:
    # Probabilities 0.5, 0.3, 0.15, 0.05: 0.5 alone is too little for 0.7, with 0.3 it is enough.
    scores = tf.math.log([[0.3, 0.05, 0.5, 0.15]])
    rules = ScoreRules(GenerationOptions(do_sample=True, top_k=0, top_p=0.7), eos_token_id=0, vocabulary_size=4)
    assert np.isfinite(rules.warp(scores).numpy()).tolist() == [[True, False, True, False]]
    rules = ScoreRules(GenerationOptions(do_sample=True, top_k=3), eos_token_id=0, vocabulary_size=4)
    assert np.isfinite(rules.warp(scores).numpy()).tolist() == [[True, False, True, True]]


def test_noise_draws_tokens_by_their_probability() -> None:
    chances = np.array([0.6, 0.3, 0.1])
    noise = draw_noise((20_000, 3), tf.constant(5), tf.constant(1)).numpy()
    drawn = np.bincount((np.log(chances) + noise).argmax(axis=1), minlength=3) / 20_000
    np.testing.assert_allclose(drawn, chances, atol=0.02)  # six standard deviations


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match=r"`num_beams` must be a whole number of at least 1. Received: num_beams=0"):
        GenerationOptions(num_beams=0)
    with pytest.raises(InputError, match="There is no option beams of generation. The options are .*num_beams"):
        GenerationOptions().replace(beams=4)
    with pytest.raises(InputError, match="`num_return_sequences` must be at most `num_beams`"):
        GenerationOptions(num_return_sequences=2)
    with pytest.raises(InputError, match=r"`top_p` must be in \(0, 1\]"):
        GenerationOptions(top_p=0)
    with pytest.raises(InputError, match="`early_stopping` must be True, False or 'never'"):
        GenerationOptions(early_stopping="always")  # type: ignore[arg-type]
    wrong: list[tuple[str, Any, str]] = [
        ("early_stopping", 1, "must be True, False or 'never'. Received: 1"),
        ("temperature", "warm", "must be a finite number. Received: temperature='warm'"),
        ("length_penalty", float("nan"), "must be a finite number"),
        ("do_sample", "no", "must be True or False. Received: do_sample='no'"),
        ("forced_bos_token_id", "zh", "must be the id of a token, or None. Received: forced_bos_token_id='zh'"),
        ("bad_words_ids", 5, "must be sequences of token ids, none of them empty"),
        ("bad_words_ids", [[]], "must be sequences of token ids, none of them empty"),
    ]
    for name, value, message in wrong:
        with pytest.raises(InputError, match=f"`{name}` {message}"):
            GenerationOptions(**{name: value})
    assert GenerationOptions.from_hugging_face({"num_beams": 6, "transformers_version": "4"}).num_beams == 6


def test_new_tokens_do_not_count_the_start() -> None:
    stored = {"max_length": 20, "max_new_tokens": 30, "min_new_tokens": 2}  # transformers stops at 31 tokens
    options = GenerationOptions.from_hugging_face(stored)
    assert (options.max_length, options.min_length) == (31, 3)


def test_what_a_model_cannot_write_is_refused_before_it_is_tried(load_small: Load) -> None:
    model, content = load_small("marian")
    size = model.transformer.config.decoder_vocabulary_size
    for name, value, message in (
        ("max_length", 5000, "must be at most .*, the model's positions. Received: max_length=5000"),
        ("bad_words_ids", [[size]], f"must name tokens of the model, which has {size}"),
        ("forced_eos_token_id", size, f"must name tokens of the model, which has {size}"),
    ):
        with pytest.raises(InputError, match=f"`{name}` {message}"):
            model.translate("a", **{name: value})
        with pytest.raises(InputError, match=f"`{name}` {message}"):
            model.generate_ids(content["sources"][:1], options=model.options.replace(**{name: value}))
