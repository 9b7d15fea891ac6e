// The hand-over API of the gateway: the last look before the provider is called.

import { fault, type Receipt, type Touch } from './contract.js';

export interface Answer {
  answer: 'go' | 'settled' | 'open' | 'not_now';
  receipt?: Receipt;
}

export class Handovers {
  constructor(
    private readonly gateway: string,
    private readonly token: string,
  ) {}

  /**
   * Ask whether a touch may be handed over now.
   *
   * An idempotent channel needs no claim: its provider tells repetitions apart. An at-most-once channel asks
   * `/claim` instead, and puts its receipt on record with `/settle`.
   */
  async check(touch: Touch): Promise<Answer> {
    let response: Response;
    try {
      response = await fetch(new URL('/v1/handovers/check', this.gateway), {
        method: 'POST',
        headers: { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ touch }),
        signal: AbortSignal.timeout(10_000),
      });
    } catch {
      throw fault.retryable('the gateway does not answer; nothing was handed over');
    }
    if (response.status === 422) throw fault.permanent(await problem(response));
    if (!response.ok) throw fault.retryable(await problem(response));
    const said = (await response.json()) as Answer | null;
    // Whatever else answers at that address has not said that the touch may go.
    if (said?.answer !== 'go' && !said?.receipt) {
      throw fault.retryable('the gateway gave no answer of the contract; nothing was handed over');
    }
    return said;
  }
}

async function problem(response: Response): Promise<string> {
  const text = await response.text();
  return `the gateway answered ${response.status}: ${text.slice(0, 300)}`;
}
