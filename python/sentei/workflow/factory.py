"""From settings to objects: model, optimizer, schedule, loss, penalties."""

from __future__ import annotations

import os
from typing import Any

from sentei import losses, optim, regularizers
from sentei.errors import DataError
from sentei.io import load
from sentei.model import Model
from sentei.nn import models
from sentei.passes import infer_specs
from sentei.workflow import config as c
from sentei.workflow.datasets import Images

__all__ = [
    "check_fits",
    "check_task",
    "make_loss",
    "make_model",
    "make_optimizer",
    "make_regularizers",
    "make_schedule",
    "network_name",
    "read_model",
]


def make_model(settings: c.Model, images: Images, seed: int) -> Model:
    """The network that the settings name, for these images; or the one of a file.

    Raises:
        GraphError: unknown network or option. DataError, ShapeError: it does not fit the images.
    """
    if settings.file is not None:
        return check_fits(read_model(settings.file), images)
    return models.build(
        settings.network,
        images.shape,
        images.classes,
        seed=seed,
        init=settings.init,
        **settings.options,
    )


def read_model(path: str | os.PathLike[str]) -> Model:
    """Read a model file, made by sentei.io.save."""
    return load(path)


def check_fits(model: Model, images: Images) -> Model:
    """DataError when the images or classes are not those that the network takes."""
    if model.input_shape != images.shape:
        raise DataError(
            f"data: images must have shape {model.input_shape} as the network takes them, "
            f"got {images.shape} (data.size resizes them)"
        )
    outputs = infer_specs(model.graph, 1)[model.output].shape[-1]
    if outputs != images.classes:
        raise DataError(
            f"data: {images.train.name} must have as many classes as the network has outputs, "
            f"{outputs}, got {images.classes}"
        )
    return model


def network_name(model: Model) -> str:
    """Name of the network that a model was built from."""
    about = model.meta.get("network")
    name = about.get("name") if isinstance(about, dict) else None
    return name if isinstance(name, str) and name else "network"


def make_loss(settings: c.Train) -> losses.Loss:
    """The loss; ValueError when its parameter is out of range, DataError when it has none."""
    plain = {
        "softmax": losses.CrossEntropy,
        "sigmoid": losses.SigmoidCrossEntropy,
        "squared": losses.Squared,
    }
    given = settings.loss_parameter
    if settings.loss in plain:
        if given is not None:
            raise DataError(
                f"train: loss_parameter must be left out with {settings.loss}, got {given:g}"
            )
        return plain[settings.loss]()
    kinds: dict[str, Any] = {
        "huber": losses.Huber,
        "quantile": losses.Quantile,
        "eps_insensitive": losses.EpsInsensitive,
    }
    made: losses.Loss = kinds[settings.loss](*(() if given is None else (given,)))
    return made


def check_task(settings: c.Train, images: Images) -> None:
    """DataError when the data are classes and the loss is for targets, or the other way round."""
    values = make_loss(settings).task == "values"
    if values == images.train.is_regression:
        return
    if values:
        raise DataError(
            f"train: loss must be softmax or sigmoid for {images.train.name}, whose labels are "
            f"classes, got {settings.loss!r}"
        )
    raise DataError(
        f"train: loss must be squared, huber, quantile or eps_insensitive for {images.train.name}, "
        f"whose labels are targets, got {settings.loss!r}"
    )


def make_optimizer(settings: c.Train, lr: float | None = None) -> optim.Optimizer:
    """The optimizer; `lr` goes before the settings' own.

    Raises:
        DataError: semi_sync with lbfgs.
    """
    common: dict[str, Any] = {
        "lr": settings.lr if lr is None else lr,
        "weight_decay": settings.weight_decay,
        "l2": settings.l2,
    }
    if settings.semi_sync:
        if settings.optimizer == "lbfgs":
            raise DataError(
                "train: semi_sync must go with sgd, adagrad, rmsprop or adam, got 'lbfgs'"
            )
        whole = settings.model_copy(update={"semi_sync": False})
        return optim.SemiSync(
            make_optimizer(whole, lr),  # type: ignore[arg-type]
            settings.semi_sync_layers,
            settings.semi_sync_permute,
            convolutions=settings.semi_sync_convolutions,
            groups=settings.semi_sync_groups,
        )
    if settings.optimizer == "sgd":
        return optim.SGD(**common, momentum=settings.momentum)
    if settings.optimizer == "adam":
        return optim.Adam(**common, eps_inside=settings.eps_inside)
    if settings.optimizer == "lbfgs":
        own = settings.lbfgs
        # the step size of the other optimizers is not a length along -H g
        return optim.LBFGS(**{**own.model_dump(exclude={"step"}), **common, "lr": own.step})
    kinds = {"adagrad": optim.AdaGrad, "rmsprop": optim.RMSprop}
    made: optim.Optimizer = kinds[settings.optimizer](**common)
    return made


def make_schedule(settings: c.Train, steps: int) -> optim.Schedule:
    """The schedule; a cosine falls over all epochs, or over `steps` steps."""
    s = settings.schedule
    if s.kind == "step":
        return optim.Step(tuple(s.milestones), s.factor, s.per)
    if s.kind == "inverse":
        return optim.Inverse(s.tau, s.per)
    if s.kind == "cosine":
        total = settings.epochs if s.per == "epoch" else steps
        return optim.Cosine(max(total, 1), s.floor, s.per)
    return optim.Constant()


def make_regularizers(settings: c.Regularizers) -> list[regularizers.Regularizer]:
    found: list[regularizers.Regularizer] = []
    if settings.sparse:
        form = "channel" if settings.channelwise else "neuron"
        where, layers = settings.sparse_where, settings.sparse_layers
        found.append(regularizers.LogActivity(settings.sparse, layers, form, where))  # type: ignore[arg-type]
    if settings.discriminant:
        found.append(regularizers.Discriminant(settings.discriminant))
    return found
