"""Who may report outcomes: secrets shared with providers, and the check of what they sign."""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence

from pydantic import SecretStr
from standardwebhooks import Webhook

MIN_SECRET_BYTES = 24
"""Standard Webhooks asks for 24 to 64 random bytes."""


class SignatureError(ValueError):
    """A request is not signed with a secret of its channel, or was signed too long ago."""


class OutcomeKeys:
    """Checks signatures under the secrets of each channel.

    A channel with secrets of its own takes no other: whoever shares one channel's secret cannot speak for
    another. Several secrets of a channel are all valid, so that one can replace another without a gap.

    Args:
        channels: Secrets by channel.
        common: Secrets of every channel that has none of its own.

    Raises:
        ValueError: A secret is not `whsec_` and the base64 form of at least 24 bytes; names the variable.
    """

    def __init__(
        self, channels: Mapping[str, Sequence[SecretStr]] | None = None, common: Sequence[SecretStr] = ()
    ) -> None:
        self._channels = {
            channel: [_webhook(secret, f"TUTTI_OUTCOMES_SECRETS, channel {channel!r}") for secret in secrets]
            for channel, secrets in (channels or {}).items()
        }
        self._common = [_webhook(secret, "TUTTI_OUTCOMES_SECRET") for secret in common]

    def verify(self, channel: str, body: str, headers: Mapping[str, str]) -> None:
        """Check that the body was signed for a channel within five minutes of now.

        Args:
            channel: Whose secrets count.
            body: The request's body, as text.
            headers: The request's; `webhook-id`, `webhook-timestamp` and `webhook-signature` are read.

        Raises:
            SignatureError: It was not, or nobody shares a secret for the channel.
        """
        # A part of a channel (`email:ses`) is guarded like the channel, or anybody could speak for it.
        whole = channel.partition(":")[0]
        keys = self._channels.get(channel, self._channels.get(whole, self._common))
        if not keys:
            raise SignatureError("no secret is set for the channel")
        why = ""
        for key in keys:
            try:
                key.verify(body, dict(headers), json_parse=False)
            except Exception as error:  # noqa: BLE001 - the library raises whatever a malformed header trips
                why = str(error) or type(error).__name__
            else:
                return
        raise SignatureError(why)


def _webhook(secret: SecretStr, whose: str) -> Webhook:
    text = secret.get_secret_value()
    try:
        raw = binascii.a2b_base64(text.removeprefix("whsec_") + "==")
    except ValueError:
        raw = b""
    if not text.startswith("whsec_") or len(raw) < MIN_SECRET_BYTES:
        raise ValueError(
            f"{whose}: write whsec_ and the base64 form of at least {MIN_SECRET_BYTES} random bytes, "
            "several of them separated by spaces"
        )
    return Webhook(text)
