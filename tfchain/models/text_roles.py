"""A tokenizer with what is different for queries and documents: the prompt before a text, and the maximum length."""

from collections.abc import Mapping
from typing import Any, Literal

from tfchain.core.errors import InputError
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.text_encoder_checks import check_prompts, check_role_length, check_vocabulary, find_max_length
from tfchain.models.tokenizers.encoder_tokenizer import make_host_tokenizer
from tfchain.models.tokenizers.host import HostTokenizer

Role = Literal["query", "document"]


class TextRoles:
    """How texts become token ids, by the role that they have.

    Args:
        tokenizer: A transformers tokenizer.
        config: The encoder's shape; None for a Keras model that is not one of tfchain's own encoders.
        max_length: The maximum number of tokens in a text, special ones included. Default: tokenizer's and encoder's.
        query_length: The maximum of a query. Default: `max_length`.
        document_length: The maximum of a document. Default: `max_length`.
        do_lower_case: Whether texts are lower-cased before tokenizing. Default: False.
        prompts: Prompt name → text put before each text. Default: none.
        default_prompt_name: The prompt of texts without a role. Default: none.

    Raises:
        InputError: if a length is out of range, `default_prompt_name` is not among the prompts, or the tokenizer has
            more tokens than the encoder.
    """

    def __init__(
        self,
        tokenizer: Any,
        config: EncoderConfig | None,
        *,
        max_length: int | None = None,
        query_length: int | None = None,
        document_length: int | None = None,
        do_lower_case: bool = False,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
    ) -> None:
        self.prompts = check_prompts(prompts or {})
        self.default_prompt_name = default_prompt_name
        if default_prompt_name is not None and default_prompt_name not in self.prompts:
            raise InputError(
                f"`default_prompt_name` must be one of the prompts ({', '.join(self.prompts) or 'there are none'}). "
                f"Received: {default_prompt_name!r}."
            )
        self.tokenizer = make_host_tokenizer(
            tokenizer,
            config,
            max_length=find_max_length(tokenizer, config, max_length),
            do_lower_case=do_lower_case,
        )
        self.query_tokenizer = self.tokenizer.for_queries(check_role_length("query_length", query_length, config))
        self.document_tokenizer = self.tokenizer.with_length(
            check_role_length("document_length", document_length, config)
        )
        check_vocabulary(tokenizer, config)
        self._pools_without_prompt = config is not None and not config.pooling.include_prompt

    def find_tokenizer(self, role: Role | None) -> HostTokenizer:
        """Returns the tokenizer that truncates at the maximum of queries, of documents, or for None of all texts."""
        found = {None: self.tokenizer, "query": self.query_tokenizer, "document": self.document_tokenizer}
        if role not in found:
            raise InputError(f"`role` must be 'query', 'document' or None. Received: role={role!r}.")
        return found[role]

    @property
    def role_lengths(self) -> dict[str, int]:
        """`query_length` and `document_length`, where they are not `max_length`."""
        lengths = {"query_length": self.query_tokenizer, "document_length": self.document_tokenizer}
        return {name: each.max_length for name, each in lengths.items() if each is not self.tokenizer}

    @property
    def query_prompt(self) -> str:
        """The prompt for queries; the default prompt is for `encode` only, as in sentence-transformers."""
        return self.prompts.get("query", "")

    @property
    def document_prompt(self) -> str:
        """The prompt for documents. sentence-transformers 6 names it `document`; older folders say `passage`."""
        names = ("document", "passage", "corpus")
        return next((self.prompts[name] for name in names if name in self.prompts), "")

    def find_prompt(self, name: str | None) -> str:
        """Returns a prompt by name; for None the default prompt, or an empty one if the model has none."""
        name = name if name is not None else self.default_prompt_name
        if name is None:
            return ""
        if not isinstance(name, str) or name not in self.prompts:
            raise InputError(
                f"`prompt_name` must be one of {', '.join(self.prompts) or '(the model has no prompts)'}. "
                f"Received: prompt_name={name!r}."
            )
        return self.prompts[name]

    @property
    def longest(self) -> int:
        """The maximum number of tokens in any text, whatever its role."""
        return max(self.tokenizer.max_length, *self.role_lengths.values(), 0)

    def skipped_tokens(self, prompt: str) -> int:
        """Returns how many leading tokens pooling leaves out for a prompt."""
        return self.tokenizer.prompt_length(prompt) if prompt and self._pools_without_prompt else 0

    def settings(self) -> dict[str, Any]:
        """Returns the constructor's plain arguments."""
        return {
            "max_length": self.tokenizer.max_length,
            **self.role_lengths,
            "do_lower_case": self.tokenizer.do_lower_case,
            "prompts": self.prompts,
            "default_prompt_name": self.default_prompt_name,
        }
