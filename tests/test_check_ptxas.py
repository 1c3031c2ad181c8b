"""tools/check_ptxas.py finds spills, and architectures that are missing, in nvcc's words."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GOOD = """\
[3/9] Building CUDA object _cuda.dir/csrc/cuda/add.cu.o
  ptxas info    : Compiling entry function '_ZN6sentei4cuda3addILi4EEEvPf' for '{arch}'
  ptxas info    : Function properties for _ZN6sentei4cuda3addILi4EEEvPf
      0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
  ptxas info    : Used 40 registers, used 1 barriers, 2048 bytes smem, 360 bytes cmem[0]
"""
LOG = GOOD.format(arch="sm_80") + GOOD.format(arch="sm_90a")


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("check_ptxas", ROOT / "tools" / "check_ptxas.py")
    module = importlib.util.module_from_spec(spec)

    sys.modules["check_ptxas"] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["check_ptxas"]


def run(tool, tmp_path, log):
    path = tmp_path / "log"
    path.write_text(log)
    return tool.main([str(path)])


def test_passes_and_reads_the_numbers(tool, tmp_path, capsys):
    assert run(tool, tmp_path, LOG) == 0
    assert "| 1 | 40 | 40 | 2048 | 0 | 0 |" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["spill stores", "spill loads"])
def test_refuses_one_spill_anywhere(tool, tmp_path, capsys, what):
    assert run(
        tool, tmp_path, LOG[::-1].replace(f"0 bytes {what}"[::-1], f"8 bytes {what}"[::-1], 1)[::-1]
    )
    assert "spills 8 bytes on sm_90a" in capsys.readouterr().out


def test_refuses_a_missing_architecture(tool, tmp_path, capsys):
    assert run(tool, tmp_path, GOOD.format(arch="sm_80")) == 1
    assert "no kernel for sm_90a" in capsys.readouterr().out


def test_refuses_what_ptxas_calls_slow(tool, tmp_path, capsys):
    slow = "ptxas info : (C7510) Potential Performance Loss: wgmma.mma_async serialized in 'f'\n"
    assert run(tool, tmp_path, LOG + slow) == 1
    assert "Potential Performance Loss" in capsys.readouterr().out


def test_names_without_namespaces_and_parameters(tool):
    name = "void sentei::cuda::(anonymous namespace)::f<(int)4, G<float> >(float*, int (*)(int))"
    assert tool.short(name) == "f<4, G<float> >"
