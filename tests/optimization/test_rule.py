import pytest

from tfchain.core.errors import InputError
from tfchain.optimization.report import CandidateReport
from tfchain.optimization.rule import Rule


def candidate(name: str, ndcg: float, size: int, query: float = 1.0, bulk: float = 1.0, memory: float = 1.0):
    return CandidateReport(
        name=name,
        metrics={"ndcg@10": ndcg},
        files={"model": size},
        query_median_ms=query,
        texts_per_second=bulk,
        peak_memory_mb=memory,
    )


def make_rule(**values) -> Rule:
    return Rule(objective="ndcg@10", **values)


CANDIDATES = [
    candidate("float32", 0.600, 90, query=8.0, bulk=50, memory=900),
    candidate("bfloat16", 0.601, 45, query=6.0, bulk=80, memory=950),
    candidate("int8", 0.595, 23, query=1.0, bulk=130, memory=800),  # 0.83 % lost
]


@pytest.mark.parametrize(("keep", "loss", "kept"), [
    ("smallest", 0.01, "int8"),
    ("smallest", 0.005, "bfloat16"),
    ("fastest_query", 0.01, "int8"),
    ("fastest_bulk", 0.0, "bfloat16"),
    ("least_memory", 0.0, "float32"),
    ("least_memory", 1.0, "int8"),
    ("best", 0.01, "bfloat16"),
])  # fmt: skip
def test_the_rule_keeps_the_best_of_those_that_rank_well_enough(keep: str, loss: float, kept: str) -> None:
    assert make_rule(keep=keep, max_loss=loss).choose(CANDIDATES).name == kept


def test_the_float_model_is_kept_where_all_others_lose_too_much() -> None:
    worse = [CANDIDATES[0], candidate("int8", 0.5, 23)]
    assert make_rule().choose(worse).name == "float32"


def test_of_equally_small_ones_the_better_ranking_is_kept() -> None:
    same = [CANDIDATES[0], candidate("a", 0.6, 23), candidate("b", 0.601, 23)]
    assert make_rule().choose(same).name == "b"


@pytest.mark.parametrize(("values", "message"), [
    ({"keep": "fastest"}, "`keep` must be one of smallest, fastest_query, .* Received: keep='fastest'"),
    ({"max_loss": -0.1}, r"The largest loss of ndcg@10 must be in \[0, 1\]. Received: -0.1"),
    ({"max_loss": 1.5}, "Received: 1.5. Use 0.01 for one per cent"),
    ({"max_loss": float("nan")}, "Received: nan"),
    ({"max_loss": "1 %"}, "Received: '1 %'"),
    ({"max_loss": True}, "Received: True"),
])  # fmt: skip
def test_values_out_of_range_are_refused(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_rule(**values)


def test_a_rule_on_what_was_not_measured_is_refused() -> None:
    with pytest.raises(InputError, match="needs ndcg@10, which was not measured for 'x'. Received: recall@100"):
        make_rule().choose([CandidateReport(name="x", metrics={"recall@100": 1.0})])
    slow = [CandidateReport(name="x", metrics={"ndcg@10": 1.0})]
    with pytest.raises(InputError, match="keep='fastest_bulk' needs what was not measured for 'x'"):
        make_rule(keep="fastest_bulk").choose(slow)
    with pytest.raises(InputError, match="needs ndcg@10, which is not measured without a dataset"):
        make_rule().check(objective=False, speed=True)
    with pytest.raises(InputError, match="keep='fastest_query' needs speed and memory, which are not measured without"):
        make_rule(keep="fastest_query").check(objective=True, speed=False)
    make_rule().check(objective=True, speed=False)


def test_of_an_error_less_is_better() -> None:
    candidates = [
        CandidateReport(name="float32", metrics={"log_loss": 0.50}, files={"model": 90}),
        CandidateReport(name="int8", metrics={"log_loss": 0.52}, files={"model": 23}),  # 4 % more
        CandidateReport(name="bfloat16", metrics={"log_loss": 0.49}, files={"model": 45}),
    ]

    def keep(**values) -> str:
        return Rule(objective="log_loss", lower_is_better=True, **values).choose(candidates).name

    assert keep(max_loss=0.05) == "int8"
    assert keep(max_loss=0.03) == "bfloat16"
    assert keep(keep="best", max_loss=1.0) == "bfloat16"
