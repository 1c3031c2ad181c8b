"""sentei check gradients, overfit, units, variance, responses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sentei.cli import options as o

if TYPE_CHECKING:
    from sentei.model import Model
    from sentei.workflow.config import Config
    from sentei.workflow.datasets import Images

ModelName = Annotated[
    str, typer.Argument(help="A .safetensors file, or the name of a network.", show_default=False)
]
Samples = Annotated[int, typer.Option(min=1, help="How many images.")]


def _settings(
    model: str,
    data: str | None,
    data_dir: str | None,
    config: Path | None,
    pairs: list[str] | None,
    seed: int | None,
    threads: int | None,
    device: str | None,
) -> Config:
    """Settings of a check: those of the file where nothing else is given."""
    import os

    from sentei.workflow.runs import prune_config

    is_file = os.path.exists(model) or os.sep in model or model.endswith(".safetensors")
    flags = {
        "model.file" if is_file else "model.network": model,
        "data.name": data,
        "data.data_dir": data_dir,
        **o.run_flags(None, seed, threads, device),
    }
    return prune_config(config, pairs or (), flags)


def _load(settings: Config) -> tuple[Model, Images]:
    """The network and images that fit it."""
    from sentei import device
    from sentei.workflow.datasets import images_for
    from sentei.workflow.factory import check_fits, make_model, read_model

    where = device.require(settings.run.device)
    if settings.run.threads is not None:
        device.set_threads(settings.run.threads)
    if settings.model.file is None:
        images = images_for({}, settings.data, settings.run.seed, scaled=False)
        model = make_model(settings.model, images, settings.run.seed)
    else:
        model = read_model(settings.model.file)
        images = images_for(model.meta, settings.data, settings.run.seed)
    return check_fits(model, images).to(where), images


def gradients(
    model: ModelName,
    samples: Samples = 4,
    directions: Annotated[int, typer.Option(help="Directions per parameter.")] = 2,
    tolerance: Annotated[float, typer.Option(help="Relative difference that is accepted.")] = 0.02,
    data: o.DataName = None,
    data_dir: o.DataDir = None,
    config: o.ConfigFile = None,
    pairs: o.Pairs = None,
    seed: o.Seed = None,
    threads: o.Threads = None,
    device: o.Device = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """Compare the gradient of every parameter with numeric ones.

    Penalties and the loss are those of the settings (--set train.loss=sigmoid). Exit code 1 when a
    gradient is wrong.

    Example: `sentei check gradients lenet5_prune`
    """
    from sentei.cli.output import print_json, show_table
    from sentei.cli.ticker import Ticker
    from sentei.workflow.check import check_gradients
    from sentei.workflow.factory import make_loss, make_regularizers

    settings = _settings(model, data, data_dir, config, pairs, seed, threads, device)
    network, images = _load(settings)
    x, labels = images.sample(samples, settings.run.seed)
    with Ticker("gradients", quiet or as_json) as ticker:
        found = check_gradients(
            network,
            x,
            labels,
            make_loss(settings.train),
            make_regularizers(settings.train.regularizers),
            directions=directions,
            tolerance=tolerance,
            seed=settings.run.seed,
            progress=ticker,
        )
    if as_json:
        print_json(found.to_json())
        return 0 if found.ok else 1
    head = ("parameter", "elements", "|gradient|", "difference", "verdict")
    rows = [
        (
            r.parameter,
            f"{r.size:,}",
            f"{r.norm:.3g}",
            "" if r.error is None else f"{r.error:.2%}",
            r.verdict,
        )
        for r in found.rows
    ]
    if not quiet:
        show_table(head, rows)
        print()
    wrong = sum(r.verdict == "wrong" for r in found.rows)
    said = (
        f"{wrong} of {len(rows)} gradients are wrong" if wrong else f"{len(rows)} gradients agree"
    )
    print(f"{said} (loss {found.loss:.4g} on {found.samples} images, {tolerance:.2%} accepted)")
    return 0 if found.ok else 1


def overfit(
    model: ModelName,
    samples: Samples = 10,
    steps: Annotated[int, typer.Option(help="Steps of Adam, at most.")] = 500,
    lr: Annotated[float, typer.Option(help="Step size of Adam.")] = 1e-3,
    target: Annotated[float, typer.Option(help="Loss that counts as none.")] = 0.01,
    data: o.DataName = None,
    data_dir: o.DataDir = None,
    config: o.ConfigFile = None,
    pairs: o.Pairs = None,
    seed: o.Seed = None,
    threads: o.Threads = None,
    device: o.Device = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """Can the network learn a handful of images by heart? If not, why?

    Dropout and penalties are left out. Exit code 1 when it cannot.

    Example: `sentei check overfit lenet5_prune`
    """
    from sentei.cli.output import print_json
    from sentei.cli.ticker import Ticker
    from sentei.workflow.check import check_overfit, handful
    from sentei.workflow.factory import make_loss

    settings = _settings(model, data, data_dir, config, pairs, seed, threads, device)
    network, images = _load(settings)
    chosen = images.train.subset(handful(images.train.labels, samples, settings.run.seed))
    with Ticker("overfit", quiet or as_json) as ticker:
        found = check_overfit(
            network,
            images.standardize.apply(chosen.images),
            chosen.labels,
            make_loss(settings.train),
            steps=steps,
            lr=lr,
            target=target,
            seed=settings.run.seed,
            progress=ticker,
        )
    if as_json:
        print_json(found.to_json())
    elif found.reached:
        print(
            f"learnt: {len(chosen)} images, loss {found.losses[0]:.4g} to {found.losses[-1]:.4g} "
            f"in {found.steps} steps"
        )
    else:
        last = f"{found.losses[-1]:.4g}" if found.losses else "not finite"
        print(f"not learnt: {len(chosen)} images, loss {last} after {found.steps} steps")
        for line in found.findings:
            print(f"- {line}")
    return 0 if found.reached else 1


def units(
    model: ModelName,
    layer: Annotated[
        str,
        typer.Option(
            help="Layer, e.g. conv2 or relu2; `sentei profile` lists them.", show_default=False
        ),
    ],
    unit: Annotated[
        list[int] | None,
        typer.Option(help="Number of a unit or filter; repeatable.", show_default="the first 16"),
    ] = None,
    images: Annotated[int, typer.Option(help="Images per unit.")] = 8,
    part: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Page to write; a .png comes beside it.", show_default="units-LAYER.html"
        ),
    ] = None,
    data: o.DataName = None,
    data_dir: o.DataDir = None,
    config: o.ConfigFile = None,
    pairs: o.Pairs = None,
    seed: o.Seed = None,
    threads: o.Threads = None,
    device: o.Device = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """Show the images that excite each unit of a layer most, and what of them it sees.

    Example: `sentei check units runs/first/model.safetensors --layer conv2`
    """
    from sentei.cli.output import print_json
    from sentei.cli.ticker import Ticker
    from sentei.errors import DataError
    from sentei.workflow.check import check_units, write_units

    if part not in ("train", "val", "test"):
        raise DataError(f"check: part must be train, val or test, got {part!r}")
    page = _page(out, f"units-{layer}.html")
    settings = _settings(model, data, data_dir, config, pairs, seed, threads, device)
    network, loaded = _load(settings)
    chosen = getattr(loaded, part)
    loader = loaded.plain(chosen)
    batches = (loader.batch(0, i)[0] for i in range(len(loader)))
    with Ticker("images", quiet or as_json) as ticker:
        found = check_units(
            network, layer, batches, len(chosen), units=unit, keep=images, progress=ticker
        )
    written = write_units(found, chosen, page, f"{layer} of {model}")
    if as_json:
        rows: dict[str, Any] = {
            str(u): [{"image": f.image, "value": f.value, "box": list(f.box)} for f in best]
            for u, best in found.found.items()
        }
        print_json(
            {
                "layer": layer,
                "width": found.width,
                "part": part,
                "units": rows,
                "files": [str(p) for p in written],
            }
        )
        return 0
    print(f"page      {written[0]}")
    print(f"picture   {written[1]}")
    return 0


def _page(out: Path | None, default: str) -> Path:
    from sentei.errors import DataError

    page = out or Path(default)
    if page.suffix != ".html":
        raise DataError(f"check: out must end in .html, got {str(page)!r}")
    return page


def variance(
    model: ModelName,
    samples: Samples = 64,
    init: Annotated[
        str | None,
        typer.Option(
            help="Initial weights to look at, e.g. henmi_kato; for the name of a network.",
            show_default="the settings' own",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Page to write; a .svg comes beside it.", show_default="variance-MODEL.html"
        ),
    ] = None,
    data: o.DataName = None,
    data_dir: o.DataDir = None,
    config: o.ConfigFile = None,
    pairs: o.Pairs = None,
    seed: o.Seed = None,
    threads: o.Threads = None,
    device: o.Device = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """Do signals and gradients keep their variance from layer to layer?

    Writes a page and a picture. Exit code 1 when a variance is more than 10,000 times off.

    Example: `sentei check variance lenet5_prune --init henmi_kato`
    """
    from dataclasses import asdict

    from sentei.cli.output import print_json, show_table
    from sentei.cli.ticker import Ticker
    from sentei.errors import DataError
    from sentei.init import probe
    from sentei.workflow.check import variance_verdict, write_variance

    page = _page(out, f"variance-{Path(model).stem}.html")
    settings = _settings(model, data, data_dir, config, pairs, seed, threads, device)
    if init is not None:
        if settings.model.file is not None:
            raise DataError(f"check: init must go with the name of a network, got {init!r}")
        settings.model.init = init
    network, images = _load(settings)
    x, labels = images.sample(samples, settings.run.seed)
    if labels.ndim != 1:
        raise DataError(f"check: {images.train.name} must have classes, got targets")
    with Ticker("variance", quiet or as_json):
        rows = probe(network, x, labels)
    written = write_variance(rows, page, f"variance of {model}")
    said = variance_verdict(rows)
    if as_json:
        found = [asdict(r) for r in rows]
        print_json({"rows": found, "verdict": said, "files": [str(p) for p in written]})
    else:
        cells = [
            (r.name, r.op, f"{r.signal:.3g}", "" if r.gradient is None else f"{r.gradient:.3g}")
            for r in rows
        ]
        if not quiet:
            show_table(("layer", "op", "signal", "gradient"), cells)
            print()
        print(f"{said} ({len(x)} images)\npage      {written[0]}\npicture   {written[1]}")
    return 0 if said.startswith("all") else 1


def responses(
    model: ModelName,
    layer: Annotated[
        str | None, typer.Option(help="Layer whose vectors are projected too, e.g. relu3.")
    ] = None,
    samples: Annotated[int, typer.Option(min=2, help="Images of either part, at most.")] = 1000,
    out: Annotated[
        Path | None, typer.Option(help="Page to write.", show_default="responses-MODEL.html")
    ] = None,
    data: o.DataName = None,
    data_dir: o.DataDir = None,
    config: o.ConfigFile = None,
    pairs: o.Pairs = None,
    seed: o.Seed = None,
    threads: o.Threads = None,
    device: o.Device = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """How strongly do units answer, and how well do the outputs tell the classes apart?

    Writes a page: mean response per layer, the criterion 1 - W/T per output, histograms of the logits,
    projections of logits (and of a layer) on two axes.

    Example: `sentei check responses runs/first/model.safetensors --layer relu3`
    """
    from sentei.cli.output import print_json, show_table
    from sentei.cli.ticker import Ticker
    from sentei.errors import DataError
    from sentei.workflow.check import check_responses, write_responses

    page = _page(out, f"responses-{Path(model).stem}.html")
    settings = _settings(model, data, data_dir, config, pairs, seed, threads, device)
    network, images = _load(settings)
    if images.train.is_regression:
        raise DataError(f"check: {images.train.name} must have classes, got targets")
    parts = [
        images.chosen(part, samples, settings.run.seed) for part in (images.train, images.test)
    ]
    loaders = [images.plain(part) for part in parts]
    batches = [(ld.batch(0, i)[:2] for i in range(len(ld))) for ld in loaders]
    with Ticker("images", quiet or as_json) as ticker:
        found = check_responses(
            network, *batches, images.train.classes, layer=layer, total=sum(map(len, parts)),
            progress=ticker,
        )  # fmt: skip
    written = write_responses(found, page, f"responses of {model}")
    if as_json:
        print_json({**found.to_json(), "files": [str(written)]})
        return 0
    if not quiet:
        rows = [(r["layer"], f"{r['mean']:.3g}", f"{r['zeros']:.1%}") for r in found.layers]
        show_table(("layer", "mean |response|", "zeros"), rows)
        ways = zip(found.classes, found.criterion["train"], found.criterion["test"], strict=False)
        print()
        show_table(
            ("output", "1 - W/T train", "test"), [(c, f"{a:.3f}", f"{b:.3f}") for c, a, b in ways]
        )
        print()
    print(f"page      {written}")
    return 0
