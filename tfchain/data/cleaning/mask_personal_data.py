"""The step that masks personal data, or leaves out the records that have some."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tfchain.core.errors import InputError
from tfchain.data.cleaning.mask_step import MaskStep
from tfchain.data.cleaning.personal.found import replace_found
from tfchain.data.cleaning.personal.national_ids import COUNTRIES
from tfchain.data.cleaning.personal.personal_data import ALL_KINDS, KINDS, find_personal_data
from tfchain.data.cleaning.personal.phones import REGIONS
from tfchain.data.cleaning.setting_checks import check_names


@dataclass(frozen=True)
class MaskPersonalData(MaskStep):
    """Replaces personal data with its kind, such as `[EMAIL]`, or leaves out the records that have some.

    Kinds: `email`; `phone`, by the numbering plans of phonenumbers; `card`, with an issuer's first digits and Luhn's
    check digit; `iban`, with its check digits; `national_id`, ids of 17 countries by form and check digits; `ip`; and
    `name`, people's names by Presidio, which is off until asked for, as it needs the extra `names` and a model.

    Patterns find what is written as usual, and no more: docs/cleaning.md has recall and precision. Metadata is not
    searched. Masking twice changes nothing.

    Args:
        action: `mask`, or `drop` for records with any. Default: `mask`.
        kinds: Which kinds. Default: all but `name`.
        regions: ISO 3166 codes of countries whose national phone numbers to find; numbers with `+` are found of any.
            Default: CN, US, GB, DE, FR, IN.
        countries: ISO 3166 codes of countries whose ids to find. Default: all that are known.
        language: The language in which to look for names. Default: `en`.
        analyzer: An object with Presidio's `analyze`, which a file of settings cannot name. Default: Presidio's own.

    Raises:
        InputError: if a setting is not known.
        MissingPackageError: in a run, if a package is not installed that a kind needs.
    """

    what: ClassVar[str] = "personal data"
    name: ClassVar[str] = "mask_personal_data"
    kinds: tuple[str, ...] = KINDS
    regions: tuple[str, ...] = REGIONS
    countries: tuple[str, ...] = COUNTRIES
    language: str = "en"
    analyzer: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("kinds", self.kinds, ALL_KINDS)
        check_names("countries", self.countries, COUNTRIES)
        codes = self.regions if isinstance(self.regions, list | tuple) else ("",)
        if not all(isinstance(code, str) and len(code) == 2 and code.isupper() for code in codes):
            raise InputError(
                f"`regions` must be a list of ISO 3166 codes, such as ['CN', 'US']. Received: {self.regions!r}.",
                argument="regions",
            )

    def settings(self) -> dict[str, Any]:
        """Returns the plain settings: all but the analyzer."""
        names = ("action", "kinds", "regions", "countries", "language")
        return {name: getattr(self, name) for name in names}

    def change(self, text: str, found: Counter[str]) -> str:
        """Returns the masked text, and counts each kind once."""
        places = find_personal_data(
            text,
            self.kinds,
            regions=self.regions,
            countries=self.countries,
            analyzer=self.analyzer,
            language=self.language,
        )
        found.update({place.kind for place in places})
        return replace_found(text, places) if places else text
