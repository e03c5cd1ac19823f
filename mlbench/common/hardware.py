"""What a program runs on: what figures of speed and memory are measured on, and hold for."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mlbench.common.counts import plural
from mlbench.common.threads import usable_processors

PROCESSORS = Path("/proc/cpuinfo")
_NAME = re.compile(r"^(?:model name|Model|cpu model|Processor)\s*:\s*(\S.*)$", re.MULTILINE)
_SYSCTL = ("/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string")


@dataclass(frozen=True)
class Hardware:
    """A machine: its processor's name, how many ``cores`` the system counts, how many of them this
    process may use (``usable``), and the names of its GPUs, as far as torch has been loaded."""

    processor: str
    cores: int
    usable: int
    gpus: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The hardware in words."""
        cores = plural(self.cores, "core")
        used = "" if self.usable == self.cores else f", {self.usable} of which may be used"
        return f"{self.processor}, {cores}{used}; {gpus_in_words(self.gpus)}"


def gpus_in_words(names: tuple[str, ...]) -> str:
    """Say how many GPUs of which name there are.

    >>> gpus_in_words(("H200", "H200")), gpus_in_words(())
    ('2 x H200', 'no GPU')
    """
    counts = {name: names.count(name) for name in names}
    each = [name if count == 1 else f"{count} x {name}" for name, count in counts.items()]
    return ", ".join(each) or "no GPU"


def hardware() -> Hardware:
    """Return what this process runs on. torch is asked for GPUs only where it is loaded: a model
    that runs on one has loaded it."""
    return Hardware(processor_name(), os.cpu_count() or 1, usable_processors(), _gpus())


def processor_name(listing: Path = PROCESSORS) -> str:
    """Return the processor's name, or what kind it is where the system does not say."""
    if sys.platform == "darwin":
        found = subprocess.run(_SYSCTL, capture_output=True, text=True, check=False)
        if name := found.stdout.strip():
            return name
    try:
        named = _NAME.search(listing.read_text(encoding="utf-8", errors="replace"))
    except OSError:  # no such listing on this system
        named = None
    known = named[1] if named else platform.processor()
    return " ".join(known.split()) or platform.machine()


def _gpus() -> tuple[str, ...]:
    torch = sys.modules.get("torch")
    if torch is None:
        return ()
    cuda = torch.cuda
    names = [cuda.get_device_name(each) for each in range(cuda.device_count())]
    return tuple(map(str, names))


def physical_memory() -> int | None:
    """Return the machine's memory in bytes; None where the system won't say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def peak_memory() -> int | None:
    """Return the most memory this process has held, in bytes; None where the system won't say."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def peak_gpu_memory() -> int | None:
    """Return the most memory of one GPU that torch has held in this process, in bytes; None where
    torch has used none."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    devices = range(torch.cuda.device_count())
    return max(int(torch.cuda.max_memory_reserved(each)) for each in devices)
