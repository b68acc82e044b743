"""How a reader reads: the overlap of windows, the longest answer, the question's room, and what it is taught beside."""

from dataclasses import dataclass

from tfchain.core.checks import check_whole_number


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """How a text is read.

    Args:
        stride: The tokens that two neighbouring windows of a long text share, as `stride` (`doc_stride`) in
            transformers. At most half a window is shared. Default: 128.
        max_answer_tokens: The most tokens of an answer. Default: 30.
        max_question_tokens: The most tokens of a question; what is behind them is not read. It is kept free beside each
            window, up to a quarter of the model's maximum length. Default: 64, as in BERT's own reader of SQuAD.
        distractors: How many other contexts a training shows with each question, as ones that do not answer it: those
            near its own in the data (mostly of the same article) that have none of its answers. They teach a reader
            that is to compare several passages which of them answers. Default: 0, as SQuAD's readers are trained.

    Raises:
        InputError: if a value is out of range.
    """

    stride: int = 128
    max_answer_tokens: int = 30
    max_question_tokens: int = 64
    distractors: int = 0

    def __post_init__(self) -> None:
        check_whole_number("stride", self.stride, least=0)
        check_whole_number("max_answer_tokens", self.max_answer_tokens)
        check_whole_number("max_question_tokens", self.max_question_tokens)
        check_whole_number("distractors", self.distractors, least=0)
