"""Time and people: reminders, the escalation chain, and notices that never multiply."""

from __future__ import annotations

from datetime import timedelta

from domain import (
    Answered,
    ApprovalStatus,
    Noticed,
    NoticeReport,
    Notify,
    Occasion,
    ProposalStatus,
    Verdict,
    advance,
    next_due,
    view_proposal,
)
from tests.builders import START, Shell, proposal, route
from tests.domain.questions import approval, asked, due_route, notices, steps, told, why
from tests.domain.situations import answer


def test_the_chain_runs_to_its_end_and_ends_in_no() -> None:
    shell = asked()
    told(shell)
    moments = []
    while (due := next_due(shell.state)) is not None and approval(shell).status is ApprovalStatus.PENDING:
        shell.now = due.at
        shell.send()
        moments += [(due.at - START, notify.notice.occasion.value) for notify in notices_told(shell)]
    hour = timedelta(hours=1)
    assert moments == [
        (2 * hour, "reminder"),
        (4 * hour, "escalated"),
        (8 * hour, "escalated"),
        (24 * hour, "expired"),
    ]
    view = view_proposal(shell.state, "p1")
    assert view is not None
    assert view.status is ProposalStatus.SUPPRESSED
    assert [step for step in steps(shell) if step != "notified"] == [
        "requested",
        "reminded",
        "escalated",
        "escalated",
        "expired",
    ]


def notices_told(shell: Shell) -> list[Notify]:
    found = notices(shell)
    for notify in found:
        delivered = tuple(f"{login} by mail" for login in notify.notice.to)
        report = NoticeReport(notice_id=notify.notice.notice_id, delivered=delivered)
        shell.send(Noticed(report=report))
    return found


def test_whoever_is_asked_later_may_answer_then_and_not_before() -> None:
    shell = asked()
    shell.send(Answered(answer=answer(shell, approver="vera")))
    assert not shell.state.answers, "she was not asked: governance is"
    shell.wait(hours=4)
    shell.send(Answered(answer=answer(shell, answer_id="a2", approver="vera")))
    assert why(shell, "a2").accepted


def test_an_operator_sees_what_comes_next_and_when() -> None:
    shell = asked()
    told(shell)
    due = next_due(shell.state)
    assert due is not None
    assert (due.at, due.what) == (START + timedelta(hours=2), "remind sales-leadership of p1:a1 (1 of 1)")
    shell.wait(hours=3)
    told(shell)
    due = next_due(shell.state)
    assert due is not None
    assert due.what == "approval p1:a1 goes to heads (level 1 of 2)"


def test_after_a_long_pause_each_person_gets_one_message() -> None:
    reminders = tuple(START + timedelta(hours=hours) for hours in (1, 2, 3))
    shell = asked(reminders=reminders)
    told(shell)
    shell.wait(hours=5)
    (notify,) = notices(shell)
    assert notify.notice.occasion is Occasion.ESCALATED
    assert approval(shell).reminded == 3


def test_reminders_do_not_multiply_while_the_mail_server_is_away() -> None:
    reminders = tuple(START + timedelta(hours=hours) for hours in (1, 2, 3))
    shell = asked(reminders=reminders, levels=())
    (first,) = notices(shell)
    for _ in range(3):
        shell.wait(hours=1)
    assert not notices(shell), "one notice is on its way, and only one may wait behind it"
    shell.send(Noticed(report=NoticeReport(notice_id=first.notice.notice_id, delivered=("dana by mail",))))
    (second,) = notices(shell)
    assert second.notice.occasion is Occasion.REMINDER
    shell.send(Noticed(report=NoticeReport(notice_id=second.notice.notice_id, delivered=("dana by mail",))))
    assert not notices(shell)


def test_a_notice_that_fails_is_tried_again_under_the_same_id_and_the_task_stays() -> None:
    shell = asked(levels=(), reminders=())
    (first,) = notices(shell)
    failed = NoticeReport(notice_id=first.notice.notice_id, failed=("dana by mail: refused",), try_again=True)
    shell.send(Noticed(report=failed))
    assert approval(shell).status is ApprovalStatus.PENDING
    shell.wait(minutes=11)
    (again,) = notices(shell)
    assert again.notice.notice_id == first.notice.notice_id
    told_again = NoticeReport(notice_id=again.notice.notice_id, delivered=("dana by mail",))
    shell.send(Noticed(report=told_again))
    assert steps(shell) == ["requested", "not_notified", "notified"]
    assert not shell.state.tickets


def test_whoever_was_reached_by_an_attempt_before_is_not_recorded_again() -> None:
    shell = asked(levels=(), reminders=())
    (first,) = notices(shell)
    half = NoticeReport(
        notice_id=first.notice.notice_id,
        delivered=("dana by mail",),
        failed=("tom by mail: later",),
        try_again=True,
    )
    shell.send(Noticed(report=half))
    shell.wait(minutes=11)
    notices(shell)
    shell.send(Noticed(report=half))
    shell.wait(minutes=21)
    notices(shell)
    both = {"delivered": ("dana by mail", "tom by mail"), "failed": (), "try_again": False}
    shell.send(Noticed(report=half.model_copy(update=both)))
    assert steps(shell) == ["requested", "notified", "not_notified", "notified"]


def test_a_late_request_is_not_sent_after_the_answer() -> None:
    shell = asked(levels=(), reminders=())
    (first,) = notices(shell)
    failed = NoticeReport(notice_id=first.notice.notice_id, failed=("dana by mail: refused",), try_again=True)
    shell.send(Noticed(report=failed))
    shell.send(Answered(answer=answer(shell)))
    shell.wait(minutes=11)
    assert not notices(shell)


def test_a_notice_on_its_way_travels_to_the_next_run() -> None:
    shell = asked()
    (first,) = notices(shell)
    carried = Shell.carried_over(shell)
    (again,) = notices(carried)
    assert again.notice.notice_id == first.notice.notice_id


def test_a_report_that_comes_twice_counts_once() -> None:
    shell = asked()
    (first,) = notices(shell)
    report = Noticed(report=NoticeReport(notice_id=first.notice.notice_id, delivered=("dana by mail",)))
    shell.send(report, report)
    assert steps(shell) == ["requested", "notified"]


def test_approvals_from_before_due_dates_do_nothing_new() -> None:
    shell = Shell()
    shell.propose(proposal())
    shell.wait(seconds=3)
    shell.rule({"p1": Verdict.REQUIRE_APPROVAL}, route=route())
    assert not notices(shell)
    assert not steps(shell)
    due = next_due(shell.state)
    assert due is not None
    assert due.what.startswith("approval p1:a1 expires") or due.what.startswith("send facts")


def test_two_hundred_open_questions_expire_each_in_its_own_time() -> None:
    shell = Shell()
    shell.propose(*(proposal(f"p{number}") for number in range(200)))
    shell.wait(seconds=3)
    while any(item.status is ProposalStatus.IN_WINDOW for item in shell.state.open.values()):
        ids = {each.proposal.proposal_id for each in shell.consultation_peek().candidates}
        shell.rule(dict.fromkeys(ids, Verdict.REQUIRE_APPROVAL), route=due_route(levels=(), reminders=()))
    assert len(shell.state.pending_approvals) == 200
    shell.now = START + timedelta(days=1)
    state, _ = advance(shell.state, (), shell.now)
    assert not state.open
