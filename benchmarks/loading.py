"""What loading the definitions costs, beside loading a Dagster project that defines nothing.

Each loading is a process of its own, as a code server's and every run's is: import, all definitions
resolved and validated. The two take turns, so that a busy machine slows both alike. Printed are the
medians in seconds of time passed and of CPU time, their difference and their ratio; and what the
difference is spent on, by the modules that only our definitions import. More than two seconds of
CPU time on top of an empty project is too much, and exits with 1: then something heavy is imported
where it could wait. CPU time decides, since a busy machine adds to the other.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ALLOWED_S = 2.0

_LOAD = """
import dagster as dg
from {module} import defs
dg.Definitions.validate_loadable(defs)
defs.get_repository_def().load_all_definitions()
"""
_EMPTY = "import dagster as dg\ndefs = dg.Definitions()\n"
_MODULES = """
import sys, dagster
before = set(sys.modules)
import autoif_dagster.definitions
print(*sorted({{name.split(".")[0] for name in set(sys.modules) - before}}))
""".replace("{{", "{").replace("}}", "}")


def load(module: str, folder: Path) -> tuple[float, float]:
    """Seconds passed, and seconds of CPU time, of one loading."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", _LOAD.format(module=module)],
        env=_environment(folder),
        cwd=folder,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{module} could not be loaded")
    return time.monotonic() - began, used.ru_utime + used.ru_stime


def _environment(folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AUTOIF", "DAGSTER"))}
    return kept | {"AUTOIF_HOME": str(folder / "home"), "PYTHONPATH": str(folder)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=7)
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "defines_nothing.py").write_text(_EMPTY, "utf-8")
        both = ("defines_nothing", "autoif_dagster.definitions")
        for module in both:  # compiled and in the page cache from here on
            load(module, folder)
        took = {module: [] for module in both}  # type: dict[str, list[tuple[float, float]]]
        for _ in range(times):
            for module in both:
                took[module].append(load(module, folder))
        told = subprocess.run(
            [sys.executable, "-c", _MODULES], env=_environment(folder), cwd=folder,
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    print(f"{times} loadings of each, medians in seconds\n")
    print(f"{'':<10}{'empty':>8}{'ours':>8}{'more':>8}{'ratio':>8}")
    more = {}
    for at, name in enumerate(("passed", "CPU")):
        empty, ours = (median(of[at] for of in took[module]) for module in both)
        more[name] = ours - empty
        print(f"{name:<10}{empty:>8.2f}{ours:>8.2f}{ours - empty:>8.2f}{ours / empty:>8.2f}")
    verdict = "within" if more["CPU"] <= ALLOWED_S else "MORE THAN"
    print(f"\n{verdict} {ALLOWED_S:.0f} s of CPU time on top of an empty project")
    print(f"imported on top: {told}", end="")
    return int(more["CPU"] > ALLOWED_S)


if __name__ == "__main__":
    sys.exit(main())
