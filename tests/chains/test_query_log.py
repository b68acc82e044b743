"""A server's query log from its flags: what personal data users type is not on disk afterwards."""

import json
import random
from pathlib import Path

import pytest

from tfchain.chains.query_log import find_monitor, make_mask
from tfchain.core.errors import InputError
from tfchain.core.observation import Feedback, Monitor, Observation
from tfchain.deployment.server.flags import parse_flags
from tfchain.monitoring.log.log_reader import LogReader

WORDS = [
    "how",
    "do",
    "i",
    "reset",
    "the",
    "password",
    "of",
    "my",
    "router",
    "when",
    "the",
    "red",
    "lamp",
    "is",
    "on",
    "and",
    "nothing",
    "else",
    "helps",
]


def make_monitor(*flags: str) -> Monitor:
    make = find_monitor(parse_flags(flags))
    assert make is not None
    made = make(lambda *_: lambda *_: None)
    assert made is not None
    return made


def make_card(generator: random.Random) -> str:
    """A number of a Visa card with the right check digit (Luhn)."""
    digits = [4, *(generator.randrange(10) for _ in range(14))]
    doubled = [digit if place % 2 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(digits)]
    return "".join(map(str, [*digits, -sum(doubled) % 10]))


def plant(generator: random.Random) -> list[str]:
    """Personal data of a made-up user: address, phones, card, bank account, an address on the net, and a key."""
    number = generator.randrange(10**6)
    account = f"{generator.randrange(10**18):018}"
    check = 98 - int(f"{account}131400") % 97
    return [
        f"user.{number}@example-{number % 97}.org",
        f"+49 30 {generator.randrange(10**6, 10**7)}",
        f"138{generator.randrange(10**7, 10**8)}",
        make_card(generator),
        f"DE{check:02}{account}",
        ".".join(str(generator.randrange(11, 200)) for _ in range(4)),
        "ghp_" + "".join(generator.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=36)),
    ]


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_of_a_thousand_queries_with_personal_data_none_is_on_disk(tmp_path: Path, file_format: str) -> None:
    generator = random.Random(7)
    log = make_monitor(f"--query_log_dir={tmp_path}", f"--query_log_format={file_format}")
    planted: list[str] = []
    number_of = {"jsonl": 1000, "parquet": 28}[file_format]
    for number in range(number_of):
        secrets = plant(generator)
        planted += secrets
        secret = secrets[number % len(secrets)]
        words = generator.choices(WORDS, k=6)
        words.insert(generator.randrange(7), secret)
        text = " ".join(words)
        if number >= 28:
            log.observe(Observation(0.0, "docs", 1, "search", f"q{number}", text))
            continue
        attributes = {"filter": {"owner": secret}, "application": "page"}
        log.observe(Observation(0.0, "docs", 1, "search", secret, text, client_id=secret, attributes=attributes))
        note = {"note": f"by {secret}"}
        log.take_feedback(
            Feedback(0.0, "click", secret, secret, 1, secret, secret, secret, message=text, attributes=note)
        )
    log.tick()
    files = list(tmp_path.iterdir())
    before = b"".join(file.read_bytes() for file in files)  # of the open files, too
    log.close()
    after = "".join(
        json.dumps([vars(record) for record in records], ensure_ascii=False)
        for reader in [LogReader(tmp_path)]
        for records in (list(reader.queries()), list(reader.events()))
    )
    raw = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert [secret for secret in planted if secret in after] == []
    assert [secret for secret in planted if secret.encode() in before or secret.encode() in raw] == []
    assert all(kind in after for kind in ("[EMAIL]", "[PHONE]", "[CARD]", "[IBAN]", "[IP]", "[SECRET]"))
    queries, events = list(LogReader(tmp_path).queries()), list(LogReader(tmp_path).events())
    assert (len(queries), len(events)) == (number_of, 28)
    assert [query.query_id for query in queries[:28]] == [event.query_id for event in events]  # they still join


def test_kinds_can_be_chosen() -> None:
    mask = make_mask(["email"])
    assert mask("ana@example.org 4111 1111 1111 1111") == "[EMAIL] 4111 1111 1111 1111"
    assert make_mask()("ana@example.org 4111 1111 1111 1111") == "[EMAIL] [CARD]"


def test_without_a_folder_there_is_no_log_and_wrong_flags_are_named(tmp_path: Path) -> None:
    assert find_monitor(parse_flags([])) is None
    with pytest.raises(InputError, match="query_log_format"):
        find_monitor(parse_flags([f"--query_log_dir={tmp_path}", "--query_log_format=csv"]))
    with pytest.raises(InputError, match="`kinds`"):
        find_monitor(parse_flags([f"--query_log_dir={tmp_path}", "--query_log_kinds=shoe_size"]))
