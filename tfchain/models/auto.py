"""`AutoModel`: encoders from folders and hub names, in Keras, without PyTorch."""

from pathlib import Path

from tfchain.models.encoders.encoder import Encoder
from tfchain.models.weights.download import find_model
from tfchain.models.weights.pretrained import load_encoder


class AutoModel:
    """Reads a text encoder from a Hugging Face or sentence-transformers folder as a Keras model.

    It replaces `transformers.AutoModel` in a script, and returns an `Encoder`. It reads the architectures of
    `tfchain/models/weights/architectures`, from BERT to ModernBERT, GTE and Qwen3.

    Example:
        >>> model = AutoModel.from_pretrained("bert-base-chinese")
        >>> chain = NeuralSearchChain(tokenizer=tokenizer, model=model)
    """

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, *, adapter: str | None = None) -> Encoder:
        """Reads a folder's configuration and weights.

        Args:
            name_or_path: A folder, or a name on the Hugging Face hub, which is downloaded into the Hugging Face cache.
            adapter: The adapter to merge into the weights, where a checkpoint has one for each task, such as
                `retrieval.query` of jina-embeddings-v3. Default: none.

        Returns:
            The encoder, with the folder's pooling, dense modules and normalisation; mean pooling if the folder sets
            none. For a model of another kind, such as a reranker, only the transformer, with mean pooling.

        Raises:
            ModelFolderError: if the folder or its weights do not exist, the architecture is unknown, or tensors are
                missing.
        """
        return load_encoder(find_model(name_or_path, kinds="any", adapter=adapter)[1])
