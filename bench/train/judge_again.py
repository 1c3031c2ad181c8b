"""Figures and orderings of a record of `sentei reproduce`, again from its trials.

For records that were written before the way of judging changed; the trials stay as they are.

    python bench/train/judge_again.py bench/results/methods/t2.6.jsonl --test-images 10000
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sentei.report.files import atomic_path
from sentei.workflow.reproduce import table
from sentei.workflow.reproduce.report import judged
from sentei.workflow.reproduce.trial import Trial


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("record", type=Path, nargs="+", help="JSON lines; rewritten")
    parser.add_argument("--test-images", type=int, help="for records that do not say how many")
    options = parser.parse_args()
    for path in options.record:
        first, *lines = path.read_text(encoding="utf-8").splitlines()
        head = json.loads(first)
        images = head.get("test_images", options.test_images)
        if images is None:
            parser.error(f"--test-images must be given, {path} does not say how many")
        trials = [Trial(**json.loads(x)) for x in lines]
        head |= {"test_images": images, **judged(table(head["table"]), trials, images)}
        with atomic_path(path) as beside:
            text = "".join(x + "\n" for x in [json.dumps(head, allow_nan=False), *lines])
            beside.write_text(text, encoding="utf-8")
        for order in head["orders"]:
            print(f"{path.stem}: {order['words']}")


if __name__ == "__main__":
    main()
