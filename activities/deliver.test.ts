import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { retryAfterMs, signedHeaders } from './deliver.ts';

const id = 'msg_p5jXN8AQM9LWM0D4loKWxJek';
const at = new Date(1614265330 * 1000);
const body = '{"test": 2432232314}';
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

test("the specification's vector", () => {
  expect(signedHeaders(id, at, body, [secret])).toEqual({
    'webhook-id': id,
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  });
});

test('while a secret is changed over, receivers with either verify', () => {
  const older = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
  const headers = signedHeaders(id, new Date(), body, [secret, older]);
  for (const known of [secret, older]) {
    expect(new Webhook(known).verify(body, headers)).toEqual({ test: 2432232314 });
  }
  expect(() =>
    new Webhook(`whsec_${Buffer.alloc(32, 8).toString('base64')}`).verify(body, headers),
  ).toThrow();
});

test.each<[string | undefined, number | null]>([
  ['120', 120_000],
  ['0', 0],
  ['Thu, 25 Feb 2021 15:03:10 GMT', 60_000],
  ['Thu, 25 Feb 2021 15:00:00 GMT', 0],
  ['soon', null],
  [undefined, null],
])('Retry-After %j', (header, expected) => {
  expect(retryAfterMs(header, at.getTime())).toBe(expected);
});
