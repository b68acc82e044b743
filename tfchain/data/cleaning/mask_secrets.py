"""The step that masks keys, tokens and passwords, or leaves out the records that have some."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tfchain.data.cleaning.personal.found import Found, replace_found
from tfchain.data.cleaning.personal.secrets import KINDS, find_secrets
from tfchain.data.cleaning.setting_checks import check_names, check_word
from tfchain.data.steps.record import Record, texts_of
from tfchain.data.steps.step import TextStep
from tfchain.data.steps.step_log import StepLog

ACTIONS = ("mask", "drop")


@dataclass(frozen=True)
class MaskSecrets(TextStep):
    """Replaces keys, tokens and passwords with `[SECRET]`, or leaves out the records that have some.

    Found by the forms that issuers document (AWS, GitHub, GitLab, Slack, Google, Stripe, npm, PyPI, …), private keys in
    PEM, JSON Web Tokens, passwords in addresses, and values that look random after names such as `password=` or
    `api_key:`. A secret of no known form, in prose, is not found.

    Args:
        action: `mask`, or `drop` for records with any. Default: `mask`.
        kinds: Which kinds; `tfchain.data.cleaning.personal.secrets.KINDS` has their names. Default: all.

    Raises:
        InputError: if a setting is not known.
    """

    name: ClassVar[str] = "mask_secrets"
    action: str = "mask"
    kinds: tuple[str, ...] = KINDS

    def __post_init__(self) -> None:
        check_word("action", self.action, ACTIONS)
        check_names("kinds", self.kinds, KINDS)

    def change(self, text: str, found: Counter[str]) -> str:
        """Returns the masked text, and counts each kind once."""
        places = find_secrets(text, self.kinds)
        found.update({place.kind for place in places})
        return replace_found(text, [Found(start, end, "secret") for start, end, _ in places]) if places else text

    def process(self, records: Sequence[Record], log: StepLog, state: Any) -> list[Record]:
        """Masks, or drops."""
        if self.action == "mask":
            return super().process(records, log, state)
        kept: list[Record] = []
        for record in records:
            found: Counter[str] = Counter()
            for text in texts_of(record).values():
                self.change(text, found)
            if found:
                log.drop(record, f"secrets: {', '.join(sorted(found))}")
            else:
                kept.append(record)
        return kept
