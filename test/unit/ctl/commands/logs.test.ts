/** `ctl logs` over a real broker: order, follow and ^C, who failed and who was silent, what may be asked. Hosts are played. */
import type { LogLine } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { RpcRequest } from "@muster/protocol/rpc/index";
import * as assert from "uvu/assert";
import { printable } from "../../../../packages/ctl/src/report/log.ts";
import { suite } from "../../../kit/suite.ts";
import { type Ground, startGround, writeSmallFolder } from "../ground.ts";

const line = (at: number, text: string, more: Partial<LogLine> = {}): LogLine => ({
  at: Date.UTC(2026, 10, 21, 3, 12, at),
  from: "bird",
  priority: "info",
  text,
  cut: false,
  ...more,
});

suite(
  "ctl logs",
  (test) => {
    const life = new AbortController();
    let ground: Ground;
    test.before(async () => {
      ground = await startGround(["core1", "ixp1"], life.signal);
      await writeSmallFolder(ground);
    });
    test.after(async () => {
      life.abort();
      await ground.stop();
    });
    const host = (name: string) => {
      const found = ground.hosts[name];
      if (found === undefined) throw new Error(`no host ${name}`);
      return found;
    };
    const play = (name: string, lines: LogLine[], then?: FleetError) => {
      const asked: RpcRequest<"logs">[] = [];
      host(name).logs = (request) => async (write) => {
        asked.push(request);
        for (const each of lines) await write(each);
        if (then !== undefined) throw then;
        return { lines: lines.length };
      };
      return asked;
    };

    test("lines of several hosts come in order, each with its host", async () => {
      play("core1", [line(1, "one"), line(3, "three\nand more", { priority: "err" })]);
      const asked = play("ixp1", [line(2, "two \u001b[2J\u001b]0;x\u0007", { cut: true })]);
      const ran = await ground.run("logs core1,ixp1 bird --since 10m --grep x --priority warning -n 7");
      assert.is(
        ran.out,
        `2026-11-21 03:12:01  core1  bird  one
2026-11-21 03:12:02  ixp1   bird  two \\x1b[2J\\x1b]0;x\\x07 … (cut)
2026-11-21 03:12:03  core1  bird  three
2026-11-21 03:12:03  core1  bird      and more
`,
      );
      assert.is(ran.code, 0);
      const { since, ...rest } = asked[0] as RpcRequest<"logs">;
      assert.equal(rest, {
        units: ["bird"],
        container: null,
        follow: false,
        last: 7,
        grep: "x",
        priority: "warning",
      });
      assert.ok(Math.abs(Date.now() - 600_000 - Number(since)) < 60_000);
      const json = JSON.parse((await ground.run("logs core1,ixp1 --json")).out);
      assert.equal(
        json.lines.map((each: { host: string }) => each.host),
        ["core1", "ixp1", "core1"],
      );
    });

    test("what a host cannot tell is an error beside what the others told", async () => {
      play("core1", [line(1, "one")]);
      play("ixp1", [line(1, "half")], new FleetError("COMMAND_FAILED", "journalctl: no journal"));
      const ran = await ground.run("logs core1,ixp1");
      assert.is(ran.code, 4);
      assert.match(ran.out, /half/);
      assert.match(ran.out, /^ixp1 .*no journal/m);
    });

    test("^C ends what is followed, here and on the hosts", async () => {
      let ended = 0;
      for (const name of ["core1", "ixp1"])
        host(name).logs = () => async (write, signal) => {
          await write(line(1, `hello of ${name}`));
          await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
          ended += 1;
          return { lines: 1 };
        };
      const stop = new AbortController();
      const ran = await ground.run("logs core1,ixp1 -f", {
        signal: stop.signal,
        on_out: (out) => /hello of core1/.test(out) && /hello of ixp1/.test(out) && stop.abort(),
      });
      assert.equal([ran.code, ended], [0, 2]);
      assert.match(ran.out, /hello of core1/);
      assert.match(ran.out, /hello of ixp1/);
    });

    test("a viewer sees no logs", async () => {
      play("core1", [line(1, "secret")]);
      await ground.logIn("bob", "viewer");
      try {
        const ran = await ground.run("logs core1");
        assert.is(ran.code, 1);
        assert.not.match(ran.out, /secret/);
        assert.match(ran.err, /operator/);
      } finally {
        await ground.logIn("alice", "operator");
      }
    });

    test("what cannot be asked is refused before anybody is asked", async () => {
      for (const [words, why] of [
        ["logs ixp1 --since soon", /--since soon/],
        ["logs ixp1 -n many", /--last many/],
        ["logs ixp1 --priority loud", /--priority loud/],
        ["logs ixp1 bad/unit", /bad\/unit: must be the name of a unit/],
        ["logs ixp1 container/-x", /container\/-x: must be the name of a container/],
        ["logs ixp1 container/a bird", /one container, or any units/],
        ["logs ixp1 container/a --priority err", /--priority: what a container says/],
        ["logs ixp1 container/a --grep (", /--grep \(/],
        ["logs nowhere", /nowhere/],
      ] as const) {
        const ran = await ground.run(words);
        assert.is(ran.code, 2, words);
        assert.match(ran.err, why);
      }
      assert.is((await ground.run("logs")).code, 2);
    });

    test("no control character of a log reaches the terminal", () => {
      assert.is(printable("a\tb\r\nc\u009b1m\u202e"), "a    b\nc\\x9b1m\\u202e");
    });
  },
  { limit_ms: 30_000 },
);
