"""The commands below `tutti touch`: what is typed; what they do stands in the modules beside this one."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tutti.terminal import load_settings, one_reason, out, person, run

touch_app = typer.Typer(help="Look after touches in doubt, and take touches back.", no_args_is_help=True)

AccountArgument = Annotated[str, typer.Argument(help="The account's id, e.g. northwind.")]
TouchArgument = Annotated[str, typer.Argument(help="The touch's id: <account>/<proposal>/<attempt>.")]
ByOption = Annotated[
    str | None, typer.Option("--by", help="Login of the person. Default: TUTTI_USER, or your login.")
]


@touch_app.command("doubts")
def doubts(
    account: Annotated[str | None, typer.Argument(help="One account only. Default: all.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON lines.")] = False,
) -> None:
    """List the touches that may or may not have reached their provider, and how to find out."""
    from tutti.touches.doubts import show_doubts

    run(show_doubts(out, load_settings(), account, as_json=as_json))


@touch_app.command("settle")
def settle(
    touch: TouchArgument,
    found: Annotated[
        Literal["handed_over", "not_handed_over"], typer.Argument(help="What you found at the provider.")
    ],
    comment: Annotated[str, typer.Option("--comment", help="How you found out; it stays on record.")],
    by: ByOption = None,
) -> None:
    """Say what became of a touch in doubt. It is never sent again by itself, whatever you found."""
    from domain import Settlement
    from tutti.touches.doubts import settle_touch

    said = one_reason(comment, "--comment")
    run(settle_touch(out, load_settings(), touch, Settlement(found), by=person(by), comment=said))


@touch_app.command("recall")
def recall(
    touch: TouchArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why, in one line; it stays on record.")],
    by: ByOption = None,
) -> None:
    """Take a touch back: a task nobody has done, a place in an audience, a segment on the site."""
    from tutti.touches.recalling import recall_touch

    run(recall_touch(out, touch, by=person(by), reason=one_reason(reason)))
