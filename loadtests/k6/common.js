// What both scripts share: where the gateway is, who pays, how fast they come, and a payment's body.
// Everything is told by the environment; loadtests/README.md lists it.

import exec from 'k6/execution';

const env = (name, otherwise) => (__ENV[name] === undefined ? otherwise : __ENV[name]);

export const BASE_URL = env('BASE_URL', 'http://127.0.0.1:8080');
const API_KEY = env('API_KEY', '');
const FIRST = Number(env('FIRST', 0));
const ACCOUNTS = Number(env('ACCOUNTS', 1));
const RUN = env('RUN', `${Date.now()}`);
const RATE = Number(env('RATE', 0));
const VUS = Number(env('VUS', 64));
const DURATION = env('DURATION', '10s');
// Coprime with any number of accounts that is not its multiple, so payers are scattered.
const STRIDE = 7919;

// With RATE an open loop, without it a closed one. Iterations that k6 drops, because all VUS wait,
// are in no latency of its summary: the run fails where there are any.
export const options = {
  scenarios: {
    payers: RATE
      ? {
          executor: 'constant-arrival-rate',
          rate: RATE,
          timeUnit: '1s',
          duration: DURATION,
          preAllocatedVUs: VUS,
        }
      : { executor: 'constant-vus', vus: VUS, duration: DURATION },
  },
  summaryTrendStats: ['med', 'p(90)', 'p(99)', 'max'],
  thresholds: { checks: ['rate==1'], dropped_iterations: ['count==0'] },
};

export function iteration() {
  return exec.scenario.iterationInTest;
}

export function headers(number, kind) {
  return {
    Authorization: `Bearer ${API_KEY}`,
    'Idempotency-Key': `k6-${RUN}-${number}`,
    'Content-Type': kind,
  };
}

export function payment(number) {
  return {
    subscriber_account: `22${String(FIRST + ((number * STRIDE) % ACCOUNTS)).padStart(7, '0')}`,
    amount: 1000 + ((number * 31) % 29000),
    currency: 'RUB',
    paid_at: '2026-11-12T09:31:07+07:00',
    method: {
      type: 'card',
      network: 'visa',
      masked_pan: `427644******${String(number % 10000).padStart(4, '0')}`,
      rrn: String(number % 1e12).padStart(12, '0'),
      authorization_code: String(number % 1e6).padStart(6, '0'),
    },
    reference: `k6-${RUN}-op-${number}`,
  };
}
