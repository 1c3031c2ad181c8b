"""The two commands of the README are the ones that were promised, and CI runs no others."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROMISED = {
    "1": "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/sentei demo",
    "2": 'SENTEI_CUSIM=ON .venv/bin/pip install ".[test]" && .venv/bin/python -m pytest',
}


@pytest.mark.parametrize("number", sorted(PROMISED))
def test_commands_are_literal(number):
    readme = (ROOT / "README.md").read_text()
    assert f"\n```bash\n{PROMISED[number]}\n```\n" in readme
    script = ROOT / "tools" / "readme_command.py"
    out = subprocess.check_output([sys.executable, str(script), number], text=True)
    assert out == PROMISED[number] + "\n"


def test_ci_takes_them_from_the_readme():
    path = ROOT / ".ci" / "run"
    if not path.exists():
        pytest.skip("an sdist holds no CI script")
    script = path.read_text()
    assert "tools/readme_command.py" in script
    for number, command in PROMISED.items():
        assert re.search(rf"command=\$\(readme {number}\)", script)
        assert command not in script


def test_commands_listed_are_the_commands():
    app = pytest.importorskip("sentei.cli.app").app
    commands = set(pytest.importorskip("typer").main.get_command(app).commands)
    listed = re.findall(r"^sentei (\w+)  ", (ROOT / "README.md").read_text(), re.M)
    assert set(listed) == commands
