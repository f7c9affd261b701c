#!/usr/bin/env node
// Starts the ctl that `npm run build` put into this clone's dist/ folder.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("dist/ctl/ctl.cjs", import.meta.url));
if (existsSync(program)) {
  createRequire(import.meta.url)(program);
} else {
  process.stderr.write("ctl is not built yet: run npm run build\n");
  process.exitCode = 1;
}
