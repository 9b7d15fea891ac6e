// The provider: a Matrix room. Its API takes a transaction id, so the same touch is one message however often
// it is sent, and a message can be redacted: an idempotent channel that can take a touch back.
// https://spec.matrix.org/v1.11/client-server-api/#sending-events-to-a-room

import { fault } from './contract.js';

export interface RoomAnswer {
  status: number;
  eventId?: string;
  error: string;
}

export class Room {
  constructor(
    private readonly homeserver: string,
    private readonly token: string,
    private readonly id: string,
  ) {}

  /** Post a message; the same transaction is the same message. */
  post(transaction: string, body: string): Promise<RoomAnswer> {
    return this.put(`send/m.room.message/${encodeURIComponent(transaction)}`, { msgtype: 'm.text', body });
  }

  /** Redact a message. */
  redact(eventId: string, transaction: string, reason: string): Promise<RoomAnswer> {
    return this.put(`redact/${encodeURIComponent(eventId)}/${encodeURIComponent(transaction)}`, { reason });
  }

  private async put(path: string, body: object): Promise<RoomAnswer> {
    const room = encodeURIComponent(this.id);
    let response: Response;
    let text: string;
    try {
      response = await fetch(new URL(`/_matrix/client/v3/rooms/${room}/${path}`, this.homeserver), {
        method: 'PUT',
        headers: { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(15_000),
      });
      text = await response.text();
    } catch {
      // It may have arrived; made again, it is the same message.
      throw fault.inDoubt('the room does not answer; the request is made again');
    }
    const said = parsed(text);
    if (response.status === 429) {
      const wait = typeof said['retry_after_ms'] === 'number' ? said['retry_after_ms'] : 60_000;
      throw fault.rateLimited('the room wants fewer messages', new Date(Date.now() + wait));
    }
    if (response.status >= 500) throw fault.inDoubt(`the room answered ${response.status}`);
    const eventId = said['event_id'];
    return {
      status: response.status,
      error: String(said['error'] ?? ''),
      ...(typeof eventId === 'string' ? { eventId } : {}),
    };
  }
}

function parsed(text: string): Record<string, unknown> {
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === 'object' && found !== null ? (found as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
