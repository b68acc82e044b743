"""Numbers about the server's own process, by the names that Prometheus' clients use."""

import os
import resource
import threading
import time
from pathlib import Path

from tfchain.deployment.server.metrics.registry import Reading

_PROCESS = Path("/proc/self")


def read_process() -> list[Reading]:
    """Reads processor time, memory, threads and open files; what this system does not tell is left out."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    readings = [
        Reading(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
            "counter",
            usage.ru_utime + usage.ru_stime,
        ),
        Reading("process_python_threads", "Number of threads that Python started.", "gauge", threading.active_count()),
        Reading("process_max_fds", "Maximum number of open file descriptors.", "gauge", _most_files()),
    ]
    try:
        pages = (_PROCESS / "statm").read_text().split()
        fields = (_PROCESS / "stat").read_text().rpartition(")")[2].split()  # the name before may hold spaces
        files = len(os.listdir(_PROCESS / "fd")) - 1  # without the one that lists them
    except OSError:
        return readings
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    ticks = os.sysconf("SC_CLK_TCK")
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / ticks
    return [
        *readings,
        Reading("process_virtual_memory_bytes", "Virtual memory size in bytes.", "gauge", int(pages[0]) * page_bytes),
        Reading("process_resident_memory_bytes", "Resident memory size in bytes.", "gauge", int(pages[1]) * page_bytes),
        Reading("process_threads", "Number of threads.", "gauge", int(fields[17])),
        Reading("process_open_fds", "Number of open file descriptors.", "gauge", files),
        Reading(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            "gauge",
            round(time.time() - age, 2),
        ),
    ]


def _most_files() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
