"""What a run came to: one honest sentence, and the figures that carry it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from . import formats as f
from .schema import entries, number, table, text

__all__ = ["Clause", "Figure", "Tone", "Verdict", "change", "figures", "judge", "was_pruned"]

Tone = Literal["good", "plain", "warn", "bad"]

_SAME_SPEED = 1.05  # a ratio nearer to 1 than this is not called faster or slower
_ACCURACY_WARN = 0.01
_ACCURACY_BAD = 0.10
_KINDS = {"flops": "FLOPs", "macs": "MACs", "params": "parameters", "memory": "memory",
          "latency_ms": "latency"}  # fmt: skip
_ORDER: tuple[Tone, ...] = ("plain", "good", "warn", "bad")


@dataclass(frozen=True)
class Clause:
    """A piece of the headline and how it is coloured."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Verdict:
    """The headline: `words` names every reservation, `sentence` says it in full."""

    tone: Tone
    words: str
    clauses: tuple[Clause, ...]

    @property
    def sentence(self) -> str:
        """The clauses as one string."""
        return "".join(clause.text for clause in self.clauses)


@dataclass(frozen=True)
class Figure:
    """One measured quantity before and after pruning, already written out."""

    key: str
    label: str
    before: str
    after: str | None
    remaining: float | None = None  # after / before
    gain: str = ""  # "3.34x smaller", "-0.25 points"
    note: str = ""
    tone: Tone = "plain"

    @property
    def share(self) -> str:
        """What remains and what went, in words; "" where there is nothing to compare."""
        left = self.remaining
        if left is None:
            return ""
        less = f.percent(1 - left) if left <= 1 else f.percent(left - 1)
        if self.key.startswith("latency"):
            return f"{f.percent(left)} of the time, {less} {'less' if left <= 1 else 'more'}"
        return f"{f.percent(left)} remains, {less} {'removed' if left <= 1 else 'added'}"


def change(report: Mapping[str, object], key: str) -> tuple[float | None, float | None]:
    """Return (before, after) of a figure; FLOPs are taken as 2 x MACs where they are not given."""
    before, after = number(report, key, "before"), number(report, key, "after")
    if key == "flops":
        macs = change(report, "macs")
        before = 2 * macs[0] if before is None and macs[0] is not None else before
        after = 2 * macs[1] if after is None and macs[1] is not None else after
    return before, after


def was_pruned(report: Mapping[str, object]) -> bool:
    """Say whether the report holds anything measured after a pruning."""
    if any(change(report, k)[1] is not None for k in ("macs", "flops", "params", "accuracy")):
        return True
    return report.get("command") in ("prune", "demo") and report.get("target") is not None


def _divide(a: float | None, b: float | None) -> float | None:
    if a is None or b is None or b <= 0:
        return None
    ratio = a / b
    return ratio if 0 <= ratio < 1e12 else None


def _batches(report: Mapping[str, object]) -> list[str]:
    latency = table(report, "latency_ms")
    keys = set(table(latency, "before")) | set(table(latency, "after"))
    return sorted((k for k in keys if k.isascii() and k.isdecimal() and len(k) < 10), key=int)


def _speed(report: Mapping[str, object], batch: str) -> float | None:
    return _divide(
        number(report, "latency_ms", "before", batch, "median"),
        number(report, "latency_ms", "after", batch, "median"),
    )


def _speed_clause(ratio: float, batch: str) -> tuple[Clause, str]:
    where = f"at batch\u00a0{batch}"
    if ratio >= _SAME_SPEED:
        return Clause(f"{f.times(ratio)} faster {where}", "good"), ""
    if ratio > 1 / _SAME_SPEED:
        return Clause(f"not faster {where} ({f.times(ratio)} the speed)", "warn"), "Not faster"
    shown = f.times(1 / ratio) if ratio > 0 else "far"
    return Clause(f"{shown} slower {where}", "warn"), "Slower"


def _accuracy_clause(report: Mapping[str, object]) -> tuple[Clause, str]:
    before, after = change(report, "accuracy")
    if before is None or after is None:
        return _fit_clause(report)
    digits = 1 if f.percent(before) != f.percent(after) or before == after else 2
    shown = f"accuracy {f.percent(before, digits)}\u00a0\u2192 {f.percent(after, digits)}"
    drop = before - after
    if drop <= _ACCURACY_WARN + 1e-9:
        return Clause(shown), ""
    tone: Tone = "bad" if drop > _ACCURACY_BAD else "warn"
    lost = f.points(drop).removeprefix("+")
    return Clause(f"{shown} ({lost} lost)", tone), "Accuracy fell"


def _guard_clause(report: Mapping[str, object]) -> tuple[Clause, str] | None:
    """Whether what may be lost on held-out training images was kept."""
    guard = table(report, "guard")
    before, after = number(guard, "before"), number(guard, "after")
    allowed = number(guard, "max_drop")
    if before is None or after is None or allowed is None:
        return None
    lost = 100 * (before - after)
    words = f"{lost:.2f} of {allowed:g} points lost on held-out training images"
    if lost < 0:
        words = f"{-lost:.2f} points gained on held-out training images ({allowed:g} might be lost)"
    if guard.get("kept") is False:
        return Clause(words, "bad"), "Too much accuracy lost"
    return Clause(words, "good"), ""


def _fit_clause(report: Mapping[str, object]) -> tuple[Clause, str]:
    """As _accuracy_clause, of a regression."""
    was = number(report, "regression", "before", "r2")
    now = number(report, "regression", "after", "r2")
    if was is None or now is None:
        return Clause("accuracy not measured", "warn"), "Accuracy not measured"
    shown = f"R\u00b2 {was:.3f}\u00a0\u2192 {now:.3f}"
    if was - now <= _ACCURACY_WARN + 1e-9:
        return Clause(shown), ""
    return Clause(shown, "bad" if was - now > _ACCURACY_BAD else "warn"), "Fit fell"


def _verified_clause(report: Mapping[str, object]) -> tuple[Clause, str]:
    if report.get("verified") is True:
        return Clause("verified", "good"), ""
    if report.get("verified") is None:
        return Clause("not verified: no comparison was made", "warn"), "Not verified"
    diff, allowed = (number(report, "verify", k) for k in ("max_abs_diff", "tolerance"))
    if diff is None:
        return Clause("NOT verified: the pruned network differs", "bad"), "Not verified"
    limit = "" if allowed is None else f" (allowed {f.general(allowed)})"
    return Clause(f"NOT verified: outputs differ by {f.general(diff)}{limit}", "bad"), (
        "Not verified"
    )


def _lead(report: Mapping[str, object]) -> tuple[list[Clause], list[tuple[Tone, str]]]:
    target = table(report, "target")
    kind = text(target, "kind").lower()
    kind = kind if kind in _KINDS else "flops"
    before, after = number(target, "before"), number(target, "after")
    if before is None or after is None:
        before, after = change(report, kind)
    left = _divide(after, before)
    asked = number(target, "remaining")
    wanted = text(target, "text")
    if asked is not None:
        wanted = f"{f.percent(asked).replace('.0', '')} of {_KINDS[kind]}"
    missed = target.get("reached") is False
    problems: list[tuple[Tone, str]] = [("bad", "Target missed")] if missed else []
    if left is None:
        lead = [Clause("Pruned, but what remains was not measured")]
        problems.append(("warn", "Not measured"))
    elif left == 1:
        lead = [Clause("Nothing was removed: ", "bad"), Clause(f"100 % of its {_KINDS[kind]} left")]
        problems.append(("bad", "Nothing removed"))
    else:
        digits = 1
        if missed and asked is not None and f.percent(left) == f.percent(asked):
            digits = 3  # one decimal would claim the target that was missed
        moved = f"{f.percent(1 - left, digits)} removed" if left < 1 else "it grew"
        lead = [
            Clause("Pruned to "),
            Clause(
                f"{f.percent(left, digits)} of its {_KINDS[kind]}", "plain" if missed else "good"
            ),
            Clause(f" ({moved})"),
        ]
        if left > 1:
            lead[1] = Clause(lead[1].text, "bad")
            problems.append(("bad", "Larger"))
    if missed:
        lead += [
            Clause(", "),
            Clause(f"missing the target{' of ' + wanted if wanted else ''}", "bad"),
        ]
    return lead, problems


def _judge_single(report: Mapping[str, object]) -> Verdict:
    command = report.get("command")
    word = "Evaluated" if command == "eval" else "Trained"
    accuracy, loss = number(report, "accuracy", "before"), number(report, "loss", "before")
    clauses = [Clause(f"{word}: ")]
    fit = number(report, "regression", "before", "r2")
    if accuracy is not None:
        clauses += [Clause("accuracy "), Clause(f.percent(accuracy, 2), "good")]
    elif fit is not None:
        clauses += [Clause("R\u00b2 "), Clause(f"{fit:.3f}", "good")]
    else:
        clauses.append(Clause("accuracy not measured", "warn"))
    if loss is not None:
        clauses.append(Clause(f", loss {f.general(loss)}"))
    epochs = len(entries(report, "training"))
    if epochs and command != "eval":
        clauses.append(Clause(f", {epochs} epoch{'s' if epochs > 1 else ''}"))
    seconds = number(report, "seconds", "train")
    if seconds is not None and command != "eval":
        clauses.append(Clause(f" in {f.duration(seconds)}"))
    clauses.append(Clause("."))
    measured = accuracy is not None or fit is not None
    return Verdict("good" if measured else "warn", word, tuple(clauses))


def judge(report: Mapping[str, object]) -> Verdict:
    """Sum a report up in one sentence.

    A missed target, a failed check and anything not measured, slower, or more than one point
    less accurate is named in the sentence and in the words before it.

    Args:
        report: the report, as in `schema.Report`.

    Returns:
        The verdict; its tone is that of its worst clause.
    """
    if not was_pruned(report):
        return _judge_single(report)
    clauses, problems = _lead(report)
    rest: list[Clause] = []
    batches = _batches(report)
    for batch in reversed(batches):  # the largest first; a smaller one only when it lost
        ratio = _speed(report, batch)
        if ratio is None:
            continue
        clause, problem = _speed_clause(ratio, batch)
        if batch == batches[-1] or problem == "Slower":
            rest.append(clause)
            problems += [(clause.tone, problem)] if problem else []
    if not rest:
        rest.append(Clause("speed not measured", "warn"))
        problems.append(("warn", "Speed not measured"))
    judged = [_accuracy_clause(report), _verified_clause(report)]
    if guarded := _guard_clause(report):
        judged.insert(1, guarded)
    for clause, problem in judged:
        rest.append(clause)
        problems += [(clause.tone, problem)] if problem else []
    for i, clause in enumerate(rest):
        clauses += [Clause(": " if i == 0 else ", "), clause]
    clauses.append(Clause("."))
    if not problems:
        word = "Target reached, verified" if table(report, "target") else "Verified"
        return Verdict("good", word, tuple(clauses))
    problems.sort(key=lambda p: -_ORDER.index(p[0]))  # stable: the worst first
    words = list(dict.fromkeys(word for _, word in problems))
    return Verdict(problems[0][0], " \u00b7 ".join(words), tuple(clauses))


def _size_figure(report: Mapping[str, object], key: str, label: str, note: str = "") -> Figure:
    before, after = change(report, key)
    show = f.bytes_text if key in ("file_bytes", "memory") else f.count
    ratio = _divide(before, after)
    gain = ""
    if ratio is not None and ratio > 0:
        gain = f"{f.times(max(ratio, 1 / ratio))} {'fewer' if ratio >= 1 else 'more'}"
        if key in ("file_bytes", "memory"):
            gain = gain.replace("fewer", "smaller").replace("more", "larger")
        gain = "unchanged" if ratio == 1 else gain
    tone: Tone = "warn" if ratio is not None and ratio < 1 else "plain"
    shown = None if after is None else show(after)
    return Figure(key, label, show(before), shown, _divide(after, before), gain, note, tone)


def _latency_figure(report: Mapping[str, object], batch: str) -> Figure:
    sides = []
    for side in ("before", "after"):
        row = table(table(table(report, "latency_ms"), side), batch)
        sides.append((number(row, "median"), number(row, "p10"), number(row, "p90")))
    (before, _, _), (after, low, high) = sides
    if after is None:
        _, low, high = sides[0]
    ratio = _speed(report, batch)
    gain, tone = "", "plain"
    if ratio is not None and ratio > 0:
        gain = f"{f.times(max(ratio, 1 / ratio))} {'faster' if ratio >= 1 else 'slower'}"
        tone = "warn" if ratio <= 1 / _SAME_SPEED else "plain"
    spread = ""
    if low is not None and high is not None:
        spread = f"p10 {f.milliseconds(low)}, p90 {f.milliseconds(high)}"
    shown = None if after is None else f.milliseconds(after)
    label = f"Latency, batch {batch}"
    return Figure(
        f"latency_{batch}", label, f.milliseconds(before), shown, _divide(after, before), gain,
        spread, "warn" if tone == "warn" else "plain",
    )  # fmt: skip


def figures(report: Mapping[str, object]) -> list[Figure]:
    """List the measured quantities of a report in the order they are shown."""
    found: list[Figure] = []
    before, after = change(report, "accuracy")
    if before is not None or after is not None:
        gain, tone = "", "plain"
        if before is not None and after is not None:
            gain = f.points(after - before)
            tone = "warn" if before - after > _ACCURACY_WARN + 1e-9 else "plain"
        shown = None if after is None else f.percent(after, 2)
        found.append(
            Figure("accuracy", "Accuracy", f.percent(before, 2), shown, None, gain, "",
                   "warn" if tone == "warn" else "plain")
        )  # fmt: skip
    before, after = change(report, "loss")
    if before is not None or after is not None:
        shown = None if after is None else f.general(after)
        found.append(Figure("loss", "Loss", f.general(before), shown))
    found += [_latency_figure(report, batch) for batch in reversed(_batches(report))]
    for key, label, note in (
        ("flops", "FLOPs", "2 \u00d7 MACs"),
        ("macs", "MACs", "one multiply and one add each"),
        ("params", "Parameters", ""),
        ("memory", "Memory, batch 1", "activations and parameters of inference"),
        ("file_bytes", "File size", ""),
    ):
        before, after = change(report, key)
        if before is not None or after is not None:
            found.append(_size_figure(report, key, label, note))
    return found
