"""Processor time and memory of a server's processes, as Linux counts them."""

import os
from dataclasses import dataclass
from pathlib import Path

KIB_IN_MB = 1024 / 1e6


@dataclass(frozen=True)
class ServerProcess:
    """A process and all that it has started, such as a server's workers.

    Args:
        pid: The process id.
        proc: The folder of processes. Default: `/proc`.
    """

    pid: int
    proc: Path = Path("/proc")

    def processor_seconds(self) -> float:
        """Returns the processor time that the processes have used; 0 where it is unknown."""
        ticks = 0
        for pid in self._list():
            fields = self._read(pid, "stat").rpartition(")")[2].split()  # the name before may hold anything
            ticks += int(fields[11]) + int(fields[12]) if len(fields) > 12 else 0
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Returns the memory that the processes hold now, in MB; 0 where it is unknown."""
        return sum(self._read_status(pid, "VmRSS:") for pid in self._list()) * KIB_IN_MB

    def peak_memory_mb(self) -> float:
        """Returns the most memory that each of the processes has held, added up, in MB; 0 where it is unknown."""
        return sum(self._read_status(pid, "VmHWM:") for pid in self._list()) * KIB_IN_MB

    def _list(self) -> list[int]:
        """Lists the process ids, the server's own first."""
        found = [self.pid]
        for pid in found:  # grows meanwhile
            for path in self.proc.glob(f"{pid}/task/*/children"):
                try:
                    found += [int(child) for child in path.read_text(encoding="ascii").split()]
                except OSError:
                    continue  # the thread has ended
        return found

    def _read_status(self, pid: int, name: str) -> int:
        lines = self._read(pid, "status").splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)

    def _read(self, pid: int, name: str) -> str:
        try:
            return (self.proc / str(pid) / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def describe_processor(path: Path = Path("/proc/cpuinfo")) -> str:
    """Returns the processor's name, with the vector instructions that decide how fast products in 8 bits are."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = fields.get("flags", "").split()
    known = [name for name in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8") if name in flags]
    name = fields.get("model name", "unknown processor")
    return f"{name} ({' '.join(known)})" if known else name


def machine_memory_mb() -> float:
    """Returns the machine's memory in MB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6
