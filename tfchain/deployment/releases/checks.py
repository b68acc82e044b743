"""The gate's checks of figures against limits: metric, latency, size, and how far the answers drifted."""

from collections.abc import Sequence

import numpy as np

from tfchain.core.judgement import Judgement
from tfchain.core.rank_similarity import find_overlap, find_rank_biased_overlap
from tfchain.deployment.releases.comparison import Comparison
from tfchain.deployment.releases.limits import ReleaseLimits
from tfchain.deployment.releases.report import Check


def check_metric(judged: Judgement, comparison: Comparison | None, limits: ReleaseLimits) -> Check:
    """Decides by the rule of the limits; a first version has nothing to be compared with, and passes."""
    if comparison is None:
        message = f"{judged.metric} is {judged.score:.4f}. There is no live version to compare with."
        return Check("metric", "skipped", message, {"new": judged.score})
    margin = limits.margin * abs(comparison.live)
    values = {"margin": margin, "lost_at_most": max(0.0, -comparison.low)}
    interval = f"{comparison.low:+.4f} and {comparison.high:+.4f} ({2 * comparison.level - 1:.0%})"
    said = (
        f"{comparison.metric} goes from {comparison.live:.4f} to {comparison.new:.4f}: a gain of "
        f"{comparison.gain:+.4f}, between {interval}, "
        f"p = {comparison.p_value:.4f}, over {comparison.num_items} items."
    )
    if comparison.high < -margin:
        return Check("metric", "failed", f"The version is worse. {said} Keep the live one.", values)
    if comparison.low <= -margin:
        advice = (
            f"This evaluation set shows a loss of {comparison.detectable:.4f} with a probability of 80 %: judge more "
            "items, or accept a larger margin."
            if comparison.p_worse > limits.alpha
            else "Keep the live one, or accept a larger margin."
        )
        message = f"A loss of more than the margin of {margin:.4f} cannot be excluded. {said} {advice}"
        return Check("metric", "failed", message, values)
    if limits.rule == "strict" and comparison.p_worse <= limits.alpha and comparison.num_changed:
        message = (
            f"The version is worse, by less than the margin of {margin:.4f}. {said} Use rule='margin' to accept it."
        )
        return Check("metric", "failed", message, values)
    return Check("metric", "passed", f"A loss of more than {margin:.4f} is excluded. {said}", values)


def check_latency(new: Sequence[float], live: Sequence[float], limits: ReleaseLimits) -> Check:
    """Compares the 95th percentile of single questions with its limit; the median is reported beside it."""
    if not new:
        return Check("latency", "skipped", "The task has no questions to time.")
    values = {"p50_ms": float(np.percentile(new, 50)), "p95_ms": float(np.percentile(new, 95)), "num_timed": len(new)}
    said = f"A single question takes {values['p50_ms']:.2f} ms, and {values['p95_ms']:.2f} ms at the 95th percentile"
    if live:
        values |= {"live_p50_ms": float(np.percentile(live, 50)), "live_p95_ms": float(np.percentile(live, 95))}
        said += f" (live: {values['live_p50_ms']:.2f} and {values['live_p95_ms']:.2f} ms, asked in turn)"
    if limits.max_latency_ms is None:
        return Check("latency", "skipped", f"{said}. There is no limit.", values)
    if values["p95_ms"] > limits.max_latency_ms:
        message = f"{said}: more than {limits.max_latency_ms:g} ms. Compress the model, or raise `max_latency_ms`."
        return Check("latency", "failed", message, values)
    return Check("latency", "passed", f"{said}: within {limits.max_latency_ms:g} ms.", values)


def check_size(new_mb: float, live_mb: float | None, limits: ReleaseLimits) -> Check:
    """Compares the size of the version's files with its limit."""
    values = {"size_mb": new_mb, "live_size_mb": live_mb}
    said = f"The version has {new_mb:.1f} MB" + ("" if live_mb is None else f" (live: {live_mb:.1f} MB)")
    if limits.max_size_mb is None:
        return Check("size", "skipped", f"{said}. There is no limit.", values)
    if new_mb > limits.max_size_mb:
        message = f"{said}: more than {limits.max_size_mb:g} MB. Compress the model, or raise `max_size_mb`."
        return Check("size", "failed", message, values)
    return Check("size", "passed", f"{said}: within {limits.max_size_mb:g} MB.", values)


def check_answers(new: Judgement, live: Judgement | None, limits: ReleaseLimits) -> Check:
    """Compares how the two versions rank: overlap@10 and rank-biased overlap, as means over the items."""
    if live is None or not new.rankings or not live.rankings:
        return Check("answers", "skipped", "There are no two rankings to compare.")
    pairs = list(zip(live.rankings, new.rankings, strict=True))
    overlaps = np.array([find_overlap(before, after) for before, after in pairs])
    biased = np.array([find_rank_biased_overlap(before, after) for before, after in pairs])
    same_best = float(np.mean([before[:1] == after[:1] for before, after in pairs]))
    values = {
        "overlap_at_10": float(overlaps.mean()),
        "rank_biased_overlap": float(biased.mean()),
        "same_best": same_best,
        "num_items": len(pairs),
    }
    said = (
        f"The versions share {values['overlap_at_10']:.1%} of their ten best answers; the rank-biased overlap is "
        f"{values['rank_biased_overlap']:.3f}, and the best answer is the same for {same_best:.1%}"
    )
    if limits.min_overlap is None:
        return Check("answers", "skipped", f"{said}. There is no limit.", values)
    if values["overlap_at_10"] < limits.min_overlap:
        message = f"{said}: less than {limits.min_overlap:.1%}. Look at the items that changed, or lower `min_overlap`."
        return Check("answers", "failed", message, values)
    return Check("answers", "passed", f"{said}: at least {limits.min_overlap:.1%}.", values)
