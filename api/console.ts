import { existsSync, statSync } from 'node:fs';
import { extname, join, normalize, sep } from 'node:path';
import express, { type RequestHandler } from 'express';

const ENCODINGS = [
  { name: 'br', extension: '.br' },
  { name: 'gzip', extension: '.gz' },
] as const;

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

/**
 * Serves the built console: what has a hash in its name for a year, the rest asked for anew, compressed where the
 * build left a compressed copy; any other page is the console's own business.
 */
export function serveConsole(dir: string): RequestHandler[] {
  const immutable = `${sep}_app${sep}immutable${sep}`;
  const plain = express.static(dir, {
    index: false,
    redirect: false,
    setHeaders(res, path) {
      res.set('cache-control', path.includes(immutable) ? 'public, max-age=31536000, immutable' : 'no-cache');
    },
  });
  const compressed: RequestHandler = (req, res, next) => {
    if (req.method !== 'GET' && req.method !== 'HEAD') return next();
    let path: string;
    try {
      path = join(dir, normalize(decodeURIComponent(req.path)));
    } catch {
      // Not a name that a file could have.
      return next();
    }
    if (!path.startsWith(dir + sep) || !isFile(path)) return next();
    const encoding = ENCODINGS.find(
      ({ name, extension }) => isFile(path + extension) && req.acceptsEncodings(name) === name,
    );
    res.vary('accept-encoding');
    if (!encoding) return next();
    res.set({
      'content-encoding': encoding.name,
      'cache-control': path.includes(immutable) ? 'public, max-age=31536000, immutable' : 'no-cache',
    });
    res.type(extname(path));
    res.sendFile(path + encoding.extension, { cacheControl: false, dotfiles: 'allow' });
  };
  const page: RequestHandler = (req, res, next) => {
    if (req.method !== 'GET' && req.method !== 'HEAD') return next();
    if (!req.accepts('html') || req.path.startsWith('/api/') || req.path.startsWith('/_app/')) return next();
    const file = ['200.html', 'index.html'].map((name) => join(dir, name)).find((name) => existsSync(name));
    if (!file) return next();
    res.sendFile(file, { cacheControl: false, headers: { 'cache-control': 'no-cache' } });
  };
  return [compressed, plain, page];
}
