/** Frames of `ctl watch` as golden texts, what the keys do, what is drawn anew, and what silence and a cut line look like. */

import { EventEmitter } from "node:events";
import type { Health } from "@muster/protocol";
import type { Known } from "@muster/view/known";
import { FleetModel } from "@muster/view/model";
import * as assert from "uvu/assert";
import { openColour } from "../../../../packages/ctl/src/output/colour.ts";
import type { Terminal } from "../../../../packages/ctl/src/output/output.ts";
import { clipped, widthOf } from "../../../../packages/ctl/src/output/table.ts";
import { act, readKeys, START, sortedBy, type Ui } from "../../../../packages/ctl/src/watch/keys.ts";
import { openScreen } from "../../../../packages/ctl/src/watch/screen.ts";
import { frameOf } from "../../../../packages/ctl/src/watch/view.ts";
import { suite } from "../../../kit/suite.ts";
import { screenOf } from "../../../kit/tty.ts";
import { golden, known, NOW } from "../report/samples.ts";
import { smallFleet } from "./fleet.ts";

const SIZE = { rows: 22, columns: 110 };
const PLAIN = openColour(false);

/** Types keys as a person does: each is judged by the frame before it. */
function typed(keys: string, model = smallFleet(), from: Ui = START): Ui {
  let ui = from;
  for (const key of readKeys(keys)) {
    const frame = frameOf(model, ui, SIZE, NOW, PLAIN);
    ui = act(ui, key, frame.rows, frame.page);
  }
  return ui;
}
const lines = (ui: Ui, model = smallFleet(), size = SIZE, now_ms = NOW) =>
  frameOf(model, ui, size, now_ms, PLAIN).lines;

suite("ctl watch", (test) => {
  test("the panes, a host and a session in whole, and the help", async () => {
    const frames = [
      ["as it begins", ""],
      ["sessions, the first row opened", "\t\r"],
      ["sessions", "2"],
      ["events", "3"],
      ["rollout", "4"],
      ["a host opened", "j\r"],
      ["help", "?"],
    ] as const;
    await golden(
      "watch",
      frames.flatMap(([name, keys]) => [`──────── ${name}`, ...lines(typed(keys))]),
    );
  });

  test("a rollout in short: who is named wave by wave, then how many are not", () => {
    const model = smallFleet();
    assert.ok(model.rollout !== null && !("left_out" in model.rollout));
    const { hosts: _hosts, waves: _waves, ...rest } = model.rollout;
    const detail = "not heard of since it was sent";
    const silent = { host: "core2", wave: 1, state: "silent", at: NOW - 9_000, detail } as const;
    model.rollout = {
      ...rest,
      waves: [{ converged: 1 }, { silent: 1, published: 3, converged: 40 }, { waiting: 900 }],
      hosts: [silent, { host: "core3", wave: 1, state: "published", at: NOW - 8_000, detail: "" }],
      left_out: 2,
    };
    const frame = lines(typed("4"), model).map((line) => line.slice(2).replace(/ +/g, " ").trim());
    assert.match(frame.join("\n"), /^neration 44 by alice: running 40 s, wave 2 of 3 no bogons/m);
    assert.equal(
      frame.slice(frame.indexOf("WAVE HOST STATE FOR DETAIL") + 1, -1).filter((line) => /^\d /.test(line)),
      [
        "1 1 host converged -",
        `2 core2 silent 9 s ${detail}`,
        "2 core3 published 8 s",
        "2 2 more hosts published -",
        "2 40 more hosts converged -",
        "3 900 hosts waiting -",
      ],
    );
    assert.equal(frameOf(model, typed("4/core"), SIZE, NOW, PLAIN).rows, ["core2", "core3"]);
    model.rollout = { ...model.rollout, waves: [], hosts: [{ ...silent, wave: -1 }] };
    assert.match(lines(typed("4"), model).join("\n"), / - {2}core2 {2}silent/);
  });

  test("the load of hosts: rates of two samples, the busiest first, by any column; nothing of a silent host", () => {
    const model = new FleetModel("f", "p", null);
    const health = (at: number, cpu_busy: number, received: number, sent: number): Health => ({
      ...{ at, uptime_s: 60, load: [cpu_busy * 4, 0, 0], cpu_busy, cores: 2, disks: [], failed_units: [] },
      memory: { total_bytes: 1_000, available_bytes: 1_000 * cpu_busy, swap_used_bytes: 0 },
      interfaces: [
        { name: "eth0", rx_bytes: received, tx_bytes: sent, up: true },
        { name: "wg-core1", rx_bytes: received, tx_bytes: sent, up: true },
      ],
      agent: { rss_bytes: 1, cpu_s: 1, uptime_s: 1 },
    });
    const tell = (name: string, sample: Health, at = NOW) =>
      model.hear(name, name, { kind: "health", sample }, at);
    const convergence = known("x", {}).convergence as NonNullable<Known["convergence"]>;
    for (const name of ["busy", "idle", "full", "gone"])
      model.hear(
        name,
        name,
        { kind: "convergence", sample: convergence },
        name === "gone" ? NOW - 60_000 : NOW,
      );
    for (const [name, cpu, received] of [
      ["idle", 0.01, 0],
      ["busy", 0.95, 125_000],
      ["full", 0.5, 1_250_000_000],
    ] as const) {
      tell(name, health(NOW - 10_000, cpu, 1_000, 2_000));
      tell(name, health(NOW, cpu, 1_000 + received, 2_000 + received / 10));
    }
    tell("gone", health(NOW - 60_000, 1, 1, 1), NOW - 60_000);
    const load = typed("5", model);
    assert.equal(frameOf(model, load, SIZE, NOW, PLAIN).rows, ["busy", "full", "idle"]);
    const shown = lines(load, model).join("\n");
    assert.match(shown, /▸ busy +95 % +5 % +3\.80 of 2 +100 kbit\/s +10 kbit\/s/);
    assert.match(shown, /full +50 % .* 1\.0 Gbit\/s +100 Mbit\/s/, "what a tunnel carries counts once");
    const order = (sort: string) => frameOf(model, sortedBy(load, sort), SIZE, NOW, PLAIN).rows;
    assert.equal(order("memory"), ["idle", "full", "busy"]);
    assert.equal(order("received"), ["full", "busy", "idle"]);
    assert.equal(order("name"), ["busy", "full", "idle"]);
    assert.match(lines(typed("5sr", model), model).join("\n"), /by memory, reversed/);
    assert.match(lines(typed("5")).join("\n"), /no host tells its health/);
  });

  test("every frame has the size of the terminal, however small it is", () => {
    for (const rows of [6, 10, 24, 60])
      for (const columns of [20, 80, 200])
        for (const keys of ["", "2", "3", "4", "5", "\r", "?", "/core"]) {
          const frame = lines(typed(keys), smallFleet(), { rows, columns });
          assert.is(frame.length, rows, `${rows}×${columns} ${keys}`);
          for (const line of frame) assert.ok(widthOf(line) <= columns, `${columns}: ${line}`);
        }
  });

  test("keys move the mark, which stays with its row when the order changes", () => {
    const frame = frameOf(smallFleet(), START, SIZE, NOW, PLAIN);
    assert.equal(frame.rows, ["core2", "ixp1", "core1", "probe1"]);
    assert.is(typed("jj").marked.hosts, "core1");
    assert.is(typed("jjk").marked.hosts, "ixp1");
    assert.is(typed("\u001b[B\u001b[B\u001b[A").marked.hosts, "ixp1");
    assert.is(typed("G").marked.hosts, "probe1");
    assert.is(typed("Gg").marked.hosts, "core2");
    assert.is(typed("jjjjjjjj").marked.hosts, "probe1");
    const byName = typed("js");
    assert.equal([byName.marked.hosts, byName.sort.hosts], ["ixp1", 1]);
    assert.match(lines(byName).join("\n"), /▸ ixp1/);
    assert.match(lines(typed("sr")).join("\n"), /by name, reversed/);
    assert.equal(frameOf(smallFleet(), typed("sr"), SIZE, NOW, PLAIN).rows, [
      "probe1",
      "ixp1",
      "core2",
      "core1",
    ]);
  });

  test("a filter is typed, kept and taken away; q ends only outside of it", () => {
    const filtered = typed("/core");
    assert.equal(frameOf(smallFleet(), filtered, SIZE, NOW, PLAIN).rows, ["core2", "core1"]);
    assert.not.ok(typed("/q").over);
    assert.is(typed("/core\r").filter, "core");
    assert.is(typed("/core\u001b").filter, "");
    assert.match(lines(typed("/nothing")).join("\n"), /nothing fits "nothing"/);
    for (const keys of ["q", "\u0003", "?q", "\r\u0003", "/x\u0003"]) assert.ok(typed(keys).over, keys);
    assert.not.ok(typed("?x").help);
    assert.is(typed("\r\u001b").detail, null);
    assert.equal([typed("\t").pane, typed("\u001b[Z").pane], ["sessions", "checks"]);
  });

  test("who is not heard of becomes silent by itself, and a cut line makes nobody silent", () => {
    const state = (model: FleetModel, now_ms: number) =>
      lines(START, model, SIZE, now_ms).find((line) => line.includes("core1")) ?? "";
    const model = smallFleet();
    assert.match(state(model, NOW), /converged/);
    assert.match(state(model, NOW + 30_000), /silent since 06:23 UTC \(32 s\)/);
    const cut = smallFleet();
    cut.cut_at = NOW + 1_000;
    assert.match(state(cut, NOW + 60_000), /converged/);
    assert.match(lines(START, cut, SIZE, NOW + 60_000)[2] ?? "", /NO CONNECTION to the broker for 59 s/);
  });

  test("samples come in, also of new hosts; not those of another machine or of hosts that were not chosen", () => {
    const convergence = known("x", {}).convergence as NonNullable<Known["convergence"]>;
    const model = new FleetModel("f", "p", new Set(["a"]));
    model.begin([{ ...known("a", {}), id: "ONE" }], []);
    model.hear("a", "TWO", { kind: "convergence", sample: { ...convergence, generation: 99 } }, NOW);
    model.hear("b", "THREE", { kind: "convergence", sample: convergence }, NOW);
    assert.equal(
      model.hosts(NOW).map(({ name, convergence: held }) => [name, held?.generation]),
      [["a", 44]],
    );
    model.hear("a", "ONE", { kind: "convergence", sample: { ...convergence, generation: 45 } }, NOW);
    assert.is(model.hosts(NOW)[0]?.convergence?.generation, 45);
    const open = new FleetModel("f", "p", null);
    open.hear("new", "FOUR", { kind: "convergence", sample: convergence }, NOW);
    assert.is(open.hosts(NOW)[0]?.name, "new");
    for (let at = 0; at < 600; at++)
      open.tell({ host: "new", event: { at, kind: "host", severity: "info", what: String(at) } });
    assert.is(open.events.length, 500);
    assert.is(open.events.at(-1)?.event.what, "599");
  });

  test("what a host says cannot reach the terminal as a command", () => {
    const model = smallFleet();
    model.tell({
      host: "ixp1",
      event: { at: NOW, kind: "host", severity: "info", what: "x\u001b[2J\u001b]0;t\u0007\u009b1m\u202ey" },
    });
    assert.match(lines(START, model).join("\n"), /x·\[2J·\]0;t··1m·y/);
  });

  test("a screen is entered, only changed lines are written, all after a resize, and it is given back", () => {
    let written = "";
    const raw: boolean[] = [];
    const out = Object.assign(new EventEmitter(), {
      rows: 10,
      columns: 40,
      isTTY: true,
      write: (text: string) => {
        written += text;
        return true;
      },
    });
    const input = Object.assign(new EventEmitter(), {
      isTTY: true,
      setRawMode: (on: boolean) => raw.push(on),
      resume() {},
      pause() {},
    });
    const heard: string[] = [];
    const before = process.listenerCount("exit");
    const screen = openScreen({ stdin: input, stdout: out, stderr: out } as unknown as Terminal, {
      keys: (text) => heard.push(text),
      resized: () => heard.push("resized"),
    });
    screen.draw(["one", "two", "three"]);
    const all = written;
    written = "";
    screen.draw(["one", "2", "three"]);
    assert.is(written, "\u001b[2;1H2\u001b[0m\u001b[K");
    assert.equal(screenOf(all + written), ["one", "2", "three"]);
    written = "";
    screen.draw(["one", "2", "three"]);
    assert.is(written, "");
    input.emit("data", "j");
    out.emit("resize");
    assert.equal(heard, ["j", "resized"]);
    written = "";
    screen.draw(["one"]);
    assert.is(written, "\u001b[1;1Hone\u001b[0m\u001b[K");
    written = "";
    screen.close();
    screen.close();
    assert.is(written, "\u001b[0m\u001b[?25h\u001b[?1049l");
    assert.equal(raw, [true, false]);
    assert.is(process.listenerCount("exit"), before);
  });

  test("a line is cut by what is seen of it, and its colour ends", () => {
    assert.is(clipped("abcdef", 6), "abcdef");
    assert.is(clipped("abcdef", 4), "abc…");
    assert.is(clipped("\u001b[31mabcdef\u001b[39m", 4), "\u001b[31mabc…\u001b[0m");
    assert.is(clipped("日本語", 4), "日…");
  });
});
