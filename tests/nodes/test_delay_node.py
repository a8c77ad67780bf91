"""``delay`` waits for the time that its config says, and hands its input on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spane_django.core.outcome import Delay, Permanent
from spane_django.nodes.delay import DelayNode

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("config", "until"),
    [
        ({"duration": 600}, NOW + timedelta(milliseconds=600)),
        ({"duration": 0.5}, NOW + timedelta(microseconds=500)),
        ({"duration": 0}, NOW),
        ({"durationSeconds": 1.5}, NOW + timedelta(seconds=1.5)),
        ({"durationMinutes": 2}, NOW + timedelta(minutes=2)),
        (
            {"durationMinutes": 2, "durationSeconds": 3, "duration": 4},
            NOW + timedelta(milliseconds=4),
        ),
        ({"durationMinutes": 2, "durationSeconds": 3}, NOW + timedelta(seconds=3)),
        ({"duration": "PT5M"}, NOW + timedelta(minutes=5)),
        ({"duration": "P1DT2H"}, NOW + timedelta(hours=26)),
        ({"until": "2030-02-01T09:00:00Z"}, datetime(2030, 2, 1, 9, tzinfo=UTC)),
        ({"until": "2030-02-01T09:00:00+02:00"}, datetime(2030, 2, 1, 7, tzinfo=UTC)),
        ({"until": "2030-02-01T09:00:00"}, datetime(2030, 2, 1, 9, tzinfo=UTC)),
        (
            {"until": "2030-07-01T09:00:00", "timeZone": "Europe/Berlin"},
            datetime(2030, 7, 1, 7, tzinfo=UTC),
        ),
        ({"until": "2020-01-01"}, datetime(2020, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_delay_first_answers_when_it_ends(context, faults, config, until):
    assert faults(DelayNode, config) == []
    answer = DelayNode().execute(context(config, {"k": 1}, now=NOW))

    assert answer == Delay(until=until, checkpoint={"until": until.isoformat()})


@given(
    milliseconds=st.floats(0, 1e10), early=st.timedeltas(timedelta(microseconds=1), timedelta(9))
)
def test_a_delay_hands_on_its_input_when_its_time_has_come_or_is_hurried(milliseconds, early):
    from uuid import UUID

    from spane_django.nodes import Context

    def at(now, checkpoint):
        return Context(
            execution_id=UUID(int=1), workflow_id="w", node_id="d", node_type="delay",
            config={"duration": milliseconds}, input="kept", now=now, checkpoint=checkpoint,
            log=None,
        )  # fmt: skip

    first = DelayNode().execute(at(NOW, None))

    assert DelayNode().execute(at(first.until - early, first.checkpoint)) == "kept"
    assert DelayNode().execute(at(first.until, first.checkpoint)) == "kept"
    assert DelayNode().execute(at(first.until + early, first.checkpoint)) == "kept"


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({}, "Delay node missing duration configuration"),
        ({"timeZone": "UTC"}, "missing duration"),
        ({"duration": None}, "missing duration"),
        ({"duration": -1}, "Delay duration must be positive"),
        ({"durationSeconds": -0.5}, "Delay duration must be positive"),
        ({"duration": "-PT5M"}, "Delay duration must be positive"),
        ({"duration": "five minutes"}, "must be a number of milliseconds or a text such as 'PT5M'"),
        ({"duration": "5"}, "must be a number of milliseconds"),
        ({"durationSeconds": "PT5M"}, "must be a number of seconds"),
        ({"durationMinutes": True}, "must be a number of minutes"),
        ({"durationMinutes": 1e300}, "too long"),
        ({"duration": 1e17}, "too long"),
        ({"until": "tomorrow"}, "'until' must be a date and time"),
        ({"until": "2030-01-01T00:00:00", "timeZone": "Mars/Base"}, "'timeZone' must be a name"),
        ({"until": "2030-01-01T00:00:00", "timeZone": "../../etc/passwd"}, "'timeZone' must be"),
    ],
)
def test_a_delay_without_an_end_is_refused_when_published_and_when_run(context, config, part):
    assert part in "; ".join(DelayNode().check(config))
    with pytest.raises(Permanent) as raised:
        DelayNode().execute(context(config, now=NOW))
    assert part in str(raised.value)


def test_a_delay_from_a_template_is_checked_when_it_runs(faults):
    assert faults(DelayNode, {"durationSeconds": "{{ input.wait }}"}) == []
    assert "missing duration" in faults(DelayNode, {"timeZone": "{{ input.zone }}"})[0]
