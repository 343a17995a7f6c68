"""Runs plain Python inside a locked-down child, as if a program had broken the language guard.

In a process of its own: taking rights away cannot be undone. ``report`` gives, for each attempt,
"refused" or what happened instead.
"""

import json
import subprocess
import sys
import textwrap

from autoif_dagster.sandbox import SandboxLimits

ATTEMPTS = {
    "read a file": "open('/etc/passwd').read(1)",
    "write a file": "open('/tmp/escaped', 'w')",
    "list a folder": "os.listdir('/')",
    "fork": "os._exit(0) if os.fork() == 0 else None",
    "run a program": "os.posix_spawn('/bin/true', ['true'], {})",
    "open a socket": "socket.socket()",
    "open a datagram socket": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "open a local socket": "socket.socketpair()",
    "signal the parent": "os.kill(os.getppid(), 0)",
    "start a thread": "_thread.start_new_thread(print, ())",
    "write to a descriptor": "os.write(2, b'x')",
    "write to the pipe": "os.write(3, b'x')",
    "raise its limits": "resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))",
    "change user": "os.setuid(0)",
    "trace": "trace()",
}


def report(limits: SandboxLimits) -> dict[str, str]:
    """Each attempt in a child of its own; the child's exit code is its answer."""
    script = textwrap.dedent(
        f"""
        import _thread, ctypes, json, os, resource, socket, sys
        from autoif_dagster.sandbox import oslimits

        def trace():
            if ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0):
                raise PermissionError

        def lock_down():
            for layer in (
                oslimits.become_nobody, oslimits.no_new_privileges, oslimits.deny_files
            ):
                try:
                    layer()
                except OSError:
                    pass
            oslimits.set_resource_limits(memory_bytes={limits.memory_bytes} + (1 << 30), cpu_s=10)
            program = oslimits.syscall_filter()
            if program is not None:
                oslimits.install_filter(program)

        def outcome(attempt):
            pid = os.fork()
            if pid == 0:
                lock_down()
                try:
                    attempt()
                except (OSError, RuntimeError, ValueError):
                    os._exit(7)
                os._exit(8)
            status = os.waitpid(pid, 0)[1]
            return {{7: "refused", 8: "done"}}.get(os.waitstatus_to_exitcode(status), str(status))

        """
    )
    script += "attempts = {\n"
    script += "".join(f"    {name!r}: lambda: {code},\n" for name, code in ATTEMPTS.items())
    script += (
        "}\nprint(json.dumps({name: outcome(attempt) for name, attempt in attempts.items()}))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    results: dict[str, str] = json.loads(answer.stdout)
    return results
