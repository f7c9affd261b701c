#!/usr/bin/env node
// Starts the ctl that `npm run build` put into this clone's dist/ folder.
import { existsSync } from "node:fs";

const program = new URL("dist/ctl/main.mjs", import.meta.url);
if (existsSync(program)) {
  await import(program.href);
} else {
  process.stderr.write("ctl is not built yet: run npm run build\n");
  process.exitCode = 1;
}
