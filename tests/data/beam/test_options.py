"""Options pass to Beam as they are; the DirectRunner is the one in memory."""

import pytest
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions, TypeOptions

from tfchain.data.beam.options import make_options

pytestmark = pytest.mark.beam


def test_flags_become_options() -> None:
    made = make_options(["--runner=FlinkRunner", "--flink_master=host:8081", "--direct_num_workers=3"])

    assert made.view_as(StandardOptions).runner == "FlinkRunner"
    assert made.view_as(DirectOptions).direct_num_workers == 3
    assert made.get_all_options()["flink_master"] == "host:8081"
    assert not made.view_as(TypeOptions).allow_unsafe_triggers


@pytest.mark.parametrize("options", [None, [], ["--runner=DirectRunner"], PipelineOptions([])])
def test_the_direct_runner_does_not_hand_over_to_prism(options: object) -> None:
    assert make_options(options).view_as(TypeOptions).allow_unsafe_triggers
