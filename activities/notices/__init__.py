"""Notices: how people learn that an exception waits for them, and the links with which they answer it."""

from activities.notices._links import (
    LONGEST_TOKEN,
    REPLY_KEY_LENGTH,
    AnswerLinkError,
    AnswerLinks,
    AnswerTicket,
    LinkFault,
)

__all__ = [
    "LONGEST_TOKEN",
    "REPLY_KEY_LENGTH",
    "AnswerLinkError",
    "AnswerLinks",
    "AnswerTicket",
    "LinkFault",
]
