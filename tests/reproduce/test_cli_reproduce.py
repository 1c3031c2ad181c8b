"""sentei reproduce on the command line."""

from __future__ import annotations

import json

import pytest

from command import sentei
from sentei.workflow import reproduce as package
from sentei.workflow.reproduce import TABLES, engine
from sentei.workflow.reproduce.listing import entries, training_flops


def test_list(digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = sentei("reproduce", "--list", "--data-dir", digits)
    assert found.code == 0
    for name, t in TABLES.items():
        assert any(
            line.split()[0] == name and t.title in line for line in found.out.split("\n") if line
        )
    assert "`sentei data download cifar100" in found.out
    rows = sentei("reproduce", "--list", "--data-dir", digits, "--json").json()
    status = {r["name"]: r["status"] for r in rows}
    assert status["t2.6"] == status["t4.4a"] == "runnable"
    assert "iNaturalist" in status["i4"]
    assert {r["seconds_per_epoch"] for r in rows} == {None}


def test_cost():
    """3 x forward x images x epochs x runs; shared trainings count once."""
    t = TABLES["t4.4a"]
    macs = 28 * 28 * 25 * 32 + 14 * 14 * 25 * 32 * 64 + 3136 * 1024 + 1024 * 10
    assert training_flops(t) == 3 * 2 * macs * 60_000 * 300 * 5
    assert training_flops(TABLES["i4"]) is None


def test_measured_epoch(tmp_path):
    lines = [{"table": "t2.6"}, {"images_per_s": 1000.0}, {"images_per_s": None}]
    (tmp_path / "t2.6.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    (tmp_path / "t4.4a.jsonl").write_text("damaged\n")
    seen = {e.table.name: e.epoch for e in entries(None, tmp_path)}
    assert seen["t2.6"] == 60.0
    assert seen["t4.4a"] is None


def test_dry_run(digits, tmp_path):
    out = tmp_path / "run"
    words = (
        "reproduce",
        "t2.6",
        "--data-dir",
        digits,
        "--out",
        out,
        "--scale",
        "0.01",
        "--dry-run",
    )
    found = sentei(*words)
    assert found.code == 0
    assert "scaled    epochs: 10 of 1,000" in found.out
    assert "settled   the source gives no epochs" in found.out
    assert sentei(*words, "--json").json()["trials"] == 12
    assert not out.exists()


def test_run(digits, tmp_path):
    out, record = tmp_path / "run", tmp_path / "records" / "t2.6.jsonl"
    words = ("reproduce", "t2.6", "--data-dir", digits, "--out", out, "--scale", "0.001")
    words = (*words, "--images", "200", "--seeds", "2", "--record", record)
    found = sentei(*words)
    assert found.code == 0, found.err
    assert "99.39 +- 0.02" in found.out
    assert "order     accuracy: the ordering" in found.out
    assert "scaled    training images: 200 of 600" in found.out
    head, *trials = [json.loads(x) for x in record.read_text().split("\n")[:-1]]
    assert head["scaled"][0] == "epochs: 1 of 1,000"
    assert len(trials) == 8
    again = sentei(*words, "--json").json()
    assert again["trials"] == trials  # nothing ran again
    assert sentei("reproduce", "--list", "--data-dir", digits).code == 0


def test_stopped(digits, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "run_trial", stop)
    found = sentei("reproduce", "t2.6", "--data-dir", digits, "--out", tmp_path / "r")
    assert found.code == 130
    assert "the same command goes on" in found.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "NAME must be given"),
        (("t2.7",), "'t2.7'"),
        (("t2.10",), "`sentei data download cifar100"),
        (("t2.6", "--scale", "2"), "scale must lie in (0, 1], got 2.0"),
    ],
)
def test_refuses(words, message, digits, tmp_path):
    found = sentei("reproduce", *words, "--data-dir", digits, "--out", tmp_path / "r")
    assert found.code == 2
    assert message in found.err
    assert found.err.count("\n") == 1


def test_front_page_of_the_package():
    for name in package.__all__:
        assert hasattr(package, name)


def test_a_record_that_cannot_be_written(digits, tmp_path):
    (tmp_path / "file").touch()
    words = ("reproduce", "t2.6", "--data-dir", digits, "--out", tmp_path / "r", "--record")
    for record, message in (
        (tmp_path, "record must be a file to write, got the folder"),
        (tmp_path / "file" / "x", "record must lie in a folder, got"),
    ):
        found = sentei(*words, record)
        assert found.code == 2 and message in found.err and found.err.count("\n") == 1
        assert not (tmp_path / "r").exists()
