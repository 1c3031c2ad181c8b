"""`sentei prune --method autoprune|sigmoid|block`: whole runs, resumed runs, refusals."""

from __future__ import annotations

import json

import pytest

from command import sentei
from interrupted import Stop, same
from sentei import io
from sentei.report import read_events
from sentei.workflow import InterruptedRunError, resume, start
from sentei.workflow.runs import plan, prune_config

METHODS = ("autoprune", "sigmoid", "block")
CLOSING = ("--lambda", 6, "--gates-lr", 0.3, "--gate-epochs", 3)


@pytest.fixture(scope="module")
def closed(trained, small, tmp_path_factory):
    """Folders of finished runs, by method."""
    found = {}
    for method in METHODS:
        folder = tmp_path_factory.mktemp("gates") / method
        words = ("--method", method, *CLOSING, "--flops", "60%", *small, "--run-dir", folder)
        result = sentei("prune", trained / "model.safetensors", *words)
        assert result.code == 0, result.err
        assert f"pruning by {method}, weights and gates in turns, epochs: 3" in result.err
        assert "filters closed" in result.err
        found[method] = folder
    return found


@pytest.mark.parametrize("method", METHODS)
def test_a_whole_run(closed, method):
    folder = closed[method]
    report = json.loads((folder / "report.json").read_text())
    before, after = (io.load(folder / f"{k}.safetensors") for k in ("model", "pruned"))
    assert after.costs().macs <= 0.6 * before.costs().macs
    assert report["macs"] == {"before": before.costs().macs, "after": after.costs().macs}
    assert report["verified"] is True and report["target"]["reached"] is True
    assert report["verify"]["max_abs_diff"] <= report["verify"]["tolerance"]
    assert report["criterion"]["name"] == method
    gates = report["gates"]
    assert gates == after.meta["gates"] | gates and gates["method"] == method
    assert gates["shut"] + gates["forced"] == len(report["steps"]) > 0
    assert not {n.op.name for n in after.graph.nodes} & {"gate", "gate_weights"}
    assert not any(n.name.endswith(".encoder") for n in after.graph.nodes)
    assert method in (folder / "report.html").read_text()
    seen = [e for e in read_events(folder / "events.jsonl") if e["event"] == "gates"]
    assert [e["epoch"] for e in seen] == list(range(1, len(seen) + 1))
    assert sum(x["filters"] for x in seen[-1]["layers"]) == seen[-1]["filters"] == gates["filters"]
    # evaluation reads the file as any other
    assert sentei("eval", folder / "pruned.safetensors").code == 0
    maps = report["block_maps"]
    assert bool(maps) == (method == "block") == (folder / "plots" / "block_maps.png").exists()
    if maps:
        assert [m["name"] for m in maps] == ["input", "code", "activation", "output"]
        assert all(len(m["x"]) == len(m["labels"]) == 60 for m in maps)
        assert all(0 <= m["share_2"] <= m["share_1"] <= 1 for m in maps)


@pytest.mark.parametrize("method", ["autoprune", "block"])
@pytest.mark.parametrize(
    ("hook", "count"),
    [
        ("step of pruning", 3),
        ("epoch of pruning", 1),
        ("stage fine-tuning", 1),
        ("stage measuring", 1),
    ],
)
def test_stopped_and_resumed_is_never_stopped(
    closed, trained, small, tmp_path, hook, count, method
):
    folder = tmp_path / "run"
    flags = {
        "model.file": str(trained / "model.safetensors"),
        "prune.method": method,
        "prune.auxiliary.lam": 6.0,
        "prune.auxiliary.gates_lr": 0.3,
        "prune.auxiliary.epochs": 3,
        "prune.flops": "60%",
        "run.run_dir": str(folder),
    }
    made = plan(prune_config(None, tuple(small[1::2]), flags), "prune")
    stop = Stop(hook, count)
    with pytest.raises(InterruptedRunError):
        start(made, stop)
    assert stop.left <= 0
    assert resume(folder).ok
    same(closed[method], folder)


def test_an_untrained_network(small, tmp_path):
    words = ("--method", "sigmoid", "--network", "lenet5_prune", *CLOSING, *small)
    folder = tmp_path / "run"
    result = sentei(
        "prune", *words, "--flops", "70%", "--run-dir", folder, "--freeze-statistics", "-q"
    )
    assert result.code == 0, result.err
    meta = io.load(folder / "pruned.safetensors").meta
    assert meta["network"]["name"] == "lenet5_prune" and meta["data"]["standardize"]


def test_nothing_closed_is_no_success(trained, small, tmp_path):
    words = ("--method", "sigmoid", "--lambda", 0, "--gate-epochs", 1, *small)
    result = sentei(
        "prune", trained / "model.safetensors", *words, "--run-dir", tmp_path / "r", "-q"
    )
    assert result.code == 1 and "nothing was removed: no gate closed" in result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--method", "gates"), "prune.method must be"),
        (("--method", "sigmoid", "--threshold", 1), "threshold must be below 1"),
        (
            ("--method", "sigmoid", "--threshold", -0.5),
            r"threshold must be in [0, 1) of h, got -0.5",
        ),
        (("--method", "sigmoid", "--layers", "cnov*"), "layers must name some of"),
        (("--method", "block", "--layers", "fc1"), "a Pruning Block follows convolutions only"),
        (("--method", "sigmoid", "--ignore", "conv1"), "ignore must be left out with gates"),
        (("--method", "sigmoid", "--floor", 30, "--flops", "5%"), "target must be reachable"),
        (("--method", "sigmoid", "--set", "prune.auxiliary.width=2"), "width must be left out"),
        (
            ("--method", "block", "--set", 'prune.auxiliary.place="norm_input"'),
            "place must be output with block",
        ),
        (("--method", "autoprune", "--lambda", -1), "lam must be at least 0"),
        (
            ("--method", "sigmoid", "--criterion", "nonsense", "--normalize", 0),
            "--criterion, --normalize must be left out with method sigmoid, being of method score",
        ),
        (
            ("--flops", "50%", "--lambda", 0, "--freeze-statistics", "--layers", "conv1"),
            "--lambda, --layers, --freeze-statistics must be left out with method score, being of",
        ),
        (("--network", "lenet5_prune"), "exactly one of prune.flops"),
    ],
)
def test_refuses_before_any_work(trained, small, tmp_path, words, message):
    folder = tmp_path / "run"
    result = sentei("prune", trained / "model.safetensors", *words, *small, "--run-dir", folder)
    assert result.code in (1, 2) and not folder.exists()
    assert message in result.err and len(result.err.strip().split("\n")) == 1


def test_a_score_needs_a_file(small):
    result = sentei("prune", "--flops", "50%", *small)
    assert result.code == 2 and "model.file must be given" in result.err
    result = sentei("prune", "--method", "sigmoid", *small)
    assert "can do with model.network, untrained" in result.err
