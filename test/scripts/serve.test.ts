/** The page's server: headers, malformed addresses, nothing outside its folder. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fileServer, listen } from '../../scripts/serve.ts';
import { temporaryFolder } from '../data/fixtures.ts';

test('files with their headers; 400 for a malformed address, 404 for what is not there', async () => {
  const root = temporaryFolder();
  mkdirSync(join(root, 'site'));
  writeFileSync(join(root, 'site', 'index.html'), '<p>page');
  writeFileSync(join(root, 'secret'), 'secret');
  const server = fileServer(join(root, 'site'));
  const port = await listen(server, 0, true);
  // Not fetch, which tidies an address up before it is sent.
  const get = (path: string, method = 'GET') =>
    new Promise<{ status: number; headers: Record<string, unknown>; body: string }>((resolve, reject) => {
      request({ host: 'localhost', port, path, method }, (response) => {
        let body = '';
        response.on('data', (text) => (body += text));
        response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }));
      })
        .on('error', reject)
        .end();
    });
  try {
    const page = await get('/?x=1');
    assert.equal([page.status, page.body], [200, '<p>page']);
    const cases: [path: string, status: number][] = [
      ['/%00', 400],
      ['/%', 400],
      ['/%ff', 400],
      ['/../secret', 400],
      ['/%2e%2e/secret', 400],
      ['/..%5csecret', 400],
      ['/none', 404],
      ['/none/', 404],
    ];
    for (const [path, status] of cases) {
      const { body, headers, ...answer } = await get(path);
      assert.is(answer.status, status, path);
      assert.not.match(body, /secret/);
      assert.is(headers['x-content-type-options'], 'nosniff', path);
    }
    assert.is((await get('/', 'POST')).status, 405);
    const policy = String(page.headers['content-security-policy']);
    assert.match(policy, /^default-src 'self'; .*frame-ancestors 'none'$/);
    assert.not.match(policy, /unsafe|script-src/); // scripts are its own files alone, by default-src
    assert.is(page.headers['x-frame-options'], 'DENY');
    assert.is(page.headers['content-type'], 'text/html; charset=utf-8');
  } finally {
    server.close();
  }
});

test.run();
