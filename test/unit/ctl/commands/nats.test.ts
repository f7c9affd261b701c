/**
 * `ctl nats` on a real Vault and broker: with the project's own program where it is, and always with a small one in its place that takes just the
 * arguments that the real one has and really connects with what it was given.
 */
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { env } from "node:process";
import { fileURLToPath } from "node:url";
import { nkeyFromSeed } from "@muster/protocol/nkey";
import * as assert from "uvu/assert";
import { makeAgent, type TestAgent } from "../../../kit/agent.ts";
import { eventually } from "../../../kit/eventually.ts";
import { suite } from "../../../kit/suite.ts";
import { emptyGround, type Made, PASSWORD } from "../made.ts";
import { ctl } from "../terminal.ts";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
/** Global flags of natscli 0.2.4 (`nats --help`) that `ctl nats` uses, and `sub` with its own. */
const STAND_IN = `#!/usr/bin/env node
const { createRequire } = require("node:module");
const { readFileSync, statSync, writeFileSync } = require("node:fs");
const { connect, credsAuthenticator } = createRequire(${JSON.stringify(join(ROOT, "packages/ports/package.json"))})("nats");
const flags = {}; const words = []; let count = Infinity;
for (const word of process.argv.slice(2)) {
  const [, name, value] = /^--(server|creds|tlsca|inbox-prefix|no-context|count)(?:=(.*))?$/.exec(word) ?? [];
  if (name === "count") count = Number(value);
  else if (name !== undefined) flags[name] = value ?? true;
  else if (word.startsWith("-")) { console.error("unknown flag " + word); process.exit(1); }
  else words.push(word);
}
(async () => {
  const creds = readFileSync(flags.creds);
  const denied = [];
  const bus = await connect({
    servers: flags.server.split(","),
    authenticator: credsAuthenticator(creds),
    tls: { ca: readFileSync(flags.tlsca, "utf8") },
    inboxPrefix: flags["inbox-prefix"],
    reconnect: false,
  });
  (async () => { for await (const s of bus.status()) if (s.type === "error") denied.push(String(s.permissionContext?.subject ?? s.data)); })();
  const heard = [];
  const subscription = bus.subscribe(words[1], { max: count });
  const end = (async () => { for await (const m of subscription) heard.push([m.subject, m.string()]); })();
  bus.subscribe("desired.>", { callback: () => {} });
  bus.publish("rpc.all.exec", "{}");
  await bus.flush();
  await end;
  writeFileSync(process.env.STAND_IN_OUT, JSON.stringify({
    words, heard, denied,
    no_context: flags["no-context"] === true,
    modes: [flags.creds, flags.tlsca].map((file) => (statSync(file).mode & 0o777).toString(8)),
    theirs: Object.keys(process.env).filter((name) => name.startsWith("NATS_")),
    creds: creds.toString(),
  }));
  await bus.close();
  process.exit(words[1] === "fail" ? 3 : 0);
})().catch((error) => { console.error(error); process.exit(4); });
`;

suite(
  "ctl nats",
  (test) => {
    const life = new AbortController();
    let made: Made;
    let agent: TestAgent;
    const path = env.PATH ?? "";
    const file = (name: string) => join(made.directory, name);
    const person = (...words: string[]) => ctl(words, { home: made.home });
    const leftovers = async () => (await readdir(tmpdir())).filter((name) => name.startsWith("ctl-nats-"));

    test.before(async () => {
      made = await emptyGround(life.signal);
      await made.init();
      await made.startBroker();
      assert.is((await made.init()).code, 0);
      await made.startController(life.signal);
      assert.is((await ctl(["login"], { home: made.home, answers: [PASSWORD] })).code, 0);
      agent = await makeAgent("ixp1");
      await agent.write("etc/muster/join", (await person("join", "ixp1", "--group", "ixp")).out);
      agent.start();
      await eventually(() => assert.match(agent.output(), /enrolled/i), 20_000);
      await mkdir(file("bin"));
      await writeFile(file("bin/nats"), STAND_IN);
      await chmod(file("bin/nats"), 0o755);
    });
    test.after(async () => {
      env.PATH = path;
      for (const name of ["NATS_USER", "NATS_PASSWORD", "STAND_IN_OUT"]) delete env[name];
      life.abort();
      await agent?.remove();
      await made?.stop();
    });

    test("the program hears as a viewer, may do no more, and nothing of it is left", async () => {
      const before = await leftovers();
      env.PATH = `${file("bin")}${delimiter}${path}`;
      Object.assign(env, { NATS_USER: "intruder", NATS_PASSWORD: "x", STAND_IN_OUT: file("seen.json") });
      const { code, err } = await person("nats", "--", "sub", "telemetry.*.ixp1.convergence", "--count=1");
      assert.is(code, 0, err);
      const seen = JSON.parse(await readFile(file("seen.json"), "utf8"));
      assert.equal(seen.words, ["sub", "telemetry.*.ixp1.convergence"]);
      assert.is(seen.heard.length, 1);
      assert.match(seen.heard[0][0], /^telemetry\.U[A-Z2-7]{55}\.ixp1\.convergence$/);
      assert.is(JSON.parse(seen.heard[0][1]).state, "watched");
      assert.equal(seen.denied.sort(), ["desired.>", "rpc.all.exec"]);
      assert.equal([seen.no_context, seen.modes, seen.theirs], [true, ["600", "600"], []]);
      const [, jwt = "", seed = ""] = /JWT-+\n(\S+)\n[\s\S]*SEED-+\n(\S+)\n/.exec(seen.creds) ?? [];
      const claims = JSON.parse(Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString());
      assert.is(claims.sub, nkeyFromSeed(seed).public);
      assert.ok(claims.exp - claims.iat <= 3_700, "an hour");
      assert.equal(await leftovers(), before);
    });

    test("its own exit is told, and where it is not installed what to do", async () => {
      await writeFile(file("bin/nats"), "#!/bin/sh\nexit 7\n");
      env.PATH = `${file("bin")}${delimiter}${path}`;
      assert.is((await person("nats", "sub", "x")).code, 1);
      await rm(file("bin/nats"));
      env.PATH = file("bin");
      const none = await person("nats", "sub", "x");
      env.PATH = path;
      assert.is(none.code, 1);
      assert.match(none.err, /nats: is not installed here[\s\S]*natscli/);
    });

    const real = path
      .split(delimiter)
      .map((directory) => join(directory, "nats"))
      .find((each) => existsSync(each));
    if (real === undefined)
      test.skip("the project's own program", "there is no nats on PATH (github.com/nats-io/natscli)");
    else
      test("the project's own program takes what it is given, and hears", async () => {
        env.PATH = path;
        const ran = await person("nats", "--", "sub", "telemetry.*.ixp1.convergence", "--count=1");
        assert.is(ran.code, 0, ran.err);
      });
  },
  { limit_ms: 30_000 },
);
