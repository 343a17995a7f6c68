"""Adding round 50 beside adding round 2: seconds and model calls, in all and by table.

Covered: tiny rounds of the simulated supervisor, one after the other in one home and one process,
as the nightly schedule adds them. Not covered: many rows a round (`benchmarks/lake.py`) and what a
real model takes. The middle of three rounds is compared, since one alone may meet a busy machine.

    .venv/bin/python -m benchmarks.rounds [ROUNDS]
"""

import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict

_SETTINGS = {
    "AUTOIF__AUGMENTATION__TARGET": "4",
    "AUTOIF__AUGMENTATION__MAX_REPLIES": "8",
    "AUTOIF__VERIFICATION__FUNCTIONS": "4",
    "AUTOIF__VERIFICATION__CASE_REPLIES": "2",
    "AUTOIF__QUERIES__PER_INSTRUCTION": "1",
    "AUTOIF__RESPONSES__PER_PROMPT": "4",
    "AUTOIF__SANDBOX__CPU_S_PER_TEXT": "0.1",
    "AUTOIF__SIMULATOR__HOSTILE_FUNCTION_RATE": "0.0",
}
_AROUND = 3  # rounds whose middle is taken


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(_SETTINGS, AUTOIF_HOME=home, DAGSTER_HOME=f"{home}/dagster")
        seconds, calls = _add(rounds)
    early, late = range(1, 1 + _AROUND), range(rounds - _AROUND, rounds)
    print(f"{'':<24}{'round 2':>10}{f'round {rounds}':>10}{'ratio':>8}")
    for name, taken in sorted(seconds.items(), key=lambda item: -sum(item[1])):
        _tell(name, _middle(taken, early), _middle(taken, late), "s")
    _tell("model calls", _middle(calls, early), _middle(calls, late), "")


def _add(rounds: int) -> tuple[dict[str, list[float]], list[float]]:
    """Seconds of each table by round, and model calls by round."""
    from autoif_dagster.automation import synthesize
    from autoif_dagster.definitions import defs
    from autoif_dagster.instance import open_instance
    from autoif_dagster.partitions import NAME

    seconds: dict[str, list[float]] = defaultdict(list)
    calls: list[float] = []
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with open_instance() as instance:
        job = defs.resolve_job_def(synthesize.name)
        for number in range(1, rounds + 1):
            key = f"r{number:04d}"
            instance.add_dynamic_partitions(NAME, [key])
            began = time.perf_counter()
            result = job.execute_in_process(instance=instance, partition_key=key, run_config=quiet)
            seconds["all"].append(time.perf_counter() - began)
            asked = 0
            for event in result.all_events:
                if event.is_step_success and event.step_key is not None:
                    took = event.step_success_data.duration_ms / 1_000
                    seconds[event.step_key].append(took)
                if event.is_step_materialization:
                    shown = event.step_materialization_data.materialization.metadata
                    asked += int(str(shown["model_calls"].value)) if "model_calls" in shown else 0
            calls.append(asked)
    return seconds, calls


def _middle(values: list[float], places: range) -> float:
    return statistics.median(values[place] for place in places)


def _tell(name: str, early: float, late: float, unit: str) -> None:
    ratio = f"{late / early:.2f}" if early else "–"
    print(f"{name:<24}{early:>9.2f}{unit or ' '}{late:>9.2f}{unit or ' '}{ratio:>8}")


if __name__ == "__main__":
    main()
