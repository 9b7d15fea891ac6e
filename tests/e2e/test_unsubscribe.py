"""One click in a mail program ends it for the person, on every account."""

from __future__ import annotations

import asyncio
from email.message import EmailMessage

import httpx2

from domain import ProposalStatus, ReasonCode, Verdict, person_key
from tests.builders import contact
from tests.e2e.stack import Stack, letter, until

ADDRESS = "amira@leaving.example.com"


async def test_one_click_stops_every_message_to_the_person_on_every_account(stack: Stack) -> None:
    # Given a person who got a message, and is known to another account as well
    accounts = await stack.introduce("leaving", "amira")
    await stack.introduce("elsewhere", "jonas")
    await accounts.observe("elsewhere", [contact("ami", email=ADDRESS.upper())])
    view = await accounts.propose("leaving", letter("hello"))
    assert view.decision is not None
    assert view.decision.verdict is Verdict.ALLOW

    async def arrived() -> list[EmailMessage]:
        return stack.mails_to(ADDRESS)

    (mail,) = await until(arrived, "the mail")
    link = str(mail["List-Unsubscribe"]).strip("<>")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert link.startswith(f"http://{stack.addresses['gateway']}/unsubscribe/")

    async with httpx2.AsyncClient() as http:
        # When a scanner follows the link, then nothing happens
        looks = [await http.get(link), await http.get(link)]
        assert [look.status_code for look in looks] == [200, 200]
        assert not suppressed(stack)
        assert not any("opted out" in line for line in await accounts.timeline("leaving"))

        # When the mail program posts, then the person is suppressed before the answer comes
        click = await http.post(link, data={"List-Unsubscribe": "One-Click"})
        assert click.status_code == 200
        assert suppressed(stack)
        assert (await http.post(link[:-1] + ("A" if link[-1] != "A" else "B"))).status_code == 404

    # And the account knows
    async def knows() -> bool:
        return any(
            line.endswith("amira opted out (unsubscribe)") for line in await accounts.timeline("leaving")
        )

    await until(knows, "the account to know")

    # And nobody can reach the person any more, here or there
    refusals = await asyncio.gather(
        accounts.propose("leaving", letter("again")),
        accounts.propose("elsewhere", letter("there", contact_id="ami")),
    )
    for refusal in refusals:
        assert refusal.decision is not None
        assert (refusal.status, refusal.reason) == (ProposalStatus.DENIED, ReasonCode.SUPPRESSED)
        assert refusal.decision.verdict is Verdict.DENY
    why = await stack.tutti("why", "leaving", "again")
    assert "denied (SUPPRESSED)" in why.out
    assert len(stack.mails_to(ADDRESS)) == 1


def suppressed(stack: Stack) -> bool:
    return (person_key(ADDRESS), "leaving", "amira", "unsubscribe") in stack.rows(
        "suppressions", "person_key, account_id, contact_id, source"
    )
