"""What the machine is called, whatever system it has."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from mlbench.common import hardware as module
from mlbench.common.hardware import Hardware, hardware, peak_gpu_memory, peak_memory, processor_name

LISTINGS = {
    "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 167\n"
    "model name\t: Intel(R) Xeon(R)   Processor @ 2.6GHz\n": "Intel(R) Xeon(R) Processor @ 2.6GHz",
    "processor\t: 0\nBogoMIPS\t: 108.00\n\nModel\t\t: Raspberry Pi 4 Model B\n": (
        "Raspberry Pi 4 Model B"
    ),
}


@pytest.mark.parametrize("listing", LISTINGS)
@pytest.mark.skipif(sys.platform == "darwin", reason="asks sysctl")
def test_the_name_is_that_of_the_systems_listing(tmp_path, listing):
    path = tmp_path / "cpuinfo"
    path.write_text(listing)
    assert processor_name(path) == LISTINGS[listing]


def test_where_the_system_says_nothing_the_kind_of_processor_stands(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "plan9")
    monkeypatch.setattr(module.platform, "processor", lambda: "")
    monkeypatch.setattr(module.platform, "machine", lambda: "riscv64")
    assert processor_name(tmp_path / "none") == "riscv64"
    (tmp_path / "empty").write_text("processor : 0\n")
    assert processor_name(tmp_path / "empty") == "riscv64"


def test_a_mac_says_its_name(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(
        module.subprocess, "run", lambda *a, **b: SimpleNamespace(stdout="Apple M3\n")
    )
    assert processor_name() == "Apple M3"


def test_gpus_are_those_of_torch_if_it_is_loaded(monkeypatch):
    cuda = SimpleNamespace(
        device_count=lambda: 2,
        get_device_name=lambda number: "NVIDIA H200",
        is_initialized=lambda: True,
        max_memory_reserved=lambda number: [5, 7][number],
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert hardware().gpus == ("NVIDIA H200", "NVIDIA H200")
    assert str(hardware()).endswith("2 x NVIDIA H200")
    assert peak_gpu_memory() == 7
    monkeypatch.delitem(sys.modules, "torch")
    assert hardware().gpus == ()
    assert peak_gpu_memory() is None


def test_in_words():
    assert str(Hardware("A chip", 8, 2)) == "A chip, 8 cores, 2 of which may be used; no GPU"
    assert str(Hardware("A chip", 1, 1, ("H200",))) == "A chip, 1 core; H200"


@pytest.mark.skipif(sys.platform == "win32", reason="the system does not say")
def test_peak_memory_grows_with_what_is_held():
    before = peak_memory()
    held = bytearray(before + 64 * 2**20)
    assert peak_memory() - before > len(held) - before
    del held
