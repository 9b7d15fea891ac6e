"""What people read: the exact sentence, reason and place of every kind of hit, in one table.

Every row is a proposal with what is unusual about its world, and then two lines for each hit: who says what
(family, rule, file and line, effect, reason, until when), and the sentence. That the grant lets the proposal
go is left out, for it says so in nearly every row.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain import Agreement, Consent, ConsentBasis, OutcomeKind, ReasonCode, Standing, StopScope, TouchStatus
from governance._case import FAMILIES
from tests.governance.explaining import (
    BOUGHT,
    DAY,
    HOLD,
    KIM_FOR_DANA,
    NIGHT,
    STOP,
    Row,
    Table,
    ask,
    decided,
    full,
    made,
    other,
    page,
    to,
    told,
)
from tests.governance.rivalries import scheduled
from tests.governance.worlds import NORTHWIND, NOW, candidate, touch

GRANTED = (
    "authority everyday authority.yaml:2: allow ALLOWED",
    "agent may do this alone; granted by lena.",
)

ENGINE: Table = {
    "an account that nobody has told us about": (
        (ask(), {"account": None}),
        "engine engine.unknown_account: deny UNKNOWN_ACCOUNT",
        "Nothing is known about this account yet.",
    ),
    "an actor that people.yaml does not list": (
        (ask(actor="stranger"), {}),
        "engine engine.unknown_actor: deny UNKNOWN_ACTOR",
        "This actor is not listed in people.yaml.",
    ),
    "a channel that channels.yaml does not list": (
        (ask(channel="pigeon"), {}),
        "engine engine.unknown_channel: deny UNKNOWN_CHANNEL",
        "This channel is not listed in channels.yaml.",
    ),
    "a contact that the account does not have": (
        (ask(contact_id="nobody"), {}),
        "engine engine.unknown_contact: deny UNKNOWN_CONTACT",
        "The account has no such contact.",
    ),
    "a proposal that conditions cannot read": (
        (ask().model_copy(update={"propensity": "likely"}), {}),
        "engine engine.facts: deny EVALUATION_ERROR",
        (
            "Rule engine.facts could not be applied: `proposal` cannot be used: could not convert "
            "string to float: 'likely'"
        ),
    ),
    "a better one ahead that conditions cannot read": (
        (
            ask(),
            {"scheduled": (scheduled(other(), 50_000.0, NOW + DAY).model_copy(update={"value": "much"}),)},
        ),
        "engine engine.facts: deny EVALUATION_ERROR",
        (
            "Rule engine.facts could not be applied: `winner` cannot be used: could not convert "
            "string to float: 'much'"
        ),
    ),
    "somebody on the shared suppression list": (
        (ask(), {"suppressed": ("champion",)}),
        "engine engine.suppressed: deny SUPPRESSED",
        "The person is on the shared suppression list.",
    ),
    "somebody who has objected": (
        (ask(), to(opted_out_at=NOW)),
        "engine engine.opted_out: deny SUPPRESSED",
        "The person has objected to being contacted.",
    ),
    "somebody who has left": (
        (ask(), to(left_at=NOW)),
        "engine engine.contact_left: deny CONTACT_LEFT",
        "The person has left the company.",
    ),
    "a proposal that has expired": (
        (candidate(ask(), expires_at=NOW), {}),
        "engine engine.expired: suppress EXPIRED",
        "The proposal has expired.",
    ),
    "a proposal that is to go out later": (
        (ask(earliest=NOW + DAY), {}),
        "engine engine.not_yet: defer NOT_YET until 11-25 10:00:00",
        "The proposal asks not to go out earlier.",
    ),
    "an account on hold": (
        (ask(), {"holds": (HOLD,)}),
        "engine engine.hold: defer ACCOUNT_HOLD until 11-27 10:00:00",
        "tom has put the account on hold.",
    ),
    "a kill switch": (
        (ask(), {"stops": (STOP,)}),
        "engine engine.stop: defer STOPPED until 11-24 16:00:00",
        "dana has stopped the channel email: wrong price list",
    ),
    "kill switches of everything and of an account": (
        (
            ask(),
            {
                "stops": (
                    STOP.model_copy(update={"scope": StopScope.TENANT, "name": None}),
                    STOP.model_copy(update={"scope": StopScope.ACCOUNT, "name": "northwind"}),
                )
            },
        ),
        "engine engine.stop: defer STOPPED until 11-24 16:00:00",
        "dana has stopped everything: wrong price list",
        "engine engine.stop: defer STOPPED until 11-24 16:00:00",
        "dana has stopped the account northwind: wrong price list",
    ),
    "a touch in flight": (
        (page(), made(3, status=TouchStatus.IN_FLIGHT)),
        "engine engine.touch_in_flight: defer TOUCH_IN_FLIGHT until 11-24 10:00:30",
        "Another touch on this account is on its way.",
    ),
    "a wait beyond the proposal's end": (
        (candidate(page(), expires_at=NOW + DAY / 2), made(1)),
        "timing gap timing.yaml:3: suppress MINIMUM_GAP until 11-25 10:00:00",
        "Two days between touches.",
        "engine engine.expired: suppress EXPIRED",
        "It would have to wait beyond 2026-11-24 22:00:00Z, when it expires.",
    ),
}
CHANNELS_AND_CONSENT: Table = {
    "nobody's e-mail address": (
        (ask(), to(email=None)),
        "channels channels.email channels.yaml:2: deny UNREACHABLE_CONTACT",
        "The contact champion has no e-mail address, and email needs one.",
    ),
    "nobody's telephone number": (
        (ask(channel="phone"), {}),
        "channels channels.phone channels.yaml:12: deny UNREACHABLE_CONTACT",
        "The contact champion has no telephone number, and phone needs one.",
    ),
    "a channel to people, and nobody to address": (
        (ask(contact_id=None), {}),
        "channels channels.email channels.yaml:2: deny UNREACHABLE_CONTACT",
        "The channel email addresses a person, and the proposal names none.",
    ),
    "a rule of our own": (
        (ask("refused"), {}),
        "consent our-own-rule consent.yaml:13: suppress SUPPRESSED",
        "Our own rule says no.",
    ),
    "consent that was withdrawn": (
        (ask(), to(consent=Consent.WITHDRAWN)),
        "consent engine.consent_withdrawn: deny CONSENT_MISSING",
        "The person withdrew their consent.",
        "consent german-mail consent.yaml:2: deny CONSENT_MISSING",
        "E-mail to Germany needs consent. The person withdrew their consent. (§ 7 UWG)",
    ),
    "no consent": (
        (ask(), to(consent=Consent.UNKNOWN)),
        "consent german-mail consent.yaml:2: deny CONSENT_MISSING",
        "E-mail to Germany needs consent. No consent is on record. (§ 7 UWG)",
    ),
    "consent that is not enough": (
        (ask(), to(consent=Consent.IMPLIED)),
        "consent german-mail consent.yaml:2: deny CONSENT_MISSING",
        ("E-mail to Germany needs consent. Implied consent is on record, and that is not enough. (§ 7 UWG)"),
    ),
    "consent that rests on something else": (
        (ask(), to(consent=Consent.IMPLIED, consent_basis=ConsentBasis.INQUIRY)),
        "consent german-mail consent.yaml:2: deny CONSENT_MISSING",
        (
            "E-mail to Germany needs consent. Implied consent (inquiry) is on record, and that is not"
            " enough. (§ 7 UWG)"
        ),
    ),
    "consent from the future": (
        (ask(), to(**BOUGHT, consent_at=NOW + DAY)),
        "consent german-mail consent.yaml:2: deny CONSENT_MISSING",
        (
            "E-mail to Germany needs consent. Implied consent (purchase) is dated 2026-11-25, which "
            "has not come yet. (§ 7 UWG)"
        ),
    ),
    "consent without a date": (
        (ask(), to(**BOUGHT)),
        "consent german-mail consent.yaml:2: deny CONSENT_MISSING",
        (
            "E-mail to Germany needs consent. Implied consent (purchase) is on record without a date,"
            " so nobody can tell whether it still holds. (§ 7 UWG)"
        ),
    ),
    "consent that ran out": (
        (ask(), to(**BOUGHT, consent_at=NOW - 101 * DAY)),
        "consent german-mail consent.yaml:2: deny CONSENT_MISSING",
        "E-mail to Germany needs consent. Implied consent (purchase) ran out on 2026-11-23. (§ 7 UWG)",
    ),
    "a country without a law": (
        (ask(), to(consent=Consent.UNKNOWN, country="FR")),
        "consent german-mail consent.yaml:2: deny CONSENT_MISSING",
        (
            "E-mail to Germany needs consent. No consent is on record. No rule is written for FR, so "
            "the strictest one counts. (§ 7 UWG)"
        ),
    ),
    "a country that nobody knows": (
        (ask(), {**to(consent=Consent.UNKNOWN), "account": NORTHWIND.model_copy(update={"country": None})}),
        "consent german-mail consent.yaml:2: deny CONSENT_MISSING",
        (
            "E-mail to Germany needs consent. No consent is on record. The country is unknown, so the"
            " strictest rule counts. (§ 7 UWG)"
        ),
    ),
    "a medium without a law": (
        (ask(channel="sms"), {}),
        "consent engine.no_permission_rule: deny CONSENT_MISSING",
        "No rule of consent.yaml says that people may be addressed over sms.",
    ),
}
SUPPRESSION_AND_ELIGIBILITY: Table = {
    "an account on a list": (
        (ask("listed"), {}),
        "suppression talks suppression.yaml:2: deny SUPPRESSED",
        "The contract is being negotiated. (until 2027-06-30, dana; Legal)",
    ),
    "an account on a list that has run out": (
        (ask("listed_once"), {}),
        "suppression old-talks suppression.yaml:10: deny SUPPRESSED (tried out)",
        "Ran out on 2026-06-30 and binds no more; ask dana. It said: The contract was negotiated.",
    ),
    "a pause to wait for": (
        (ask(), made(20, contact_id="champion", outcomes={OutcomeKind.BOUNCE: NOW - 19 * DAY})),
        "suppression bounced suppression.yaml:19: defer CONTACT_POLICY until 12-05 10:00:00",
        ("Paused until 2026-12-05 10:00Z. The last mail came back. (until 2027-06-30, tom; Mail operations)"),
    ),
    "a pause that drops": (
        (ask(), made(20, contact_id="champion", outcomes={OutcomeKind.COMPLAINT: NOW - 19 * DAY})),
        "suppression complained suppression.yaml:30: suppress CONTACT_POLICY",
        ("Paused until 2026-12-05 10:00Z. The person complained. (until 2027-06-30, tom; Mail operations)"),
    ),
    "nobody to engage": (
        (ask("whom"), {}),
        "eligibility who eligibility.yaml:2: deny NOT_ELIGIBLE",
        "Not to them.",
    ),
    "nothing for now": (
        (ask("when"), {}),
        "eligibility when eligibility.yaml:4: suppress NOT_APPLICABLE",
        "Not now.",
    ),
    "nothing for them": (
        (ask("what"), {}),
        "eligibility what eligibility.yaml:6: require_approval NOT_SUITABLE",
        "A person looks at this first.",
    ),
    "a condition that gives no answer": (
        (page("unanswerable"), {}),
        "eligibility without-answer eligibility.yaml:7: deny EVALUATION_ERROR",
        (
            "Rule without-answer could not be applied: `contact.role == Role.CHAMPION` gave no "
            "answer: a value it needs is absent (INVALID_ARGUMENT: Applying SELECT to non-message "
            "type)"
        ),
    ),
    "evidence that is too old": (
        (ask("stale", evidence_at=NOW - 16.3 * DAY), {}),
        "eligibility fresh eligibility.yaml:13: suppress EVIDENCE_STALE",
        "The evidence is old. The newest is 16.3 days old, and 1 day counts.",
    ),
    "evidence that is hardly too old": (
        (ask("stale", evidence_at=NOW - 1 * DAY - timedelta(seconds=1)), {}),
        "eligibility fresh eligibility.yaml:13: suppress EVIDENCE_STALE",
        "The evidence is old. The newest is more than 1 day old, and 1 day counts.",
    ),
    "evidence that is years too old": (
        (ask("stale", evidence_at=NOW - 1100 * DAY), {}),
        "eligibility fresh eligibility.yaml:13: suppress EVIDENCE_STALE",
        "The evidence is old. The newest is 1,100 days old, and 1 day counts.",
    ),
}
AUTHORITY: Table = {
    "nothing granted": (
        (ask("unheard_of"), {}),
        "authority engine.no_grant: deny NO_AUTHORITY",
        "Nobody has granted agent the action unheard_of over email.",
    ),
    "a grant that has ended": (
        (ask("once"), {}),
        "authority ended authority.yaml:42: deny AUTHORITY_EXPIRED",
        "The grant ended, which dana has given agent, ended with 2026-01-31 (UTC).",
    ),
    "a grant of nothing": (
        (ask("banned"), {}),
        "authority banned authority.yaml:12: deny NO_AUTHORITY",
        "dana has switched this off for agent.",
    ),
    "a grant of drafts": (
        (ask("drafted"), {}),
        "authority drafts authority.yaml:22: suppress AUTHORITY_EXCEEDED",
        "agent may prepare this, but nothing goes out.",
    ),
    "a grant of questions": (
        (ask("asked"), {}),
        "authority asking authority.yaml:32: require_approval AUTHORITY_EXCEEDED",
        "agent may do this only after a person has approved it.",
    ),
    "a ban that has ended": (
        (ask(value=7.0), {}),
        "authority ended-ban authority.yaml:52: deny NO_AUTHORITY",
        (
            "dana has switched this off for agent. (It ended with 2026-01-31; a limit lasts until "
            "somebody takes it out.)"
        ),
    ),
    "a doubt that has ended": (
        (ask(value=8.0), {}),
        "authority ended-doubt authority.yaml:63: require_approval AUTHORITY_EXCEEDED",
        (
            "agent may do this only after a person has approved it. (It ended with 2026-01-31; a "
            "limit lasts until somebody takes it out.)"
        ),
    ),
    "a ban that is only tried out": (
        (ask(value=9.0), {}),
        "authority tried authority.yaml:149: deny NO_AUTHORITY (tried out)",
        "dana has switched this off for agent.",
    ),
    "what can never be taken back": (
        (ask("permanent"), {}),
        "authority never authority.yaml:74: deny AUTHORITY_EXCEEDED",
        "agent may never do what cannot be taken back, and email cannot.",
    ),
    "what cannot be taken back": (
        (ask("careful"), {}),
        "authority careful authority.yaml:84: require_approval AUTHORITY_EXCEEDED",
        "What goes out over email cannot be taken back, so agent has to ask.",
    ),
    "too much value": (
        (ask(value=50_001.0), {}),
        "authority everyday authority.yaml:2: require_approval AUTHORITY_EXCEEDED",
        "agent may act alone up to a value of 50,000; this is 50,001.",
    ),
    "hardly too much value": (
        (ask(value=50_000.01), {}),
        "authority everyday authority.yaml:2: require_approval AUTHORITY_EXCEEDED",
        "agent may act alone up to a value of 50,000.00; this is 50,000.01.",
    ),
    "too many people for one": (
        (ask(reach=2), {}),
        "authority everyday authority.yaml:2: require_approval AUTHORITY_EXCEEDED",
        "agent may reach 1 person at a time; this reaches up to 2.",
    ),
    "too many people": (
        (ask("crowds", reach=1_501), {}),
        "authority crowds authority.yaml:94: require_approval AUTHORITY_EXCEEDED",
        "agent may reach 1,500 people at a time; this reaches up to 1,501.",
    ),
    "too little confidence to act": (
        (ask(confidence=0.6), {}),
        "authority everyday authority.yaml:2: require_approval LOW_CONFIDENCE",
        "agent is not sure enough to act alone: 0.60 is below 0.75.",
    ),
    "hardly too little confidence to act": (
        (ask(confidence=0.7499), {}),
        "authority everyday authority.yaml:2: require_approval LOW_CONFIDENCE",
        "agent is not sure enough to act alone: 0.7499 is below 0.7500.",
    ),
    "too little confidence to ask": (
        (ask(confidence=0.4), {}),
        "authority everyday authority.yaml:2: suppress LOW_CONFIDENCE",
        "agent is too unsure of this: 0.40 is below 0.50.",
    ),
    "hardly too little confidence to ask": (
        (ask(confidence=0.4999), {}),
        "authority everyday authority.yaml:2: suppress LOW_CONFIDENCE",
        "agent is too unsure of this: 0.4999 is below 0.5000.",
    ),
    "an actor that is new": (
        (ask("novel"), {"standing": Standing(done={"agent/novel": 4})}),
        "authority novel authority.yaml:105: require_approval NOVELTY",
        "agent is new to novel: it has done it 4 times, and is asked until 5.",
    ),
    "an actor that did it once": (
        (ask("novel"), {"standing": Standing(done={"agent/novel": 1})}),
        "authority novel authority.yaml:105: require_approval NOVELTY",
        "agent is new to novel: it has done it 1 time, and is asked until 5.",
    ),
    "a budget of touches": (
        (ask("counted"), full("touches#touches-86400s", NOW + DAY)),
        "authority touches authority.yaml:116: require_approval BUDGET_EXCEEDED",
        (
            "agent has used up the 5,000 touches per 1d that dana has granted; there is room again at"
            " 2026-11-25 10:00:00Z."
        ),
    ),
    "a budget of one touch": (
        (ask("seldom"), full("one-touch#touches-86400s", NOW + DAY)),
        "authority one-touch authority.yaml:161: require_approval BUDGET_EXCEEDED",
        (
            "agent has used up the 1 touch per 1d that dana has granted; there is room again at "
            "2026-11-25 10:00:00Z."
        ),
    ),
    "a budget of money": (
        (ask("paid", cost=12.0), full("money#cost-604800s", NOW + DAY)),
        "authority money authority.yaml:127: require_approval BUDGET_EXCEEDED",
        (
            "agent has used up all but less than 12.00 of the 500.00 per 7d that dana has granted; "
            "there is room again at 2026-11-25 10:00:00Z."
        ),
    ),
    "a budget for this alone": (
        (ask("paid", cost=500.0), full("money#cost-604800s", NOW + DAY)),
        "authority money authority.yaml:127: require_approval BUDGET_EXCEEDED",
        (
            "agent has used up all but less than 500.00 of the 500.00 per 7d that dana has granted; "
            "there is room again at 2026-11-25 10:00:00Z."
        ),
    ),
    "a budget for less than one": (
        (ask("paid", cost=0.5), full("money#cost-604800s", NOW + DAY)),
        "authority money authority.yaml:127: require_approval BUDGET_EXCEEDED",
        (
            "agent has used up all but less than 0.50 of the 500.00 per 7d that dana has granted; "
            "there is room again at 2026-11-25 10:00:00Z."
        ),
    ),
    "a budget for what is free": (
        (ask("paid", cost=0.0), full("money#cost-604800s", NOW + DAY)),
        "authority money authority.yaml:127: require_approval BUDGET_EXCEEDED",
        (
            "agent has used up the 500.00 per 7d that dana has granted; there is room again at "
            "2026-11-25 10:00:00Z."
        ),
    ),
    "more than the whole budget": (
        (ask("paid", cost=500.5), full("money#cost-604800s", NOW + DAY)),
        "authority money authority.yaml:127: require_approval BUDGET_EXCEEDED",
        "This costs 500.50, more than the whole budget of 500.00 per 7d.",
    ),
    "hardly more than the whole budget": (
        (ask("paid", cost=500.001), full("money#cost-604800s", NOW + DAY)),
        "authority money authority.yaml:127: require_approval BUDGET_EXCEEDED",
        "This costs 500.001, more than the whole budget of 500.000 per 7d.",
    ),
    "a budget of all persons": (
        (ask(actor="dana"), full("persons#touches-14400s", NOW + DAY)),
        "authority persons authority.yaml:138: require_approval BUDGET_EXCEEDED",
        (
            "every person has used up the 20 touches per 4h that dana has granted; there is room "
            "again at 2026-11-25 10:00:00Z."
        ),
    ),
    "a budget nobody has asked about": (
        (ask("paid"), {"ledger": False}),
        "authority money authority.yaml:127: deny EVALUATION_ERROR",
        "Rule money could not be applied: what all accounts together have used is not known.",
    ),
}
APPROVALS: Table = {
    "a claim that nobody has heard yet": (
        (ask(claims=("fast",)), {}),
        "approvals new-claim approvals.yaml:56: require_approval FIRST_USE",
        "A new claim is read first. New: fast.",
    ),
    "a claim that is not listed": (
        (ask(claims=("faster",)), {}),
        "engine engine.unknown_claim: deny UNKNOWN_CLAIM",
        "It claims 'faster', which approvals.yaml does not list; did it mean 'fast'?",
    ),
    "a template that does not exist": (
        (ask(template="hello"), {}),
        "engine engine.not_the_template: deny NOT_THE_TEMPLATE",
        "There is no template hello under content/.",
    ),
    "a requirement": (
        (ask("crowds", value=250_000.0), {}),
        "approvals large approvals.yaml:2: require_approval APPROVAL_NEEDED",
        "So much needs a person.",
        "authority crowds authority.yaml:94: allow ALLOWED",
        "agent may do this alone; granted by dana.",
    ),
    "a requirement that was met": (
        (candidate(ask("crowds", value=250_000.0), approved_by="dana"), {}),
        "authority crowds authority.yaml:94: allow ALLOWED",
        "agent may do this alone; granted by dana.",
        "approvals large approvals.yaml:2: allow APPROVAL_NEEDED",
        "Approved by dana: So much needs a person.",
    ),
    "a limit that a person lifted": (
        (candidate(ask(value=50_001.0), approved_by="tom"), {}),
        "authority everyday authority.yaml:2: allow AUTHORITY_EXCEEDED",
        "Approved by tom: agent may act alone up to a value of 50,000; this is 50,001.",
    ),
    "nobody left to ask": (
        (ask(cost=1_001.0), {}),
        "approvals engine.no_approver: deny APPROVAL_NEEDED",
        "A person in owners must approve this, and nobody there is left who may.",
        "approvals any-route approvals.yaml:3: require_approval APPROVAL_NEEDED",
        "So much money needs a person.",
    ),
    "one left of two to ask": (
        (ask(cost=1_002.0), {}),
        "approvals engine.no_approver: deny APPROVAL_NEEDED",
        "2 persons in pair must approve this, and only 1 is left there who may.",
        "approvals any-route approvals.yaml:3: require_approval APPROVAL_NEEDED",
        "So much money needs a person.",
    ),
    "nobody left of two to ask": (
        (ask(actor="kim", cost=1_005.0), {}),
        "approvals engine.no_approver: deny APPROVAL_NEEDED",
        "2 persons in desk must approve this, and nobody there is left who may.",
        "approvals any-route approvals.yaml:3: require_approval APPROVAL_NEEDED",
        "So much money needs a person.",
        "authority persons authority.yaml:138: allow ALLOWED",
        "kim may do this alone; granted by dana.",
    ),
    "two left of three to ask": (
        (ask(cost=1_003.0), {}),
        "approvals engine.no_approver: deny APPROVAL_NEEDED",
        "3 persons in trio must approve this, and only 2 are left there who may.",
        "approvals any-route approvals.yaml:3: require_approval APPROVAL_NEEDED",
        "So much money needs a person.",
    ),
    "two who approved": (
        (candidate(ask(actor="tom", cost=1_002.0), approvers=("lena", "dana")), {}),
        "authority persons authority.yaml:138: allow ALLOWED",
        "tom may do this alone; granted by dana.",
        "approvals any-route approvals.yaml:3: allow APPROVAL_NEEDED",
        "Approved by lena and dana: So much money needs a person.",
    ),
    "one left of two from different groups": (
        (ask(cost=1_006.0), {}),
        "approvals engine.no_approver: deny APPROVAL_NEEDED",
        (
            "2 persons from different groups in pair or owners must approve this, and only 1 is left there "
            "who may."
        ),
        "approvals any-route approvals.yaml:3: require_approval APPROVAL_NEEDED",
        "So much money needs a person.",
    ),
    "nobody left on any level": (
        (ask(cost=1_007.0, edited_by=("dana",)), {}),
        "approvals engine.no_approver: deny APPROVAL_NEEDED",
        "A person in owners or pair must approve this, and nobody there is left who may.",
        "approvals any-route approvals.yaml:3: require_approval APPROVAL_NEEDED",
        "So much money needs a person.",
    ),
    "one who approved in the place of another": (
        (
            candidate(
                ask(cost=1_000.0),
                approvers=("kim",),
                agreements=(Agreement(approver="kim", answers_for="dana", at=NOW),),
            ),
            {"delegations": (KIM_FOR_DANA,)},
        ),
        "approvals any-route approvals.yaml:3: allow APPROVAL_NEEDED",
        "Approved by kim for dana: So much money needs a person.",
    ),
    "broken glass": (
        (candidate(ask(cost=1_002.0), glass_broken_by="dana"), {}),
        "approvals any-route approvals.yaml:3: allow GLASS_BROKEN",
        "dana broke the glass: So much money needs a person.",
    ),
    "a route that gives no answer": (
        (page(cost=1_004.0), {}),
        "approvals to-nobody approvals.yaml:22: deny EVALUATION_ERROR",
        (
            "Rule to-nobody could not be applied: `proposal.cost == 1004.0 && contact.role == "
            "Role.CHAMPION` gave no answer: a value it needs is absent (INVALID_ARGUMENT: Applying "
            "SELECT to non-message type)"
        ),
        "approvals any-route approvals.yaml:3: require_approval APPROVAL_NEEDED",
        "So much money needs a person.",
    ),
}
FREQUENCY_AND_TIMING: Table = {
    "nothing against it": (
        (ask(), {}),
        "authority everyday authority.yaml:2: allow ALLOWED",
        "agent may do this alone; granted by lena.",
    ),
    "a cap on a person": (
        (ask(), made(10, contact_id="champion")),
        "frequency person frequency.yaml:3: defer FREQUENCY_CAP until 11-28 10:00:00",
        "One touch in two weeks.",
    ),
    "a cap on new contacts": (
        (ask(), {"touches": tuple(touch(NOW - n * DAY, contact_id=f"c{n}") for n in (4, 5))}),
        "frequency newcomers frequency.yaml:4: defer FREQUENCY_CAP until 11-26 10:00:00",
        "Two new people a week.",
    ),
    "a cap on everybody": (
        (ask("counted"), full("everybody", NOW + DAY)),
        "frequency everybody frequency.yaml:5: defer FREQUENCY_CAP until 11-25 10:00:00",
        "A hundred touches a day.",
        "authority touches authority.yaml:116: allow ALLOWED",
        "agent may do this alone; granted by dana.",
    ),
    "a cap nobody has asked about": (
        (ask("counted"), {"ledger": False, "standing": Standing(room_at={"touches#touches-86400s/p": NOW})}),
        "frequency everybody frequency.yaml:5: deny EVALUATION_ERROR",
        "Rule everybody could not be applied: what all accounts together have used is not known.",
        "authority touches authority.yaml:116: allow ALLOWED",
        "agent may do this alone; granted by dana.",
    ),
    "the gap": (
        (page(), made(1)),
        "timing gap timing.yaml:3: defer MINIMUM_GAP until 11-25 10:00:00",
        "Two days between touches.",
    ),
    "the night of one zone": (
        (ask(), {"now": NIGHT}),
        "timing nights timing.yaml:7: defer QUIET_HOURS until 11-25 07:00:00",
        "No e-mail at night. (until Wed 08:00 in Europe/Berlin)",
    ),
    "the night of two zones": (
        (ask(), {"now": NIGHT, "account": NORTHWIND.model_copy(update={"time_zone": None, "country": None})}),
        "timing nights timing.yaml:7: defer QUIET_HOURS until 11-25 13:00:00",
        "No e-mail at night. (until Wed 14:00 in Europe/Berlin, to suit all of 2 possible zones)",
    ),
}
ARBITRATION: Table = {
    "slots that are full": (
        (page(), made(4, 5, 6)),
        "arbitration slots arbitration.yaml:21: defer NO_SLOT until 11-25 10:00:00",
        "Three touches a week.",
    ),
    "a touch of another intent": (
        (ask("close"), made(8, action="nurture")),
        "arbitration not-together arbitration.yaml:6: defer CONFLICTING_INTENT until 11-30 10:00:00",
        "Nurturing and closing do not go together (nurture on 2026-11-16).",
    ),
    "a proposal of another intent": (
        (ask("nurture"), {"rivals": (other("close"),)}),
        "arbitration not-together arbitration.yaml:6: suppress CONFLICTING_INTENT",
        "Nurturing and closing do not go together (best stays: closing).",
        "arbitration next-turn arbitration.yaml:30: defer LOWER_PRIORITY until 11-26 10:00:00",
        (
            "A better one goes first (12,000.00 against 12,000.00, both came at once and the smaller "
            "id decides)."
        ),
    ),
    "an intent that does not fit": (
        (ask("upsell", value=11.0), {}),
        "arbitration no-upsell arbitration.yaml:12: suppress CONFLICTING_INTENT",
        "Nothing more is sold now.",
    ),
    "a weight that gives no answer": (
        (page(value=12.0), {}),
        "arbitration weighs arbitration.yaml:18: deny EVALUATION_ERROR",
        (
            "Rule weighs could not be applied: `proposal.value == 12.0 && contact.role == "
            "Role.CHAMPION` gave no answer: a value it needs is absent (INVALID_ARGUMENT: Applying "
            "SELECT to non-message type)"
        ),
    ),
    "a better one ahead": (
        (ask(), {"scheduled": (scheduled(other(), 50_000.0, NOW + DAY),)}),
        "arbitration ahead arbitration.yaml:35: defer LOWER_PRIORITY until 11-27 10:00:00",
        "A better one is due soon (best is due 2026-11-25 10:00:00Z; 50,000.00 against 12,000.00).",
    ),
    "the better one": (
        (ask(), {"rivals": (other(proposal_id="worse", value=1_000.0),)}),
        "arbitration engine.winner: allow ALLOWED",
        "Goes first with a score of 12,000.00; the next has 300.00.",
    ),
    "the hardly better one": (
        (ask(), {"rivals": (other(proposal_id="worse", value=39_999.99),)}),
        "arbitration engine.winner: allow ALLOWED",
        "Goes first with a score of 12,000.000; the next has 11,999.997.",
    ),
    "the smaller id": (
        (ask(), {"rivals": (other(proposal_id="q"),)}),
        "arbitration engine.winner: allow ALLOWED",
        (
            "Goes first with a score of 12,000.00; the next has the same, both came at once and the "
            "smaller id decides."
        ),
    ),
    "the earlier arrival": (
        (candidate(ask(), received_at=NOW - DAY), {"rivals": (other(proposal_id="a"),)}),
        "arbitration engine.winner: allow ALLOWED",
        "Goes first with a score of 12,000.00; the next has the same, the earlier arrival decides.",
    ),
    "a worse one": (
        (ask(), {"rivals": (other(value=41_000.0),)}),
        "arbitration next-turn arbitration.yaml:30: defer LOWER_PRIORITY until 11-26 10:00:00",
        "A better one goes first (12,300.00 against 12,000.00).",
    ),
    "a hardly worse one": (
        (ask(value=39_999.99), {"rivals": (other(),)}),
        "arbitration next-turn arbitration.yaml:30: defer LOWER_PRIORITY until 11-26 10:00:00",
        "A better one goes first (12,000.000 against 11,999.997).",
    ),
    "a second voice": (
        (ask(), {"rivals": (other(value=41_000.0, contact_id="champion"),)}),
        "arbitration one-voice arbitration.yaml:26: suppress LOWER_PRIORITY",
        "One voice for each person (12,300.00 against 12,000.00).",
    ),
    "the larger id": (
        (ask(), {"rivals": (other(proposal_id="a"),)}),
        "arbitration next-turn arbitration.yaml:30: defer LOWER_PRIORITY until 11-26 10:00:00",
        (
            "A better one goes first (12,000.00 against 12,000.00, both came at once and the smaller "
            "id decides)."
        ),
    ),
    "the later arrival": (
        (ask(), {"rivals": (candidate(other(proposal_id="x"), received_at=NOW - DAY),)}),
        "arbitration next-turn arbitration.yaml:30: defer LOWER_PRIORITY until 11-26 10:00:00",
        "A better one goes first (12,000.00 against 12,000.00, the earlier arrival decides).",
    ),
    "a better one that stood back": (
        (
            ask("nurture", contact_id="practitioner", value=19_000.0, propensity=0.9),
            {
                "rivals": (
                    ask(proposal_id="best", value=20_000.0),
                    ask("close", proposal_id="kept", value=1.0),
                )
            },
        ),
        "arbitration next-turn arbitration.yaml:30: defer LOWER_PRIORITY until 11-26 10:00:00",
        (
            "A better one goes first (6,000.00 against 17,100.00, but it stood back for another that "
            "does not go either)."
        ),
    ),
    "a worse one without a rule": (
        (ask(contact_id="practitioner", value=1.0), {"rivals": (ask("silent", proposal_id="best"),)}),
        "arbitration engine.lower_priority: defer LOWER_PRIORITY until 11-26 10:00:00",
        "A better proposal goes first (12,000.00 against 0.30).",
    ),
    "a rule for losers that gives no answer": (
        (page(value=1.0), {"rivals": (ask("silent", proposal_id="best"),)}),
        "arbitration one-voice arbitration.yaml:26: deny EVALUATION_ERROR",
        (
            'Rule one-voice could not be applied: `winner.same_contact || (winner.action == "silent" '
            "&& contact.role == Role.CHAMPION)` gave no answer: a value it needs is absent "
            "(INVALID_ARGUMENT: Applying SELECT to non-message type)"
        ),
        "arbitration engine.lower_priority: defer LOWER_PRIORITY until 11-26 10:00:00",
        "A better proposal goes first (12,000.00 against 0.30).",
    ),
    "a proposal that starves": (
        (candidate(page(), deferrals=4), made(1)),
        "timing gap timing.yaml:3: defer MINIMUM_GAP until 11-25 10:00:00",
        "Two days between touches.",
        "arbitration starving arbitration.yaml:40: allow STARVED",
        "It waits again and again (5 times since 2026-11-24 09:59:58Z).",
    ),
}

TABLE: Table = {
    **ENGINE,
    **CHANNELS_AND_CONSENT,
    **SUPPRESSION_AND_ELIGIBILITY,
    **AUTHORITY,
    **APPROVALS,
    **FREQUENCY_AND_TIMING,
    **ARBITRATION,
}
NOT_OF_RULES = {
    ReasonCode.APPROVAL_REJECTED,
    ReasonCode.APPROVAL_EXPIRED,
    ReasonCode.EXIT_SIGNAL,
    ReasonCode.CHANNEL_REJECTED,
    ReasonCode.CHANNEL_DOWN,
    ReasonCode.RATE_LIMITED,
    ReasonCode.CONTENT_ERROR,
    ReasonCode.NO_AUDIENCE,
    ReasonCode.PLAY_ENDED,
    ReasonCode.PLAY_SUSPENDED,
    ReasonCode.IN_DOUBT,
    ReasonCode.SENT_BACK,
    ReasonCode.WITHDRAWN,
    ReasonCode.AMBIGUOUS,
    ReasonCode.CONTRADICTION,
    ReasonCode.SEEDED,
}
"""What the account says by itself: how proposals end after a ruling, or before a play makes one."""


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
def test_people_read_exactly_this(row: Row) -> None:
    case, *expected = row
    proposal, world = case
    decision = decided(proposal, world)

    hits = [(told(hit), hit.message) for hit in decision.hits]

    alone = expected == list(GRANTED)
    assert [text for hit in hits for text in hit if alone or hit != GRANTED] == expected
    assert decision.reason is decision.hits[0].reason or decision.reason is ReasonCode.ALLOWED


def test_the_table_has_every_reason_and_every_family_that_speaks() -> None:
    places = [place for _, *told_of in TABLE.values() for place in told_of[::2]]

    assert {place.split()[0] for place in places} == set(FAMILIES) - {"people", "interpretation"}
    reasons = {reason for reason in ReasonCode if any(f" {reason.value}" in place for place in places)}
    assert reasons == set(ReasonCode) - NOT_OF_RULES


def test_the_same_is_read_whoever_is_named_first() -> None:
    """What a proposal is told does not depend on the order in which it and its rivals are given."""
    for row in TABLE.values():
        proposal, world = row[0]
        rivals = world.get("rivals", ())
        turned = [*rivals[::-1], proposal]
        again = {**world, "rivals": tuple(turned[1:])}

        assert decided(turned[0], again).hits == decided(proposal, world).hits
