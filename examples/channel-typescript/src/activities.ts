// The two activities of the contract. Their names are what the account calls: hand_over and recall.

import { Context } from '@temporalio/activity';
import { readRecall, readTouch, recalled, receipt, type Recalled, type Receipt } from './contract.js';
import type { Handovers } from './handovers.js';
import type { Room } from './room.js';

export function activities(handovers: Handovers, room: Room) {
  return {
    async hand_over(given: unknown): Promise<Receipt> {
      const touch = readTouch(given);
      const context = Context.current();
      return beating(context, async () => {
        const look = await handovers.check(touch);
        if (look.receipt) return look.receipt;
        // The line: before it a cancellation stops the work, behind it the room's answer is the truth.
        if (context.cancellationSignal.aborted) {
          return receipt(touch, 'undelivered', 'Cancelled before the hand-over; nothing was sent.');
        }
        const answer = await room.post(touch.touch_id, [touch.subject, touch.text].filter(Boolean).join('\n\n'));
        if (answer.status === 401) {
          return receipt(touch, 'undelivered', 'The room does not know us; look at ROOM_TOKEN.');
        }
        if (!answer.eventId) {
          return receipt(touch, 'rejected', `The room refused: ${answer.status} ${answer.error}`);
        }
        return receipt(touch, 'accepted', 'Posted to the room.', answer.eventId);
      });
    },

    async recall(given: unknown): Promise<Recalled> {
      const recall = readRecall(given);
      return beating(Context.current(), async () => {
        if (!recall.provider_ref) {
          return recalled(recall, 'impossible', 'Without the id of its event no message is found in a room.');
        }
        const answer = await room.redact(recall.provider_ref, `${recall.touch_id}/recall`, recall.reason);
        if (answer.eventId) return recalled(recall, 'recalled', 'The message was redacted.');
        if (answer.status === 404) return recalled(recall, 'gone', 'The room has no such message.');
        return recalled(recall, 'failed', `The room refused: ${answer.status} ${answer.error}`);
      });
    },
  };
}

/** Heartbeat while the work goes on: without it neither a lost worker nor a cancellation is noticed soon. */
async function beating<T>(context: Context, work: () => Promise<T>): Promise<T> {
  const allowed = context.info.heartbeatTimeoutMs ?? 15_000;
  context.heartbeat();
  const timer = setInterval(() => context.heartbeat(), Math.min(5_000, allowed / 3));
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
