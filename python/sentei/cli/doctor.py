"""sentei doctor."""

from typing import Any

from sentei.cli import options as o


def doctor(as_json: o.Json = False) -> int:
    """Say what this installation and this machine can do, and what is missing and why.

    Example: `sentei doctor --json`
    """
    from sentei.workflow.doctor import examine

    found = examine()
    if as_json:
        import json

        print(json.dumps(found, indent=2, default=str))
    else:
        for name, text in _lines(found):
            print(f"{name:<20}{text}")
    return 0 if found["ok"] else 1


def _lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    def part(name: str, text: Any) -> str:
        value = found[name]
        if isinstance(value, dict) and set(value) == {"error"}:
            return f"cannot be told: {value['error']}"
        try:
            return str(text(value))
        except (KeyError, TypeError) as e:
            return f"cannot be told: {e!r}"

    lines = [
        ("sentei", part("version", str)),
        ("build", part("build", lambda b: f"{b['compiler']}, {b['build_type']}, {b['module']}")),
        ("cpu", part("cpu", lambda c: f"{c['model']} ({c['machine']})")),
        ("", part("cpu", lambda c: f"features: {' '.join(c['features']) or 'none known'}")),
        (
            "kernels",
            part(
                "cpu",
                lambda c: (
                    f"{c['tier']} in use; built: {' '.join(c['tiers_built'])}; "
                    f"this CPU can run: {' '.join(c['tiers_supported'])}; "
                    f"bfloat16: {c['bfloat16']}"
                ),
            ),
        ),
        ("threads", part("threads", _threads)),
        ("memory", part("memory", _memory)),
        ("device cpu", part("devices", lambda d: d["cpu"])),
        ("device cuda", part("devices", lambda d: d["cuda"])),
        ("versions", part("versions", lambda v: ", ".join(f"{k} {x}" for k, x in v.items()))),
    ]
    extras = found["extras"]
    for name, e in extras.items() if isinstance(extras, dict) else ():
        if isinstance(e, dict):
            lines.append((f"extra {name}", _extra(name, e)))
    lines.append(("self-test", part("self_test", str)))
    lines += [("PROBLEM", p) for p in found["problems"]]
    return lines


def _extra(name: str, e: dict[str, Any]) -> str:
    if e["present"]:
        return f"present: {e['for']}"
    return f'no {" and no ".join(e["missing"])}: {e["for"]} (pip install "sentei[{name}]")'


def _threads(t: dict[str, Any]) -> str:
    quota = "no limit" if t["cgroup_quota"] is None else f"{t['cgroup_quota']:g} CPUs"
    return (
        f"{t['used']} (by {t['why']}); {t['cpus']} CPUs, {t['affinity']} allowed, cgroup: {quota}"
    )


def _memory(m: dict[str, Any]) -> str:
    def gib(n: int | None) -> str:
        return "unknown" if n is None else f"{n / 2**30:.1f} GiB"

    limit = "" if m["cgroup_limit_bytes"] is None else f", limit {gib(m['cgroup_limit_bytes'])}"
    return f"{gib(m['total_bytes'])}, {gib(m['available_bytes'])} free{limit}"
