"""The settings of a run: blocks, each checked, nothing unknown let through."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Auxiliary",
    "Config",
    "Data",
    "Distributed",
    "Lbfgs",
    "Model",
    "Prune",
    "Regularizers",
    "Run",
    "Schedule",
    "Train",
]

Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AtLeast0 = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]
Points = Annotated[float, Field(ge=0, lt=100)]
Amount = int | float | str
Amounts = int | float | str | list[int | float | str]


class Block(BaseModel):
    """Base: unknown keys are errors, and 1 is no bool and "1" no number."""

    model_config = ConfigDict(extra="forbid", strict=True, validate_assignment=True)


class Model(Block):
    """[model] Which network."""

    network: str = Field(
        default="lenet5_prune", description="name of a network of sentei.nn.models"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="options of that network")
    init: str = Field(default="kaiming", description="initialiser of the weights")
    file: str | None = Field(default=None, description="start from this .safetensors file instead")


class Data(Block):
    """[data] Which images, and what is done to them."""

    name: str = Field(
        default="mnist-mini", description="name of a data set, an .npz file or a folder"
    )
    data_dir: str | None = Field(
        default=None, description="folder with the files of a named data set"
    )
    size: Count | list[Count] | None = Field(
        default=None, description="resize images to this (bicubic)"
    )
    standardize: Literal["fit", "unit", "signed"] = Field(
        default="fit", description="fit: by mean and deviation; unit: [0, 1]; signed: [-1, 1]"
    )
    flip: bool = Field(default=False, description="mirror training images at random")
    crop: NotNegative = Field(
        default=0, description="shift training images by up to this many pixels"
    )
    split: list[Positive] = Field(
        default=[9.0, 1.0],
        min_length=2,
        max_length=3,
        description="training : validation, or training : validation : test of all images",
    )
    classes_per_batch: Count | None = Field(
        default=None, description="most classes in one mini-batch"
    )
    limit: Count | None = Field(default=None, description="use only so many images of each part")
    fine: bool = Field(default=True, description="CIFAR-100: 100 classes instead of 20")
    channels: Literal[1, 3] = Field(default=3, description="folder of images: 3 (RGB) or 1 (grey)")


class Schedule(Block):
    """[train.schedule] How the step size changes."""

    kind: Literal["constant", "step", "inverse", "cosine"] = "constant"
    milestones: list[NotNegative] = Field(
        default_factory=list, description="step: epochs (or steps) at which it falls"
    )
    factor: AtLeast0 = Field(default=0.1, description="step: by which it is multiplied there")
    tau: Positive = Field(default=1000.0, description="inverse: constant for tau, then as 1/t")
    floor: Share = Field(default=0.0, description="cosine: share of lr at the end")
    per: Literal["epoch", "step"] = "epoch"


class Regularizers(Block):
    """[train.regularizers] Weights of the penalties; 0: off."""

    sparse: AtLeast0 = Field(
        default=0.0, description="log(1 + u^2) of the units before activations"
    )
    channelwise: bool = Field(default=False, description="sparse: one value a channel")
    sparse_layers: list[str] | None = Field(
        default=None, description="names or patterns; all activations"
    )
    sparse_where: Literal["input", "output"] = Field(default="input", description="of these layers")
    discriminant: AtLeast0 = Field(
        default=0.0, description="within-class over total variance of logits"
    )


class Lbfgs(Block):
    """[train.lbfgs] The optimizer lbfgs; train.lr and train.momentum are not its own."""

    step: Positive = Field(default=1.0, description="first length of a step that is tried")
    memory: Count = Field(default=10, description="changes of the gradient that are kept")
    evaluations: Annotated[int, Field(ge=2)] = Field(
        default=25, description="of the loss in one step, at most"
    )
    tolerance: AtLeast0 = Field(
        default=1e-6, description="at the minimum when |g| is below it times max(1, |w|)"
    )
    chunk: Count = Field(default=100, description="images in memory at a time")


class Train(Block):
    """[train] How it is trained."""

    epochs: NotNegative = 5
    batch: Count = 100
    loss: Literal["softmax", "sigmoid", "squared", "huber", "quantile", "eps_insensitive"] = Field(
        default="softmax", description="the last four are for targets, a regression"
    )
    loss_parameter: AtLeast0 | None = Field(
        default=None, description="delta of huber (1), tau of quantile (0.5), eps (0.1)"
    )
    optimizer: Literal["sgd", "adagrad", "rmsprop", "adam", "lbfgs"] = "sgd"
    lr: Positive = 0.02
    momentum: Share = 0.9
    eps_inside: bool = Field(
        default=False, description="adam: the root of vhat + eps, not that of vhat, plus eps"
    )
    lbfgs: Lbfgs = Lbfgs()
    weight_decay: AtLeast0 = 0.0
    l2: AtLeast0 = Field(default=0.0, description="lambda of lambda |W|^2")
    schedule: Schedule = Schedule()
    patience: Count | None = Field(
        default=None, description="stop after so many epochs without a better validation accuracy"
    )
    best_weights: bool = Field(default=False, description="end with the weights of the best epoch")
    semi_sync: bool = Field(default=False, description="semi-synchronous update of linear layers")
    semi_sync_layers: list[str] | None = Field(
        default=None, description="names or patterns; all but last"
    )
    semi_sync_convolutions: list[str] | None = Field(
        default=None, description="names or patterns of convolutions that are updated so too"
    )
    semi_sync_groups: dict[str, Count] = Field(
        default={}, description="groups of a layer, by name or pattern; round(sqrt(rows))"
    )
    semi_sync_permute: NotNegative | None = Field(
        default=None, description="seed that permutes the rows before they are cut"
    )
    regularizers: Regularizers = Regularizers()
    checkpoint_every: Count = Field(
        default=1, description="write a checkpoint after so many epochs"
    )
    precision: Literal["float32", "precise", "fast", "tf32", "bfloat16"] = Field(
        default="float32",
        description="of products in training; fast is for cpu, tf32 for cuda; bfloat16 rounds operands",
    )


class Auxiliary(Block):
    """[prune.auxiliary] Gates h(m) on filters, for the methods autoprune, sigmoid and block."""

    epochs: Count = Field(default=5, description="epochs in which weights and gates learn in turns")
    lam: AtLeast0 | None = Field(
        default=None, description="price of an open gate; 0.5, with autoprune 0.05"
    )
    gates_lr: Positive | None = Field(
        default=None, description="step size of the gates; 0.1, with autoprune 0.5"
    )
    gates_momentum: Share = 0.0
    threshold: Annotated[float, Field(ge=-1, lt=1)] = Field(
        default=1e-3, description="a filter goes where h(m) is at most this"
    )
    threshold_on: Literal["h", "m"] = Field(
        default="h", description="m: the threshold is one of m itself"
    )
    layers: list[str] | None = Field(
        default=None,
        description="layers with gates (patterns); all convolutions that can be pruned",
    )
    alpha: Positive = Field(default=50.0, description="steepness of the sigmoid")
    start: Annotated[float, Field(ge=-1, le=1)] = Field(default=0.1, description="first m")
    place: Literal["output", "norm_input"] = Field(
        default="output", description="norm_input: ahead of the batch norm, which cancels the gate"
    )
    freeze_statistics: bool = Field(
        default=False, description="statistics of batch norm stand still while gates learn"
    )
    width: Positive = Field(default=1.0, description="block: channels inside over channels outside")


class Prune(Block):
    """[prune] How small, by which score, how carefully. A percentage is what REMAINS."""

    flops: Amounts | None = Field(
        default=None,
        description='target, e.g. "30%" of the FLOPs remain; a list: one network for each, in one run',
    )
    macs: Amounts | None = Field(default=None, description="target in multiply-adds")
    params: Amounts | None = Field(default=None, description="target in parameters")
    memory: Amounts | None = Field(
        default=None, description="target in bytes of inference (share, number, or with MB)"
    )
    latency: Amounts | None = Field(
        default=None, description="target in measured milliseconds of inference (share or number)"
    )
    target_batch: Count = Field(default=1, description="images that memory and latency are of")
    max_drop: Points | None = Field(
        default=None,
        description="accuracy points that may be lost on the validation images; alone: go as far as that",
    )
    patience: Count = Field(
        default=3, description="max_drop: evaluations in a row that may break it before going back"
    )
    rollback: Points | None = Field(
        default=None,
        description="accuracy points that a round may cost; one that costs more is undone",
    )
    round_to: Count | None = Field(
        default=None,
        description="widths end at multiples; not given: 8 on cuda in bfloat16, 4 in tf32, else 1",
    )
    distill_alpha: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="weight of the unpruned network as a teacher in retraining and fine-tuning",
    )
    distill_temperature: Positive = Field(default=4.0, description="softens both outputs")
    method: Literal["score", "autoprune", "sigmoid", "block"] = Field(
        default="score", description="score: by a criterion; others: by gates that learn"
    )
    auxiliary: Auxiliary = Auxiliary()
    criterion: str = "robust"
    normalize: AtLeast0 = Field(
        default=1.0, description="p of the Lp norm over a layer; 0: raw scores"
    )
    per_round: Count = Field(default=1, description="channels removed before scoring again")
    retrain_steps: NotNegative = Field(default=10, description="training steps after each round")
    lr: Positive | None = Field(
        default=None, description="step size of retraining; train.lr when not given"
    )
    finetune_epochs: NotNegative = Field(default=1, description="epochs of training at the end")
    finetune_lr: Positive | None = Field(
        default=None, description="its step size; falls to 0 by a cosine"
    )
    floor: Count = Field(default=1, description="channels that every layer keeps")
    ignore: list[str] = Field(default_factory=list, description="layers left alone (patterns)")
    include: list[Literal["conv2d", "linear"]] = Field(default=["conv2d"], min_length=1)
    score_images: Count = Field(default=500, description="training images that scores are taken on")
    analysis: bool | None = Field(
        default=None,
        description="mean features and gradients of what goes and stays; not given: where scores have them",
    )
    recalibrate_bn: NotNegative = Field(
        default=10,
        description="batches that batch norm statistics are measured on at the end; 0: none",
    )
    evaluate_every: Count = Field(default=10, description="steps between validation accuracies")
    checkpoint_every: Count = Field(default=10, description="steps between checkpoints")

    @property
    def gate_settings(self) -> tuple[float, float]:
        """lam and gates_lr as given, or as they suit the method: the step's slope is the smaller."""
        lam, lr = (0.05, 0.5) if self.method == "autoprune" else (0.5, 0.1)
        a = self.auxiliary
        return lam if a.lam is None else a.lam, lr if a.gates_lr is None else a.gates_lr

    @property
    def targets(self) -> dict[str, list[Amount]]:
        """The sizes that are asked for, by kind; a kind with several values has several networks."""
        found = {k: getattr(self, k) for k in ("flops", "macs", "params", "memory", "latency")}
        return {k: v if isinstance(v, list) else [v] for k, v in found.items() if v is not None}


class Distributed(Block):
    """[distributed] Training on a cluster, when it is named."""

    cluster: str | None = Field(
        default=None, description='"local", or "host:port" of a Ray cluster; not given: no cluster'
    )
    replicas: Count = Field(default=2, description="workers that compute gradients")
    shards: Count = Field(default=1, description="workers that hold the parameters")
    strategy: str = Field(default="sync", description="sync, downpour or sandblaster")
    backups: NotNegative = Field(
        default=0, description="sync: replicas that a step does not wait for"
    )
    n_fetch: Count = Field(default=1, description="downpour: mini-batches between two fetches")
    n_push: Count = Field(default=1, description="downpour: mini-batches between two pushes")
    warm_start: NotNegative = Field(
        default=0, description="downpour: updates that one replica makes alone"
    )
    max_staleness: NotNegative | None = Field(
        default=None, description="downpour: steps that a replica may be ahead of the slowest"
    )
    ahead: bool = Field(default=False, description="downpour: fetch while computing, a step staler")
    chunk: Count = Field(default=10, description="mini-batches that a replica leases at a time")
    snapshot_every: Count | None = Field(
        default=None, description="updates between snapshots; by the size of the network"
    )
    store: str | None = Field(
        default=None, description="folder for snapshots that all machines share"
    )
    wait: Positive = Field(default=10.0, description="seconds after which a silent worker is dead")


class Run(Block):
    """[run] Seed, threads, device, folder."""

    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    run_dir: str | None = None
    latency_seconds: AtLeast0 = Field(
        default=1.0, description="time spent measuring latency per batch size; 0: not measured"
    )
    batches: list[Count] = Field(
        default=[1, 100], description="batch sizes that latency is measured at"
    )


class Config(Block):
    """Everything that decides a run."""

    model: Model = Model()
    data: Data = Data()
    train: Train = Train()
    prune: Prune = Prune()
    distributed: Distributed = Distributed()
    run: Run = Run()
