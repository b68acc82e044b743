"""The step that masks keys, tokens and passwords, or leaves out the records that have some."""

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from tfchain.data.cleaning.mask_step import MaskStep
from tfchain.data.cleaning.personal.found import Found, replace_found
from tfchain.data.cleaning.personal.secrets import KINDS, find_secrets
from tfchain.data.cleaning.setting_checks import check_names


@dataclass(frozen=True)
class MaskSecrets(MaskStep):
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

    what: ClassVar[str] = "secrets"
    name: ClassVar[str] = "mask_secrets"
    kinds: tuple[str, ...] = KINDS

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("kinds", self.kinds, KINDS)

    def change(self, text: str, found: Counter[str]) -> str:
        """Returns the masked text, and counts each kind once."""
        places = find_secrets(text, self.kinds)
        found.update({place.kind for place in places})
        return replace_found(text, [Found(start, end, "secret") for start, end, _ in places]) if places else text
