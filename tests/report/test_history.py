"""events.jsonl is read back; a killed run costs its last line only."""

import json

import pytest

from sentei.errors import DataError
from sentei.report import read_events, render_html, summarise_events, summary_text

EPOCH = {"event": "epoch", "epoch": 1, "loss": 0.5, "accuracy": 0.9, "seconds": 2.0}


def put(tmp_path, *lines):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(lines))
    return path


def line(event):
    return json.dumps(event).encode() + b"\n"


def test_events_come_back_in_order(tmp_path):
    path = put(tmp_path, line(EPOCH), b"\n", line({"event": "end"}))
    assert read_events(path) == [EPOCH, {"event": "end"}]


def test_an_empty_file_has_no_events(tmp_path):
    assert read_events(put(tmp_path)) == []


@pytest.mark.parametrize("cut", range(1, len(line(EPOCH)) - 1))
def test_a_killed_run_loses_its_last_line_only(tmp_path, cut):
    assert read_events(put(tmp_path, line(EPOCH), line(EPOCH)[:cut])) == [EPOCH]


def test_a_whole_last_line_needs_no_newline(tmp_path):
    assert read_events(put(tmp_path, line(EPOCH).rstrip())) == [EPOCH]


def test_a_cut_character_at_the_end_is_ignored(tmp_path):
    whole = '{"layer": "é"}'.encode()
    assert read_events(put(tmp_path, line(EPOCH), whole[: whole.index(b"\xa9")])) == [EPOCH]


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (b'{"event": "ep\n', "JSONDecodeError"),
        (b"[1, 2]\n", "list"),
        (b"3\n", "int"),
        (b'{"a": "\xff"}\n', "UnicodeDecodeError"),
        (b"[" * 200_000 + b"\n", "(RecursionError|JSONDecodeError)"),
        (b'{"a": ' + b"9" * 5000 + b"}\n", "ValueError"),
    ],
)
def test_a_broken_line_in_the_middle_is_named(tmp_path, broken, why):
    path = put(tmp_path, line(EPOCH), broken, line(EPOCH))
    with pytest.raises(
        DataError, match=rf"events\.jsonl line 2 must be one JSON object, got {why}"
    ):
        read_events(path)


def test_a_line_without_end_is_refused(tmp_path):
    path = put(tmp_path, line(EPOCH), b"x" * (16 * 2**20 + 1))
    with pytest.raises(DataError, match="line 2 must be at most 16777216 bytes"):
        read_events(path)


def test_nan_is_read_as_nothing(tmp_path):
    assert read_events(put(tmp_path, b'{"event": "epoch", "epoch": 1, "loss": NaN}\n')) == [
        {"event": "epoch", "epoch": 1, "loss": None}
    ]


def test_a_missing_file_is_the_usual_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_events(tmp_path / "events.jsonl")


def test_summary_feeds_a_report(tmp_path):
    step = {"event": "prune_step", "step": 1, "layer": "conv1", "macs": 90, "seconds": 1.5}
    events = [
        {"event": "start"},
        EPOCH,
        {**EPOCH, "epoch": 2, "loss": 0.4},
        {**EPOCH, "epoch": 2, "loss": 0.3, "time": 12.0},  # again, after a resume
        {**EPOCH, "epoch": 1, "phase": "retrain", "loss": 9.0},
        step,
        {"event": "skipped", "layer": "fc2", "reason": "the head"},
        {"event": "skipped", "layer": "fc2", "reason": "the head"},
        {"event": "epoch"},
    ]
    summary = summarise_events(events)
    assert [(e["epoch"], e["loss"]) for e in summary["training"]] == [(1, 0.5), (2, 0.3)]
    assert summary["training"][1] == {
        "epoch": 2, "loss": 0.3, "accuracy": 0.9, "seconds": 2.0,
    }  # fmt: skip
    assert [s["layer"] for s in summary["steps"]] == ["conv1"]
    assert summary["skipped"] == [{"layer": "fc2", "reason": "the head"}]
    assert summary["seconds"] == {"train": 4.0, "prune": 1.5}
    assert "pruning_loop" not in summary, "the step does not say what its time went into"
    assert "2 epochs in 4.0" in render_html({**summary, "accuracy": {"before": 0.9}})


def test_cost_of_a_removed_channel():
    parts = (
        {"scoring": 0.1, "surgery": 0.02, "retraining": 0.3},
        {"scoring": 0.3, "retraining": 0.5},
    )
    events = [
        {"event": "prune_step", "step": i, "seconds": sum(p.values()), "parts": p}
        for i, p in enumerate(parts, 1)
    ]
    summary = summarise_events(events)
    loop = summary["pruning_loop"]
    assert loop["channels"] == 2 and loop["seconds_per_channel"] == pytest.approx(0.61)
    assert loop["parts"] == pytest.approx({"scoring": 0.2, "surgery": 0.01, "retraining": 0.4})
    said = "0.61 s per removed channel: scoring 32.8 %, surgery 1.6 %, retraining 65.6 %"
    shown = {**summary, "accuracy": {"before": 0.9, "after": 0.8}}
    assert said in summary_text(shown)
    assert said.replace(" s ", "\u00a0s ").replace(" %", "\u00a0%") in render_html(shown)
