"""`make ui`: Dagster's UI and daemon on one home, for as long as somebody wants them.

Two processes watch over three of Dagster's. The *launcher* stays in the terminal and only hands on
its signals: Ctrl-C, SIGTERM, and the SIGHUP of a terminal that closes. The *keeper*, in a session
of its own, starts code server, webserver and daemon and ends them; it hears of the launcher's own
end from the kernel, and whatever they started becomes its child when their parent goes. So nothing
is left, runs in progress included, however the launcher ends.

Runs that are in progress or waiting when somebody stops the UI are canceled, and are not taken up
again by themselves: docs/decisions/0014-stopping-the-ui.md says why.
"""

import argparse
import fcntl
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dotenv import load_dotenv

from autoif_dagster.errors import AutoIFError, CallError
from autoif_dagster.home import home_path, unusable
from autoif_dagster.instance import prepare_instance, watches_runs
from autoif_dagster.keeper import Keeper, end_with, say
from autoif_dagster.recipe import load_recipe

_USUAL_PORT = 3000
_ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def main(arguments: list[str] | None = None) -> int:
    """Open the UI and stay until told to stop. 0 stopped, 1 Dagster ended by itself, 2 the call was
    wrong."""
    parser = argparse.ArgumentParser(prog="make ui", description="Open Dagster's UI on this home.")
    parser.add_argument("--port", type=int, default=_USUAL_PORT, help="default: %(default)s")
    call = parser.parse_args(arguments)
    try:
        if not 0 < call.port < 2**16:
            raise CallError(f"--port {call.port}: a port is a number from 1 to {2**16 - 1}")
        load_dotenv(".env")  # what the environment says already, it goes on saying
        load_recipe()
        folder = prepare_instance()
        os.environ["AUTOIF_HOME"] = str(home_path())
        with _alone(folder) as (address, lock):
            return _launch(folder, address, lock, call.port)
    except AutoIFError as error:
        for line in str(error).splitlines():
            say(f"make ui: {line}")
        return 2 if isinstance(error, CallError) else 1


@contextmanager
def _alone(folder: Path) -> Iterator[tuple[Path, int]]:
    """One UI for a home: two daemons would both launch what a schedule asks for. Where its address
    is written for the second one to tell, and the lock, which the daemon holds as well: where all
    else was killed it lives a little longer."""
    path = folder / "ui"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise unusable(folder, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        where = path.read_text("utf-8") or "starting just now"
        raise AutoIFError(f"{folder.parent} is open already: {where}") from None
    try:
        path.write_text("", "utf-8")
        yield path, descriptor
    finally:
        os.close(descriptor)


def _launch(folder: Path, address: Path, lock: int, port: int) -> int:
    """Fork the keeper and hand on the signals that end us; the end of whoever started us is one."""
    parent = os.getppid()
    ending = {s for s in _ENDING if s != signal.SIGHUP or signal.getsignal(s) != signal.SIG_IGN}
    for number in ending:  # a shell's background ignores SIGINT
        signal.signal(number, signal.SIG_DFL)
    awaited = ending | {signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    end_with(parent)
    launcher = os.getpid()
    keeper = os.fork()
    if keeper == 0:
        code = 1
        try:
            code = _keep(launcher, folder, address, lock, port)
        except AutoIFError as error:
            say(f"make ui: {error}")
        except BaseException as error:  # the last word of this process
            say(f"make ui: {error!r}")
        finally:
            os._exit(code)
    while True:
        if signal.sigwait(awaited) != signal.SIGCHLD:
            with suppress(ProcessLookupError):
                os.kill(keeper, signal.SIGTERM)
                os.kill(keeper, signal.SIGCONT)  # somebody may have stopped it
            continue
        found, status = os.waitpid(keeper, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)


def _keep(launcher: int, folder: Path, address: Path, lock: int, port: int) -> int:
    os.setsid()
    end_with(launcher)
    say(f"Starting Dagster on {home_path()}; this takes a moment. Ctrl-C stops it.")
    if not watches_runs(folder):
        say(
            f"{folder / 'dagster.yaml'} is your own and names no WatchfulRunLauncher: a run that "
            "is killed together with the UI would stay as started. See docs/instance.md."
        )
    place = Path(tempfile.mkdtemp(prefix="autoif-ui-"))  # a socket's path must be short
    keeper = Keeper(folder, place, lock)
    try:
        return keeper.stay(address, port)
    finally:
        keeper.end()
        shutil.rmtree(place, ignore_errors=True)
        address.write_text("", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
