// LINES payments a request, a payment a line; every line is answered once it is durable.

import { check } from 'k6';
import { Counter } from 'k6/metrics';
import http from 'k6/http';

import { BASE_URL, headers, iteration, payment } from './common.js';

export { options } from './common.js';

const LINES = Number(__ENV.LINES || 1000);
const durable = new Counter('durable_payments');

export default function () {
  const number = iteration();
  const lines = [];
  for (let line = number * LINES; line < (number + 1) * LINES; line += 1) {
    const key = headers(line, '')['Idempotency-Key'];
    lines.push(JSON.stringify({ idempotency_key: key, ...payment(line) }));
  }
  const answer = http.post(`${BASE_URL}/v1/payments/bulk`, `${lines.join('\n')}\n`, {
    headers: headers(`request-${number}`, 'application/x-ndjson'),
  });
  const taken = (answer.body || '').split('"status":201').length - 1;
  durable.add(taken);
  check(answer, { 'every line is durable': (r) => r.status === 200 && taken === LINES });
}
