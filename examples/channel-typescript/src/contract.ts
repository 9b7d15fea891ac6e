// The shapes of docs/contracts/*.schema.json that this channel reads and writes.
// Fields it has no use for are left out: a channel ignores what it does not know.

import { ApplicationFailure } from '@temporalio/common';

export interface Recipient {
  contact_id: string;
  name: string;
  email?: string | null;
}

export interface Touch {
  touch_id: string;
  account_id: string;
  account_name: string;
  channel: string;
  action: string;
  recipient?: Recipient | null;
  subject?: string | null;
  text?: string;
  fields?: Record<string, string>;
}

export type ReceiptStatus = 'accepted' | 'rejected' | 'blocked' | 'undelivered' | 'unknown';

export interface Receipt {
  touch_id: string;
  status: ReceiptStatus;
  at: string;
  provider_ref?: string | null;
  detail?: string | null;
  retry_at?: string | null;
}

export interface Recall {
  touch_id: string;
  channel: string;
  provider_ref?: string | null;
  reason: string;
}

export type RecallStatus = 'recalled' | 'gone' | 'impossible' | 'failed';

export interface Recalled {
  touch_id: string;
  status: RecallStatus;
  at: string;
  detail?: string | null;
}

/** Error types that the account understands: `ChannelFault` in the contract. */
export const fault = {
  /** Nothing was handed over; the engine tries again. */
  retryable: (message: string): ApplicationFailure => ApplicationFailure.retryable(message, 'Retryable'),
  /** It may have been handed over; the channel is idempotent, so the engine tries again. */
  inDoubt: (message: string): ApplicationFailure => ApplicationFailure.retryable(message, 'InDoubt'),
  /** It never becomes better. */
  permanent: (message: string): ApplicationFailure => ApplicationFailure.nonRetryable(message, 'Permanent'),
  /** Nothing before this moment. */
  rateLimited: (message: string, until: Date): ApplicationFailure =>
    ApplicationFailure.nonRetryable(message, 'RateLimited', until.toISOString()),
};

export function receipt(touch: Touch, status: ReceiptStatus, detail: string, providerRef?: string): Receipt {
  return {
    touch_id: touch.touch_id,
    status,
    at: new Date().toISOString(),
    provider_ref: providerRef ?? null,
    detail: oneLine(detail),
  };
}

export function recalled(recall: Recall, status: RecallStatus, detail: string): Recalled {
  return { touch_id: recall.touch_id, status, at: new Date().toISOString(), detail: oneLine(detail) };
}

/** TypeScript's types are gone at run time, so what arrives is looked at. */
export function readTouch(given: unknown): Touch {
  const touch = fields(given, ['touch_id', 'account_id', 'account_name', 'channel', 'action']);
  const { recipient, text, subject } = touch;
  if (recipient !== undefined && recipient !== null) fields(recipient, ['contact_id', 'name']);
  for (const [name, value] of Object.entries({ text, subject })) {
    if (value !== undefined && value !== null && typeof value !== 'string') {
      throw fault.permanent(`this is no touch: ${name} is no text`);
    }
  }
  return touch as unknown as Touch;
}

export function readRecall(given: unknown): Recall {
  return fields(given, ['touch_id', 'channel', 'reason']) as unknown as Recall;
}

function fields(given: unknown, names: string[]): Record<string, unknown> {
  if (typeof given !== 'object' || given === null) throw fault.permanent('this is no object');
  const found = given as Record<string, unknown>;
  for (const name of names) {
    if (typeof found[name] !== 'string' || found[name] === '') {
      throw fault.permanent(`the field ${name} is missing or no text`);
    }
  }
  return found;
}

function oneLine(text: string): string {
  return [...text.replace(/[\u0000-\u001f\u007f\s]+/g, ' ').trim()].slice(0, 1000).join('');
}
