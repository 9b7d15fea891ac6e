"""The commands below `tutti approval`; what they do stands in the modules beside this one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tutti.approvals import options as given
from tutti.approvals.options import (
    AnswerIdOption,
    AsOption,
    CodeOption,
    CommentOption,
    DigestOption,
    Found,
    JsonOption,
    QuestionArgument,
    QuestionId,
    StageName,
)
from tutti.terminal import (
    UNUSABLE,
    CommandError,
    complain,
    fail,
    load_settings,
    one_reason,
    out,
    run,
    run_on_ledger,
)

if TYPE_CHECKING:
    from domain import Answer
    from tutti.approvals.answering import Said

approval_app = typer.Typer(
    help="Look at what people are asked, and say what is to become of it.", no_args_is_help=True
)


@approval_app.command("show")
def show(
    question: QuestionArgument,
    login: AsOption = None,
    *,
    html: Annotated[
        bool, typer.Option("--html", help="Print the HTML version of the content, and nothing else.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the card of a question: all that it takes to answer it. The look is put on record.

    tutti approval show northwind/exec-1:a1 --as dana.reyes
    """
    from tutti.approvals.showing import show_card, show_html

    viewer = given.login(login) if login is not None or given.known_login() is not None else None
    wanted = _question(question)
    if html:
        run(show_html(out, wanted))
        return
    run(show_card(out, load_settings(), wanted, viewer=viewer, as_json=as_json))


@approval_app.command("modify")
def modify(  # noqa: PLR0913, PLR0917 - one parameter an option
    question: QuestionArgument,
    code: CodeOption,
    comment: CommentOption,
    text: Annotated[
        Path | None, typer.Option("--text", metavar="FILE", help="The new text; - for what is piped in.")
    ] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="The new subject.")] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="The new HTML version; without it a new text has none."),
    ] = None,
    field: Annotated[
        list[str] | None, typer.Option("--field", metavar="NAME=VALUE", help="A field; may be given again.")
    ] = None,
    contact: Annotated[str | None, typer.Option("--contact", metavar="ID", help="To whom instead.")] = None,
    channel: Annotated[
        str | None, typer.Option("--channel", metavar="CHANNEL", help="Over which channel instead.")
    ] = None,
    earliest: Annotated[str | None, typer.Option("--earliest", metavar="TIME", help="Not before.")] = None,
    expires: Annotated[str | None, typer.Option("--expires", metavar="TIME", help="Good until.")] = None,
    login: AsOption = None,
    digest: DigestOption = None,
    answer_id: AnswerIdOption = None,
) -> None:
    """Answer with your own version. It is ruled again, and if it needs a yes, somebody else gives it.

    tutti approval modify northwind/exec-1:a1 --text better.txt ...
    """
    from domain import Answer
    from tutti.approvals import changing

    try:
        wanted = changing.wishes(
            subject=subject,
            text=given.text_of(text, "--text") if text is not None else None,
            html=given.text_of(html, "--html") if html is not None else None,
            fields=given.pairs(field or [], "--field"),
            contact=contact,
            channel=channel,
            earliest=given.moment(earliest, "--earliest") if earliest is not None else None,
            expires=given.moment(expires, "--expires") if expires is not None else None,
        )
    except CommandError as error:
        fail(error, UNUSABLE)
    said = _said(Answer.MODIFY, code, comment, login, answer_id)
    raise typer.Exit(run(changing.modify(out, _question(question), said, wanted, digest=digest)))


@approval_app.command("send-back")
def send_back(  # noqa: PLR0913, PLR0917 - one parameter an option
    question: QuestionArgument,
    code: CodeOption,
    comment: CommentOption,
    login: AsOption = None,
    digest: DigestOption = None,
    answer_id: AnswerIdOption = None,
) -> None:
    """End the proposal and ask its actor for a better one; the comment says what is missing."""
    from domain import Answer

    _answer(question, _said(Answer.SEND_BACK, code, comment, login, answer_id), digest)


@approval_app.command("settle")
def settle(  # noqa: PLR0913, PLR0917 - one parameter an option
    question: QuestionArgument,
    code: CodeOption,
    comment: CommentOption,
    stage: Annotated[
        StageName | None, typer.Option("--stage", help="Of an ambiguity: which stage the account is in.")
    ] = None,
    found: Annotated[
        Found | None, typer.Option("--found", help="Of a touch in doubt: what you found at the provider.")
    ] = None,
    login: AsOption = None,
    digest: DigestOption = None,
    answer_id: AnswerIdOption = None,
) -> None:
    """Say what is true: which stage an account is in, or what became of a touch in doubt.

    tutti approval settle northwind/sdr-1:d1 --found handed_over ...
    """
    from domain import Answer, Settlement, Stage

    if (stage is None) == (found is None):
        fail("say either --stage, of an ambiguity, or --found, of a touch in doubt", UNUSABLE)
    what = {
        "stage": Stage(stage) if stage is not None else None,
        "settlement": Settlement(found) if found is not None else None,
    }
    said = _said(Answer.SETTLE, code, comment, login, answer_id)
    _answer(question, said.model_copy(update=what), digest)


@approval_app.command("break-glass")
def break_glass(  # noqa: PLR0913, PLR0917 - one parameter an option
    question: QuestionArgument,
    code: CodeOption,
    comment: CommentOption,
    login: AsOption = None,
    digest: DigestOption = None,
    answer_id: AnswerIdOption = None,
) -> None:
    """Approve in an emergency without those who were asked; somebody else reviews it afterwards."""
    from domain import Answer

    _answer(question, _said(Answer.BREAK_GLASS, code, comment, login, answer_id), digest)


@approval_app.command("claim")
def claim(question: QuestionArgument, login: AsOption = None) -> None:
    """Take a question on: others leave it alone until you answer, release it, or the claim runs out."""
    from tutti.approvals.holding import claim

    run(claim(out, _question(question), login=given.login(login)))


@approval_app.command("release")
def release(question: QuestionArgument, login: AsOption = None) -> None:
    """Give a question back that you had taken on."""
    from tutti.approvals.holding import release

    run(release(out, _question(question), login=given.login(login)))


@approval_app.command("withdraw")
def withdraw(
    proposal: Annotated[
        str, typer.Argument(metavar="PROPOSAL", help="The proposal: <account>/<proposal>, as you made it.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why, in one line; it stays on record.")],
    login: AsOption = None,
) -> None:
    """Take back what you, or an agent that you own, proposed; nobody is asked about it any more."""
    from tutti.approvals.holding import withdraw

    account_id, _, proposal_id = proposal.partition("/")
    if not account_id or not proposal_id:
        fail(f"{proposal!r} is no proposal; write <account>/<proposal>", UNUSABLE)
    run(withdraw(out, account_id, proposal_id, login=given.login(login), reason=one_reason(reason)))


@approval_app.command("windows")
def windows(
    *,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what is approved in advance: which template, for whom, how often, until when."""
    from tutti.approvals.windows import show_windows

    run_on_ledger(show_windows(out, load_settings(), every=every, as_json=as_json))


@approval_app.command("revoke")
def revoke(
    window: Annotated[
        str, typer.Argument(metavar="ID", help="The window approval, as `tutti approval windows` shows it.")
    ],
    login: AsOption = None,
) -> None:
    """Take a window approval back: nothing more goes out on it."""
    from tutti.approvals.windows import revoke

    run_on_ledger(revoke(out, load_settings(), window, login=given.login(login)))


@approval_app.command("deputies")
def deputies(
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="At this moment. Default: now.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List who answers in whose place, now or later."""
    from tutti.approvals.deputies import show_deputies

    moment = given.moment(at, "--at") if at is not None else datetime.now(UTC)
    run_on_ledger(show_deputies(out, load_settings(), moment, as_json=as_json))


@approval_app.command("seed")
def seed(
    file: Annotated[
        Path, typer.Argument(help="YAML or JSON: `account`, and a `proposal` that nobody should approve.")
    ],
    login: AsOption = None,
) -> None:
    """Plant a bad proposal to see whether it is caught. It never goes out, whatever is answered."""
    from governance import PolicyFileError
    from tutti.approvals.seeding import plant, read_seed

    who = given.login(login)
    try:
        planted = read_seed(file)
    except PolicyFileError as error:
        text = file.read_text(encoding="utf-8", errors="replace")
        complain("\n".join(problem.render(text) for problem in error.problems))
    except OSError as error:
        fail(f"{file}: {error.strerror or error}; name a file with a proposal", UNUSABLE)
    run(plant(out, planted, login=who))


@approval_app.command("health")
def health(
    days: Annotated[
        int, typer.Option("--days", min=1, max=3_650, help="Questions of the last so many days count.")
    ] = 30,
    *,
    as_json: JsonOption = False,
) -> None:
    """Tell how well people answer, by person and by rule: shares, times, rubber stamps, planted tests.

    tutti approval health --days 90
    """
    from tutti.approvals.health import show_health

    run_on_ledger(show_health(out, load_settings(), days, as_json=as_json))


def _question(text: str) -> QuestionId:
    (question,) = given.questions([text])
    return question


def _said(answer: Answer, code: str, comment: str, login: str | None, answer_id: str | None) -> Said:
    from tutti.approvals.answering import Said

    why, sentence = given.reasons(code, comment)
    who = given.login(login)
    return Said(answer=answer, approver=who, answer_id=given.fresh_or(answer_id), code=why, comment=sentence)


def _answer(question: str, said: Said, digest: str | None) -> None:
    from tutti.approvals.answering import answer_each

    raise typer.Exit(run(answer_each(out, [_question(question)], said, digest=digest)))
