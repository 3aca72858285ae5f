"""Watching a training while it runs: TensorBoard, DVCLive or Weights & Biases, if installed. The table of steps is apart."""

from typing import Protocol

from stages.common.errors import StageError


class Logger(Protocol):
    """Is told every row of the table of steps as it is made."""

    def log(self, row: dict) -> None: ...

    def close(self) -> None: ...


class Silent:
    """Tells no one."""

    def log(self, row: dict) -> None:
        pass

    def close(self) -> None:
        pass


class TensorBoard:
    """Event files below `.cache/tensorboard/<name>`: `tensorboard --logdir .cache/tensorboard`."""

    def __init__(self, name: str):
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(f".cache/tensorboard/{name}")

    def log(self, row: dict) -> None:
        for key, value in row.items():
            if key != "step":
                self.writer.add_scalar(key, value, row["step"])

    def close(self) -> None:
        self.writer.close()


class DVCLive:
    """Plots below `.cache/dvclive/<name>`, and live in DVC Studio where a token for it is set."""

    def __init__(self, name: str):
        from dvclive import Live

        self.live = Live(f".cache/dvclive/{name}", save_dvc_exp=False, dvcyaml=None, report=None)

    def log(self, row: dict) -> None:
        self.live.step = row["step"]
        for key, value in row.items():
            if key != "step":
                self.live.log_metric(key, value)
        self.live.make_summary()

    def close(self) -> None:
        self.live.end()


class WeightsAndBiases:
    """A run in the project `affinage`, by the account and mode that wandb's environment variables name."""

    def __init__(self, name: str):
        import wandb

        self.run = wandb.init(project="affinage", name=name, dir=".cache")

    def log(self, row: dict) -> None:
        self.run.log({key: value for key, value in row.items() if key != "step"}, step=row["step"])

    def close(self) -> None:
        self.run.finish()


KINDS = {"tensorboard": TensorBoard, "dvclive": DVCLive, "wandb": WeightsAndBiases}


def logger(kind: str, name: str) -> Logger:
    """The logger of one model's training.

    Raises:
        StageError: if its package is not installed.
    """
    try:
        return Silent() if kind == "none" else KINDS[kind](name)
    except ImportError:
        parameter = f"models.{name}.train.logger"
        raise StageError(
            parameter, f"{kind}, whose package is not installed", f"the package {kind}", f"pip install {kind}"
        ) from None
