"""The headline tells the truth, most of all when it is unwelcome."""

import pytest

from sentei.report import judge
from sentei.report.verdict import figures


def said(report):
    verdict = judge(report)
    return verdict.tone, verdict.words, verdict.sentence.replace("\xa0", " ")


def latency(one_before, one_after, hundred_before, hundred_after):
    return {
        "before": {"1": {"median": one_before}, "100": {"median": hundred_before}},
        "after": {"1": {"median": one_after}, "100": {"median": hundred_after}},
    }


def test_all_well(make_report):
    assert said(make_report()) == (
        "good",
        "Target reached, verified",
        "Pruned to 29.9 % of its FLOPs (70.1 % removed): 2.40× faster at batch 100, "
        "accuracy 98.6 % → 98.4 %, verified.",
    )


def test_missed_target(make_report):
    target = {"text": "flops=20%", "kind": "flops", "remaining": 0.2, "reached": False}
    tone, words, sentence = said(make_report(target=target))
    assert (tone, words) == ("bad", "Target missed")
    assert sentence.startswith(
        "Pruned to 29.9 % of its FLOPs (70.1 % removed), missing the target of 20 % of FLOPs: "
    )


def test_a_target_missed_by_a_hair_is_not_rounded_to_it(make_report):
    macs = {"before": 1_000_000, "after": 300_100}
    target = {"kind": "flops", "remaining": 0.3, "reached": False}
    _, _, sentence = said(make_report(macs=macs, flops={}, target=target))
    assert "30.010 % of its FLOPs" in sentence


def test_slower_than_before(make_report):
    tone, words, sentence = said(make_report(latency_ms=latency(1.0, 2.0, 20.0, 30.0)))
    assert (tone, words) == ("warn", "Slower")
    assert "1.50× slower at batch 100, 2.00× slower at batch 1, accuracy" in sentence
    assert "faster" not in sentence


def test_slower_at_batch_1_alone_is_said_too(make_report):
    tone, words, sentence = said(make_report(latency_ms=latency(1.0, 2.0, 20.0, 10.0)))
    assert (tone, words) == ("warn", "Slower")
    assert "2.00× faster at batch 100, 2.00× slower at batch 1" in sentence


@pytest.mark.parametrize("after", [20.5, 20.0, 19.5])
def test_within_noise_is_not_called_faster(make_report, after):
    tone, words, sentence = said(make_report(latency_ms=latency(2.0, 1.0, 20.0, after)))
    assert (tone, words) == ("warn", "Not faster")
    assert "not faster at batch 100" in sentence


@pytest.mark.parametrize(
    ("after", "tone", "words"),
    [
        (0.990, "good", "Target reached, verified"),
        (0.976, "good", "Target reached, verified"),
        (0.9755, "warn", "Accuracy fell"),
        (0.886, "warn", "Accuracy fell"),
        (0.5, "bad", "Accuracy fell"),
    ],
)
def test_accuracy_may_fall_one_point(make_report, after, tone, words):
    got = said(make_report(accuracy={"before": 0.986, "after": after}))
    assert got[:2] == (tone, words)
    assert ("points lost" in got[2]) == (tone != "good")


def test_two_accuracies_never_look_equal_when_they_are_not(make_report):
    _, _, sentence = said(make_report(accuracy={"before": 0.9862, "after": 0.9858}))
    assert "98.62 % → 98.58 %" in sentence


def test_failed_check(make_report):
    report = make_report(verified=False, verify={"max_abs_diff": 0.31, "tolerance": 1e-4})
    tone, words, sentence = said(report)
    assert (tone, words) == ("bad", "Not verified")
    assert "NOT verified: outputs differ by 0.310 (allowed 1.00e-4)." in sentence


@pytest.mark.parametrize("verified", [None, "yes", 1])
def test_only_true_counts_as_verified(make_report, verified):
    tone, words, sentence = said(make_report(verified=verified))
    assert tone != "good" and words == "Not verified"
    assert "verified." not in sentence


def test_what_was_not_measured_is_said(make_report):
    tone, words, sentence = said(make_report(accuracy={"before": 0.9}, latency_ms={}))
    assert (tone, words) == ("warn", "Speed not measured · Accuracy not measured")
    assert "speed not measured, accuracy not measured, verified." in sentence


def test_nothing_removed(make_report):
    macs = make_report()["macs"]["before"]
    tone, words, sentence = said(make_report(macs={"before": macs, "after": macs}, flops={}))
    assert tone == "bad" and "Nothing removed" in words
    assert sentence.startswith("Nothing was removed: 100 % of its FLOPs left")


def test_larger_than_before(make_report):
    tone, words, _ = said(make_report(macs={"before": 100, "after": 150}, flops={}))
    assert tone == "bad" and "Larger" in words


def test_the_worst_word_comes_first(make_report):
    report = make_report(
        verified=False, latency_ms=latency(1, 2, 1, 2), accuracy={"before": 0.9, "after": 0.87}
    )
    assert said(report)[:2] == ("bad", "Not verified · Slower · Accuracy fell")


def test_a_target_in_parameters_is_told_in_parameters(make_report):
    target = {"kind": "params", "remaining": 0.2, "reached": True}
    assert (
        "Pruned to 19.0 % of its parameters (81.0 % removed)" in said(make_report(target=target))[2]
    )


def test_evaluation(training_report):
    assert said({**training_report, "command": "eval"})[1:] == (
        "Evaluated",
        "Evaluated: accuracy 98.60 %, loss 0.0467.",
    )


def test_training_without_accuracy_warns():
    assert said({"command": "train", "accuracy": {"before": float("nan")}}) == (
        "warn",
        "Trained",
        "Trained: accuracy not measured.",
    )


def test_a_prune_that_stopped_before_it_measured_is_no_training_report(make_report):
    report = make_report(
        command="prune", accuracy={"before": 0.9}, macs={"before": 9}, flops={}, params={},
        latency_ms={}, verified=None,
    )  # fmt: skip
    tone, _, sentence = said(report)
    assert tone == "warn" and sentence.startswith("Pruned, but what remains was not measured")


def test_figures(make_report):
    rows = {figure.key: figure for figure in figures(make_report())}
    assert list(rows) == [
        "accuracy", "loss", "latency_100", "latency_1", "flops", "macs", "params", "file_bytes",
    ]  # fmt: skip
    assert rows["macs"].share.replace("\xa0", " ") == "29.9 % remains, 70.1 % removed"
    assert rows["params"].gain == "5.25× fewer"
    assert rows["latency_1"].share.replace("\xa0", " ") == "50.0 % of the time, 50.0 % less"
    assert rows["accuracy"].gain.replace("\xa0", " ") == "−0.20 points"
