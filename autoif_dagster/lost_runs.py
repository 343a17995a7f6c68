"""Lost runs that Dagster's daemon is to retry: that it looks at each of them.

Dagster (1.13) logs that a run failed, and then sets its status. A daemon that looks in between
passes the run over for good: its status says that it goes on. So the keeper of `make ui` makes the
daemon look once more at what it left. Looking twice at others changes nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

_LOOKED_AT_S = 15.0  # the daemon looks every five
_LOOKS = 3  # of some the daemon knows why it does not


class LostRuns:
    """The lost runs of an instance, pointed out to its daemon a few times each."""

    def __init__(self, instance: dg.DagsterInstance, say: Callable[[str], None]) -> None:
        self._instance = instance
        self._say = say
        self._looked: Counter[str] = Counter()
        self._said: set[str] = set()

    def point_out(self) -> None:
        """To be called every few seconds. What fails is said once, and tried the next time."""
        try:
            for run_id in overlooked(self._instance):
                self._looked[run_id] += 1
                if self._looked[run_id] <= _LOOKS:
                    look_again(self._instance, run_id)
        except Exception as error:  # a full disk, say, which is no reason to end the UI
            kind = type(error).__name__  # the text may hold a time, and differ whenever it is made
            if kind not in self._said:
                self._said.add(kind)
                self._say(f"make ui: lost runs may not be retried for now: {kind}: {error}")


def start_cursors(instance: dg.DagsterInstance) -> None:
    """Where the daemon begins to look for lost runs: at the newest event. It would do so itself
    where it finds no cursors, with a warning."""
    from dagster._daemon.auto_run_reexecution import event_log_consumer as consumer

    newest = str(instance.event_log_storage.get_maximum_record_id() or 0)
    keys = {consumer._create_cursor_key(kind) for kind in consumer.DAGSTER_EVENT_TYPES}
    known = instance.daemon_cursor_storage.get_cursor_values(keys)
    if missing := keys - known.keys():
        instance.daemon_cursor_storage.set_cursor_values(dict.fromkeys(missing, newest))


def overlooked(instance: dg.DagsterInstance) -> list[str]:
    """Lost runs that are to be retried and that the daemon has not looked at for some time."""
    import dagster as dg
    from dagster._core.storage import tags

    # Those that were retried keep this tag: a limit here would count them too.
    lost = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], tags={tags.WILL_RETRY_TAG: "true"})
    return [
        record.dagster_run.run_id
        for record in instance.get_run_records(lost)
        if tags.AUTO_RETRY_RUN_ID_TAG not in record.dagster_run.tags
        and (record.end_time or 0.0) < time.time() - _LOOKED_AT_S
    ]


def look_again(instance: dg.DagsterInstance, run_id: str) -> None:
    """Set the daemon's cursor back to before the failure of a run."""
    import dagster as dg
    from dagster._daemon.auto_run_reexecution import event_log_consumer as consumer

    kind = dg.DagsterEventType.RUN_FAILURE
    events = instance.event_log_storage.get_logs_for_all_runs_by_log_id(
        after_cursor=0, dagster_event_type={kind}
    )
    for log_id, event in events.items():
        if event.run_id == run_id:
            cursor = {consumer._create_cursor_key(kind): str(log_id - 1)}
            instance.daemon_cursor_storage.set_cursor_values(cursor)
