"""How many connections fit the files that a process may open."""

import resource

import pytest

from tfchain.deployment.server.open_files import RESERVED_FILES, fit_connections

ENDLESS = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "wanted", "fitting", "raised"),
    [
        ((1024, 4096), 100, 100, None),
        ((1024, 4096), 1000, 1000, 2256),
        ((1024, ENDLESS), 10_000, 10_000, 20_256),
        ((ENDLESS, ENDLESS), 10_000, 10_000, None),
        ((1024, 1024), 1000, 384, None),
        ((1024, 2000), 1000, 872, 2000),
        ((100, 100), 1000, 1, None),
    ],
)
def test_the_limit_is_raised_as_far_as_the_system_lets_it(
    limits: tuple[int, int],
    wanted: int,
    fitting: int,
    raised: int | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, values: found.append(values))
    assert fit_connections(wanted) == fitting
    assert found == ([] if raised is None else [(raised, limits[1])])
    assert ("takes at most" in caplog.text) == (fitting < wanted)
    assert fitting == 1 or 2 * fitting + RESERVED_FILES <= (raised or limits[0]) or limits[0] == ENDLESS
