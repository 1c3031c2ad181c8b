#!/usr/bin/env python3
"""Print one command of README.md, so that nothing can test another than the one shown.

usage: readme_command.py 1|2
The commands are the first line of README.md's first and second ```bash blocks.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def commands() -> list[str]:
    """The first line of every bash block, in order."""
    blocks = re.findall(r"^```bash\n(.*?)^```$", README.read_text(), re.M | re.S)
    return [b.split("\n")[0] for b in blocks]


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("1", "2"):
        sys.exit(__doc__)
    print(commands()[int(sys.argv[1]) - 1])
