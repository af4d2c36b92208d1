/** Serves the files of one folder on this machine, for `npm run web`, with strict security headers. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as fs from 'node:fs';
import * as path from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
};

/** Only the page's own files; images also from the camera and from chosen files (blob:), and the icon as data:. */
const HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
};

/** Every request waits for `ready`, so that the files are built before they are served. */
export function fileServer(folder: string, ready: () => Promise<unknown> = async () => {}): Server {
  return createServer(async (request, response) => {
    const answer = (status: number, body: string | Buffer, type = 'text/plain; charset=utf-8'): void => {
      response.writeHead(status, { ...HEADERS, 'Content-Type': type });
      response.end(request.method === 'HEAD' ? undefined : body);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'only GET and HEAD\n');
    const name = nameOf(request.url ?? '/');
    if (name === null) return answer(400, 'this is not the address of a file\n');
    try {
      if (name.endsWith('/')) await ready();
      const file = path.join(folder, name.endsWith('/') ? `${name}index.html` : name);
      answer(200, fs.readFileSync(file), TYPES[path.extname(file)] ?? 'application/octet-stream');
    } catch {
      answer(404, 'there is no such file\n');
    }
  });
}

/** Listens on this machine only. Resolves with the port: `first`, or unless `exact`, the next one that is free. */
export async function listen(server: Server, first: number, exact: boolean): Promise<number> {
  for (let port = first; ; port++) {
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, 'localhost', () => {
          server.off('error', reject);
          resolve();
        });
      });
      return (server.address() as AddressInfo).port;
    } catch (error) {
      if (exact || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || port >= first + 100) throw error;
    }
  }
}

/** The path that an address names, which cannot lead out of the folder; null if the address is malformed. */
function nameOf(address: string): string | null {
  try {
    const name = decodeURIComponent(address.replace(/[?#].*$/s, ''));
    if (!name.startsWith('/') || /[\0\\]/.test(name) || name.split('/').includes('..')) return null;
    return name;
  } catch {
    return null;
  }
}
