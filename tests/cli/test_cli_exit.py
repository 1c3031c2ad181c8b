"""Bad usage and bad input: one sentence, the right exit code, no traceback."""

from __future__ import annotations

import pytest

from command import sentei


def refused(*words, code=2):
    result = sentei(*words)
    assert result.code == code, (result.code, result.err)
    assert result.out == ""
    assert result.err.startswith("sentei: ") and result.err.count("\n") == 1
    assert "Traceback" not in result.err
    return result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fly"], "no such command"),
        (["train", "--fast"], "no such option"),
        (["train", "--epochs", "many"], "invalid value for '--epochs'"),
        (["eval"], "missing argument"),
        (["train", "--network", "lenet5_prun"], "did you mean 'lenet5_prune'?"),
        (["train", "--data", "mnist-min"], "did you mean 'mnist-mini'?"),
        (["train", "--data", "mnist"], "needs data_dir"),
        (["train", "--set", "train.learning_rate=1"], "there is no setting"),
        (["train", "--optimizer", "sdg"], "train.optimizer must be 'sgd'"),
        (["train", "--config", "nowhere.toml"], "there must be a file 'nowhere.toml'"),
        (["train", "--set", "train.batch=100000"], "batch must be at most"),
        (["train", "--set", "model.options.depth=3"], "depth"),
        (["train", "--device", "gpu"], "run.device must be 'auto', 'cpu' or 'cuda'"),
        (["train", "--device", "cpu", "--precision", "tf32"], "on cpu, got tf32"),
        (["train", "--precision", "half"], "train.precision must be 'float32'"),
        (["bench", "lenet5_prune", "--device", "gpu"], "device must be auto, cpu or cuda"),
        (["prune", "--flops", "30%"], "model.file must be given"),
        (["prune", "no.safetensors", "--flops", "30%"], "there must be a file 'no.safetensors'"),
        (["eval", "no.safetensors"], "there must be a file 'no.safetensors'"),
        (["profile", "lenet5_prun"], "did you mean 'lenet5_prune'?"),
        (["resume", "nowhere"], "run folder: nowhere must hold"),
        (["data", "download", "imagenet"], "name must be one of"),
        (["demo", "--seed", "-1"], "run.seed must be at least 0"),
    ],
)
def test_bad_input_is_told_in_one_sentence(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in refused(*words)
    assert not list(tmp_path.iterdir())


def test_cuda_says_why_not():
    assert "device cuda cannot be used:" in refused("train", "--device", "cuda", "--dry-run")


def test_a_target_is_needed_and_only_one(trained):
    model = trained / "model.safetensors"
    assert "exactly one of prune.flops" in refused("prune", model)
    assert "got flops, macs" in refused("prune", model, "--flops", "30%", "--macs", "30%")
    assert "percentage" in refused("prune", model, "--flops", "0.3")


def test_an_unreachable_target_fails_before_any_work(trained, small, tmp_path):
    words = ["--flops", "0.1%", *small, "--run-dir", tmp_path / "x"]
    text = refused("prune", trained / "model.safetensors", *words, code=1)
    assert "the target must be reachable" in text
    assert not (tmp_path / "x").exists()


def test_a_run_folder_must_be_new(trained, small):
    assert "must be new or empty" in refused("train", *small, "--run-dir", trained)
    assert "sentei resume" in refused("train", *small, "--run-dir", trained)


def test_a_finished_run_is_not_resumed(trained):
    assert "this one is finished" in refused("resume", trained)


def test_a_damaged_model_file(trained, tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes((trained / "model.safetensors").read_bytes()[:-100])
    assert "broken.safetensors must be a whole safetensors file" in refused("eval", broken)


def test_images_that_do_not_fit_the_network(trained):
    text = refused("eval", trained / "model.safetensors", "--data", "mnist-mini")
    assert "images must have shape (12, 12, 1)" in text


def test_numbers_that_blow_up_end_with_1(small, tmp_path):
    words = [*small, "--lr", "1e30", "--run-dir", tmp_path / "x", "--quiet"]
    text = refused("train", *words, code=1)
    assert "numbers must stay finite" in text


def test_debug_shows_the_traceback(tmp_path):
    result = sentei("train", "--config", tmp_path / "no.toml", "--debug")
    assert result.code == 2 and "Traceback" in result.err
