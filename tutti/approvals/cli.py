"""What is typed to see, answer and delegate; what the commands do stands in the modules beside this one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from tutti.approvals import options as given
from tutti.approvals.group import approval_app
from tutti.approvals.options import (
    CODE_HELP,
    AnswerIdOption,
    AsOption,
    Code,
    CodeOption,
    CommentOption,
    DigestOption,
    JsonOption,
    Kind,
    QuestionsArgument,
)
from tutti.terminal import UNUSABLE, CommandError, fail, load_settings, out, run, run_on_ledger

if TYPE_CHECKING:
    from tutti.approvals.answering import Said

RuleOption = Annotated[str | None, typer.Option("--rule", metavar="RULE", help="Only what this rule asks.")]
GroupOption = Annotated[
    str | None, typer.Option("--group", metavar="GROUP", help="Only what this group was asked first.")
]
AllOption = Annotated[
    bool, typer.Option("--all", help="All that --rule asks about --action and that waits for you, up to 50.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="With --all: do not ask before answering.")]
ActionOption = Annotated[
    str | None, typer.Option("--action", metavar="ACTION", help="Only what is about this action.")
]


class Selection(NamedTuple):
    """Which questions `--all` means."""

    every: bool
    yes: bool
    rule: str | None
    action: str | None
    group: str | None


def add_to(app: typer.Typer) -> None:
    """Add the commands that people type most beside the group `tutti approval`."""
    app.command()(inbox)
    app.command()(approve)
    app.command()(reject)
    app.command()(delegate)
    app.add_typer(approval_app, name="approval")


def inbox(  # noqa: PLR0913, PLR0917 - one parameter an option
    login: Annotated[
        str | None, typer.Option("--for", metavar="LOGIN", help="Only what this person may answer now.")
    ] = None,
    group: GroupOption = None,
    kind: Annotated[Kind | None, typer.Option("--kind", help="Only questions of this kind.")] = None,
    rule: RuleOption = None,
    action: ActionOption = None,
    account: Annotated[
        str | None, typer.Option("--account", metavar="ACCOUNT", help="Only on this account.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1_000, help="How many are listed; all are counted.")
    ] = 50,
    *,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Only what should have been answered by now.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List what people are asked, over all accounts: what is due first, then what is riskier.

    tutti inbox --for dana.reyes
    """
    from pydantic import ValidationError

    from domain import ExceptionKind
    from ledger import InboxFilter
    from tutti.approvals.inbox import show_inbox

    now = datetime.now(UTC)
    try:
        wanted = InboxFilter(
            login=login,
            group=group,
            kind=ExceptionKind(kind) if kind is not None else None,
            rule_id=rule,
            action=action,
            account_id=account,
            due_before=now if overdue else None,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        fail(f"{first['loc'][0]}: {first['msg']}", UNUSABLE)
    run_on_ledger(show_inbox(out, load_settings(), wanted, at=now, limit=limit, as_json=as_json))


def approve(  # noqa: PLR0913, PLR0917 - one parameter an option
    question: QuestionsArgument = None,
    login: AsOption = None,
    comment: Annotated[str | None, typer.Option("--comment", help="What to keep on record with it.")] = None,
    code: Annotated[Code | None, typer.Option("--code", metavar="CODE", help=CODE_HELP)] = None,
    digest: DigestOption = None,
    answer_id: AnswerIdOption = None,
    window: Annotated[
        str | None,
        typer.Option("--window", metavar="DAYS", help="Approve the same in advance, e.g. for 7d."),
    ] = None,
    at_most: Annotated[
        int | None, typer.Option("--at-most", help="With --window: how many touches, this one included.")
    ] = None,
    segment: Annotated[
        str | None,
        typer.Option(
            "--segment",
            metavar="SEGMENT",
            help="With --window: for this segment of approvals.yaml. Default: for this account alone.",
        ),
    ] = None,
    rule: RuleOption = None,
    action: ActionOption = None,
    group: GroupOption = None,
    *,
    every: AllOption = False,
    yes: YesOption = False,
) -> None:
    """Approve exactly what is printed; it is ruled again before it goes out.

    tutti approve northwind/exec-1:a1 --as dana.reyes
    """
    from domain import Answer, AnswerCode
    from tutti.approvals.answering import Said

    said = Said(
        answer=Answer.APPROVE,
        approver=given.login(login),
        answer_id=given.fresh_or(answer_id),
        code=AnswerCode(code) if code is not None else None,
        comment=given.said(comment),
        window=given.window(window, at_most, segment),
    )
    if said.window is not None and (every or len(question or []) > 1):
        fail("a window approval is given with one question; name one ID", UNUSABLE)
    _answer_several(said, question, Selection(every, yes, rule, action, group), digest)


def reject(  # noqa: PLR0913, PLR0917 - one parameter an option
    code: CodeOption,
    comment: CommentOption,
    question: QuestionsArgument = None,
    login: AsOption = None,
    digest: DigestOption = None,
    answer_id: AnswerIdOption = None,
    rule: RuleOption = None,
    action: ActionOption = None,
    group: GroupOption = None,
    *,
    every: AllOption = False,
    yes: YesOption = False,
) -> None:
    """Reject it for good; one rejection is enough, however many were asked.

    tutti reject northwind/exec-1:a1 --code wrong_time --comment "Next month."
    """
    from domain import Answer
    from tutti.approvals.answering import Said

    why, sentence = given.reasons(code, comment)
    said = Said(
        answer=Answer.REJECT,
        approver=given.login(login),
        answer_id=given.fresh_or(answer_id),
        code=why,
        comment=sentence,
    )
    _answer_several(said, question, Selection(every, yes, rule, action, group), digest)


def delegate(  # noqa: PLR0913, PLR0917 - one parameter an option
    principal: Annotated[str | None, typer.Option("--from", metavar="LOGIN", help="Who is away.")] = None,
    deputy: Annotated[
        str | None, typer.Option("--to", metavar="LOGIN", help="Who answers in their place.")
    ] = None,
    starts: Annotated[
        str | None, typer.Option("--starts", metavar="TIME", help="From when on. Default: now.")
    ] = None,
    ends: Annotated[
        str | None, typer.Option("--ends", metavar="TIME", help="Until when, e.g. 2026-12-08.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--end", metavar="ID", help="End this delegation now, and make none.")
    ] = None,
    login: AsOption = None,
) -> None:
    """Let somebody answer in another's place for a time; they cannot pass it on.

    tutti delegate --from dana.reyes --to lena.fischer --ends 2026-12-08
    """
    from tutti.approvals import deputies

    who, now, made = given.login(login), datetime.now(UTC), (principal, deputy, starts, ends)
    if end is not None:
        if any(each is not None for each in made):
            fail("--end ends a delegation and makes none; leave the other options out", UNUSABLE)
        run_on_ledger(deputies.end(out, load_settings(), end, login=who))
        return
    if principal is None or deputy is None or ends is None:
        fail("name who is away with --from, who answers with --to, and until when with --ends", UNUSABLE)
    try:
        made_up = deputies.a_delegation(
            principal,
            deputy,
            given.moment(starts, "--starts") if starts is not None else now,
            given.moment(ends, "--ends"),
            made_by=who,
            now=now,
        )
    except CommandError as error:
        fail(error, UNUSABLE)
    run_on_ledger(deputies.delegate(out, load_settings(), made_up))


def _answer_several(said: Said, typed: list[str] | None, selection: Selection, digest: str | None) -> None:
    """Answer the questions that somebody named, or all that a selection means, and end with its code."""
    from tutti.approvals.answering import answer_each

    if selection.every:
        if typed or digest is not None:
            fail("--all answers what --rule and --action say; leave IDs and --digest out", UNUSABLE)
        questions = _selected(said, selection)
    else:
        if any((selection.rule, selection.action, selection.group, selection.yes)):
            fail("--rule, --action, --group and --yes go with --all; without it name the IDs", UNUSABLE)
        questions = given.questions(typed or [])
        if not questions:
            fail("name what you answer: <account>/<approval>, as `tutti inbox` shows it", UNUSABLE)
        if len(questions) > 1 and digest is not None:
            fail("--digest is that of one question; name one ID", UNUSABLE)
    raise typer.Exit(run(answer_each(out, questions, said, digest=digest)))


def _selected(said: Said, selection: Selection) -> list[given.QuestionId]:
    from tutti.approvals.answering import waiting

    if selection.rule is None or selection.action is None:
        fail("--all needs --rule and --action: only what is of one sort is answered together", UNUSABLE)
    questions, left_out = run(
        waiting(
            load_settings(),
            login=said.approver,
            rule_id=selection.rule,
            action=selection.action,
            group=selection.group,
        )
    )
    for line in [*map(str, questions), *(f"left out: {each}" for each in left_out)]:
        out.print(line, highlight=False, markup=False, soft_wrap=True)
    what = f"{said.answer.value} these {len(questions)}?"
    if not selection.yes:
        if not out.is_terminal:
            fail(f"{what} Nothing was answered; look at them, and say so with --yes", UNUSABLE)
        typer.confirm(what, abort=True)
    return questions
