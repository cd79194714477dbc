// One payment a request, each answered once it is durable. TWICE=1 sends each two times at once.

import { check } from 'k6';
import http from 'k6/http';

import { BASE_URL, headers, iteration, payment } from './common.js';

export { options } from './common.js';

const TIMES = __ENV.TWICE === '1' ? 2 : 1;

export default function () {
  const number = iteration();
  const request = [
    'POST',
    `${BASE_URL}/v1/payments`,
    JSON.stringify(payment(number)),
    { headers: headers(number, 'application/json') },
  ];
  const answers = http.batch(Array(TIMES).fill(request));
  for (const answer of answers) {
    check(answer, {
      'is durable': (r) => r.status === 201 && r.json('state') === 'accepted',
      'is the same payment': (r) => r.json('id') === answers[0].json('id'),
    });
  }
}
