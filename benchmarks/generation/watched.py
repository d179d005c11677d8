"""A process that is measured: its log, and the processor time that its threads take."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

#: How long a process may stay busy after its last answer before the next one is asked anyway.
MOST_QUIET_SECONDS = 2.0


class WatchedProcess:
    """A process, and the file that it logs to.

    Attributes:
        process: that is running.
        log: path of what it prints.
    """

    process: subprocess.Popen[bytes]
    log: Path

    def end_of_log(self) -> str:
        """The last lines of its log, indented."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-8:])

    def cpu_seconds(self) -> float | None:
        """Processor time of all its threads so far; None where the system does not tell."""
        try:
            stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        except OSError:
            return None
        # The name in parentheses may hold spaces; user and system time are fields 14 and 15.
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_until_quiet(self) -> float:
        """Wait until its threads have stopped spinning for more work; seconds waited.

        Thread pools look for work for a while before they sleep, and would take time from the
        next engine. Their settings are left alone: each engine runs as its users run it.
        """
        begin = time.perf_counter()
        before = self.cpu_seconds()
        if before is None:
            time.sleep(0.3)
        while before is not None and time.perf_counter() - begin < MOST_QUIET_SECONDS:
            time.sleep(0.05)
            after = self.cpu_seconds()
            if after == before:
                break
            before = after
        return time.perf_counter() - begin
