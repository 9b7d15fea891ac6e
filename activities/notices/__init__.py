"""Notices: how people learn that an exception waits for them, and the links with which they answer it."""

from activities.notices._chat import EVERYBODY, NoticeChat
from activities.notices._delivery import Delivery
from activities.notices._links import (
    LONGEST_TOKEN,
    REPLY_KEY_LENGTH,
    AnswerLinkError,
    AnswerLinks,
    AnswerTicket,
    LinkFault,
)
from activities.notices._mail import NOTICE_HEADER, NoticeMail
from activities.notices._settings import (
    ChatSettings,
    NoticeMailSettings,
    NoticeSettings,
    read_notice_settings,
)
from activities.notices._wording import Wording, wording_of

__all__ = [
    "EVERYBODY",
    "LONGEST_TOKEN",
    "NOTICE_HEADER",
    "REPLY_KEY_LENGTH",
    "AnswerLinkError",
    "AnswerLinks",
    "AnswerTicket",
    "ChatSettings",
    "Delivery",
    "LinkFault",
    "NoticeChat",
    "NoticeMail",
    "NoticeMailSettings",
    "NoticeSettings",
    "Wording",
    "read_notice_settings",
    "wording_of",
]
