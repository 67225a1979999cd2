"""The option --config of the command line: defaults for the options of all commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tinydeploy.config import Config

_KEY = "tinydeploy.config"  # in click's `Context.meta`
_NESTED = ("export",)  # commands of groups among the commands, which take the same defaults


def with_config(group: click.Group) -> None:
    """Give a group the option --config, which is read before any command begins."""
    group.params.append(
        click.Option(
            ["--config"],
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            expose_value=False,
            callback=_read,
            help="Defaults for options, and what `check` does. Default: tinydeploy.toml, or [tool.tinydeploy] of "
            "pyproject.toml, here or in a folder above.",
        )
    )


def configuration(ctx: click.Context) -> Config | None:
    """The configuration of this command line, if there is one."""
    found: Config | None = ctx.meta.get(_KEY)
    return found


def _read(ctx: click.Context, _parameter: click.Parameter, path: Path | None) -> None:
    from tinydeploy.config import find_config, load_config

    config = find_config(Path()) if path is None else load_config(path)
    if config is None:
        return
    ctx.meta[_KEY] = config
    defaults: dict[str, Any] = dict(config.defaults)
    if defaults:
        assert isinstance(ctx.command, click.Group)
        below = {**defaults, **dict.fromkeys(_NESTED, defaults)}
        ctx.default_map = dict.fromkeys(ctx.command.list_commands(ctx), below)
