"""What a file says of a compression reaches the chain, whatever the chain calls its limit."""

from pathlib import Path
from typing import Any

import pytest

from tfchain import NeuralSearchChain, Quantize
from tfchain.chains.base import Chain
from tfchain.jobs.compressing import compress, run_compression
from tfchain.jobs.compression_plan import read_compression
from tfchain.optimization.report import CompressionReport

INT8 = [[("quantize", {"precision": "int8"})], [("quantize", {"precision": "bfloat16"})]]


@pytest.mark.parametrize(("kind", "limit"), [(NeuralSearchChain, "max_ndcg_loss"), (Chain, "max_loss")])
def test_the_limit_has_the_name_that_the_chain_gives_it(
    kind: type[Chain], limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[dict[str, Any]] = []
    real = kind.compress

    def record(chain: Any, recipes: Any, **options: Any) -> str:
        calls.append({"recipes": recipes, **options})
        return "report"

    record.__wrapped__ = real  # type: ignore[attr-defined]  # so that it has the signature of the real one
    monkeypatch.setattr(kind, "compress", record)
    assert compress(kind.__new__(kind), INT8, dataset=Path("judged"), keep="best", max_loss=0.5) == "report"
    recipes = [(Quantize("int8"),), (Quantize("bfloat16"),)]
    expected = {"recipes": recipes, "texts": None, "dataset": Path("judged"), "split": "test", "keep": "best"}
    assert calls == [{**expected, limit: 0.5}]


def test_a_search_from_a_folder_is_saved_as_a_chain_without_documents(thin_model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        f"model: {thin_model_path}\nchain: {{passages: truncate}}\nrecipes: [{{quantize: {{precision: bfloat16}}}}]\n"
        "output: out\nreport: why\n"
    )
    report = run_compression(read_compression(tmp_path / "c.yaml"))
    assert report.kept == "bfloat16"
    assert CompressionReport.load(tmp_path / "why").to_dict() == report.to_dict()
    chain = NeuralSearchChain.load(tmp_path / "out", engine="tensorflow")
    assert (chain.text_encoder.precision, chain.passages.mode, len(chain)) == ("bfloat16", "truncate", 0)
    assert chain.add(["the cat sleeps", "a dog runs"]).search("the cat sleeps")["answer"] == "the cat sleeps"
