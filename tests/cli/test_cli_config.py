"""Settings: precedence, unknown keys, wrong types, files that read back."""

from __future__ import annotations

import re
import string
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command import sentei
from sentei.workflow import Config, ConfigError, load_config
from sentei.workflow.settings import all_keys, dump_toml, make_config, parse_pair

KEYS = all_keys()


def test_flags_go_before_pairs_before_the_file(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text("[train]\nlr = 0.1\nepochs = 7\nbatch = 11\n")
    c = load_config(file, ["train.lr=0.2", "train.epochs=8"], {"train.lr": 0.3, "run.seed": None})
    assert (c.train.lr, c.train.epochs, c.train.batch, c.run.seed) == (0.3, 8, 11, 0)


def test_written_settings_read_back():
    odd = {
        "model.options": {"dropout": 0.25, "a b": 'quote " and \x7f\n', "list": [1, 2.5, "x"]},
        "prune.flops": "30%",
        "prune.ignore": ["fc*", "ä"],
        "data.size": [20, 24],
    }
    c = load_config(flags=odd)
    assert make_config(tomllib.loads(dump_toml(c))) == c
    assert make_config(tomllib.loads(dump_toml(Config()))) == Config()


word = st.text(string.ascii_lowercase + "_", min_size=1, max_size=12)


@given(word, word)
def test_an_unknown_key_is_named_with_its_path(block, name):
    key = f"{block}.{name}"
    if key in KEYS or any(k.startswith(f"{key}.") for k in KEYS) or key.startswith("model.options"):
        return
    with pytest.raises(ConfigError, match=r"^config: there is no setting '[a-z_.]+' \(.+\)$") as e:
        load_config(pairs=[f"{key}=1"])
    assert block in str(e.value)


@given(st.sampled_from([k for k in KEYS if k != "model.options"]), st.integers(0, 30))
def test_a_misspelt_key_gets_the_right_hint(key, at):
    head, _, name = key.rpartition(".")
    at %= len(name)
    wrong = name[:at] + "q" + name[at:]
    with pytest.raises(ConfigError) as e:
        load_config(pairs=[f"{head}.{wrong}=1"])
    hint = str(e.value)
    assert f"'{head}.{wrong}'" in hint
    assert "did you mean" in hint or "known here" in hint
    if len(name) > 4:
        assert f"'{key}'" in hint


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("train.lr=abc", r"config: train\.lr must be a number, got text \('abc'\)"),
        (
            "train.epochs=1.5",
            r"config: train\.epochs must be a whole number, got a number \(1\.5\)",
        ),
        ("train.epochs=-1", r"config: train\.epochs must be at least 0, got a whole number \(-1\)"),
        ("train.lr=0", r"config: train\.lr must be above 0"),
        ("train.lr=nan", r"config: train\.lr must be a finite number"),
        ("train.semi_sync=1", r"config: train\.semi_sync must be true or false"),
        ("data.split=[1]", r"config: data\.split must be a list of at least 2"),
        ('data.split=[1, "a"]', r"config: data\.split\[1\] must be a number, got text"),
        ("model=3", r"config: model must be a table, got a whole number \(3\)"),
        ("train.schedule.kind=up", r"config: train\.schedule\.kind must be 'constant', 'step'"),
        ("prune.include=['conv']", r"config: prune\.include\[0\] must be 'conv2d' or 'linear'"),
        ("run.seed=true", r"config: run\.seed must be a whole number, got true or false"),
        ("train.lr.x=1", r"config: train\.lr must be a number, got a table"),
    ],
)
def test_a_wrong_value_is_told_in_one_sentence(pair, message):
    with pytest.raises(ConfigError, match=message) as e:
        load_config(pairs=[pair])
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("pair", ["", "=", "train.lr", ".lr=1", "train..lr=1"])
def test_a_pair_must_have_a_key_and_a_value(pair):
    with pytest.raises(ConfigError, match="--set must have the form"):
        parse_pair(pair)


def test_pairs_are_toml_or_text():
    assert parse_pair("a.b = 1e-3") == ("a.b", 1e-3)
    assert parse_pair("a=30%") == ("a", "30%")
    assert parse_pair("a=[1, 2]") == ("a", [1, 2])
    assert parse_pair("a=x=y") == ("a", "x=y")
    assert parse_pair("a=1\nb=2") == ("a", "1\nb=2")


@pytest.mark.parametrize("content", [b"[train\n", b"\xff\xfe", b"x = " + b"[" * 5000])
def test_a_file_that_is_no_toml(tmp_path, content):
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    result = sentei("train", "--config", file, "--dry-run")
    assert result.code == 2
    assert result.err.startswith("sentei: config: ") and "bad.toml" in result.err
    assert result.err.count("\n") == 1


def test_a_file_of_settings_runs(tmp_path, digits):
    file = tmp_path / "run.toml"
    file.write_text(f'[data]\nname = "{digits}"\n[train]\nbatch = 20\nepochs = 3\n')
    result = sentei("train", "-c", file, "--dry-run", "--json", "--set", "train.epochs=4")
    assert result.code == 0, result.err
    plan = result.json()
    assert plan["config"]["train"]["epochs"] == 4 and plan["config"]["train"]["batch"] == 20
    assert plan["images"] == {"train": 216, "val": 24, "test": 60}


def test_the_settings_that_the_documentation_shows_are_valid():
    page = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", page, re.S)
    assert blocks
    for block in blocks:
        make_config(tomllib.loads(block))


def test_semi_synchronous_settings_reach_the_optimizer():
    from sentei import optim
    from sentei.errors import DataError
    from sentei.workflow.factory import make_optimizer, make_regularizers
    from sentei.workflow.settings import make_config

    train = {
        "optimizer": "adam", "lr": 0.01, "semi_sync": True, "semi_sync_convolutions": ["conv*"],
        "semi_sync_groups": {"fc1": 4}, "semi_sync_permute": 3,
        "regularizers": {"sparse": 0.1, "sparse_layers": ["bn*"], "sparse_where": "output"},
    }  # fmt: skip
    made = make_config({"train": train}).train
    found = make_optimizer(made)
    want = optim.SemiSync(
        optim.Adam(0.01), permute_seed=3, convolutions=["conv*"], groups={"fc1": 4}
    )
    assert found == want
    term = make_regularizers(made.regularizers)[0]
    assert (term.layers, term.where) == (("bn*",), "output")
    with pytest.raises(DataError, match="must go with sgd, adagrad, rmsprop or adam, got 'lbfgs'"):
        make_optimizer(make_config({"train": {**train, "optimizer": "lbfgs"}}).train)
