/** What a log line holds, and above all what it does not. */
import { execFileSync } from "node:child_process";
import { type Log, openLog } from "@muster/ports/log";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";

function capture(): { log: Log; lines: () => Record<string, unknown>[]; text: () => string } {
  const written: string[] = [];
  const log = openLog({
    name: "test",
    level: "debug",
    to: { write: (line: string) => void written.push(line) },
  });
  return { log, text: () => written.join(""), lines: () => written.map((line) => JSON.parse(line)) };
}

suite("log port", (test) => {
  test("one JSON object a line, with level, time and name; children add fields", () => {
    const { log, lines } = capture();
    log.child({ host: "core1" }).info({ generation: 7 }, "applied");
    log.trace({}, "not shown");
    const [line, more] = lines();
    assert.is(more, undefined);
    assert.is(line?.level, "info");
    assert.is(line?.name, "test");
    assert.is(line?.host, "core1");
    assert.is(line?.generation, 7);
    assert.is(line?.msg, "applied");
    assert.match(String(line?.time), /^\d{4}-\d\d-\d\dT.*Z$/);
  });

  test("secrets do not come out, at any depth, by name or by shape", () => {
    const { log, text, lines } = capture();
    const seed = "SUAIBDPBAUTWCWBKIO6XHQNINK5FWJW4OHLXC3HQ2KFE4PEJUA44CNHTC4";
    const circle: Record<string, unknown> = { word: "fine" };
    circle.self = circle;
    log.child({ auth: { Secret_ID: "CANARY1" } }).info(
      {
        a: { b: { c: [{ password: "CANARY2", privateKey: "CANARY3" }] } },
        headers: { "X-Vault-Token": "CANARY4", authorization: "CANARY5" },
        bytes: Buffer.from("CANARY6"),
        map: new Map([["token", "CANARY7"]]),
        note: `it was ${seed} and hvs.CAESIJ1234567890abcdefghijkl`,
        circle,
      },
      `seed ${seed}`,
    );
    assert.not.match(text(), /CANARY|SUAIBDP|hvs\.CAES/);
    assert.match(text(), /\[7 bytes\]/);
    assert.equal(lines()[0]?.circle, { word: "fine", self: "[circle]" });
  });

  test("errors show code, message and causes, not what a library hangs on them", () => {
    const { log, text } = capture();
    const inner = Object.assign(new Error("refused"), {
      config: { headers: "CANARY" },
      code: "ECONNREFUSED",
    });
    log.error({ err: new FleetError("VAULT_UNREACHABLE", "sys/health", { cause: inner }) }, "no Vault");
    assert.match(text(), /VAULT_UNREACHABLE/);
    assert.match(text(), /ECONNREFUSED/);
    assert.not.match(text(), /CANARY/);
  });

  test("the last line before a crash is there", () => {
    const script = `import { openLog } from "@muster/ports/log"; const log = openLog({ name: "x" });
      for (let i = 0; i < 200; i++) log.info({ i }, "line"); process.kill(process.pid, "SIGKILL");`;
    let out = "";
    try {
      execFileSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
        stdio: ["ignore", "pipe", "ignore"],
      });
    } catch (error) {
      out = String((error as { stdout: Buffer }).stdout);
    }
    assert.is(out.trim().split("\n").length, 200);
  });
});
