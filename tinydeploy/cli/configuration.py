"""The option --config of the command line: defaults for the options of all commands."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinydeploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from tinydeploy.config import Config

_KEY = "tinydeploy.config"  # in click's `Context.meta`: the configuration, or what is wrong with it
_NESTED = ("export",)  # commands of groups among the commands, which take the same defaults
_GO_ON = ("check", "doctor")  # with a configuration that is wrong: `check` may be given another


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
    """The configuration of this command line, if there is one. Raises `UsageError` for one that is wrong."""
    found: Config | UsageError | None = ctx.meta.get(_KEY)
    if isinstance(found, UsageError):
        raise found
    return found


def _read(ctx: click.Context, _parameter: click.Parameter, path: Path | None) -> None:
    from tinydeploy.config import DEFAULTS, find_config, load_config

    names: list[str]
    defaults: dict[str, Any]
    try:
        config = find_config(Path()) if path is None else load_config(path)
    except UsageError as error:
        ctx.meta[_KEY] = error
        names = _all_but(ctx, _GO_ON)
        defaults = dict.fromkeys(DEFAULTS, partial(_tell, error))
    else:
        ctx.meta[_KEY] = config
        names = _all_but(ctx)
        defaults = {} if config is None else dict(config.defaults)
    if defaults:
        below = {**defaults, **dict.fromkeys(_NESTED, defaults)}
        ctx.default_map = dict.fromkeys(names, below)


def _all_but(ctx: click.Context, left_out: Collection[str] = ()) -> list[str]:
    """The commands' names."""
    assert isinstance(ctx.command, click.Group)
    return [name for name in ctx.command.list_commands(ctx) if name not in left_out]


def _tell(error: UsageError) -> None:
    """Stands for defaults of a configuration that is wrong. Click calls it when one is needed, and so neither for
    --help nor for commands that take none."""
    if not click.get_current_context().resilient_parsing:  # which completion is
        raise error
