#!/usr/bin/env node
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { install, launch } from './launch.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
install(root, { whenStale: false });
await launch(root, join(root, 'cli', 'main.ts'), process.argv.slice(2));
