/** Replies to `configure …`, as recorded from the real daemon, and those it gives more rarely. */
import * as assert from "uvu/assert";
import {
  checkReply,
  configureReply,
  configureStatus,
} from "../../../../packages/agent/src/bird/configure.ts";
import { exportQuery, exportReply } from "../../../../packages/agent/src/bird/exports.ts";
import { type BirdReply, birdFraming } from "../../../../packages/agent/src/bird/framing.ts";
import { transcript } from "../../../kit/fake-bird.ts";
import { suite } from "../../../kit/suite.ts";

function replyOf(text: string): BirdReply {
  const [event] = birdFraming(1 << 20).push(Buffer.from(text));
  if (event?.kind !== "reply") throw new Error("the text holds no whole reply");
  return event.reply;
}

const recorded = (name: string) => replyOf(transcript("2.0.12", name));

suite("bird configure", (test) => {
  test("check: ok, wrong with its place, unreadable", () => {
    assert.equal(checkReply(recorded("check-ok")), { ok: true });
    const wrong = checkReply(recorded("check-error"));
    assert.equal(wrong.ok ? null : [wrong.error.file, wrong.error.line, wrong.error.column], [
      "/etc/bird/bad.conf",
      1,
      34,
    ]);
    assert.match(wrong.ok ? "" : wrong.error.message, /^syntax error, unexpected '}'/);
    assert.equal(checkReply(recorded("check-unreadable")), {
      ok: false,
      error: { file: "/etc/bird/none.conf", line: null, column: null, message: "No such file or directory" },
    });
    assert.is(checkReply(recorded("configure-restricted")).ok, false);
  });

  test("configure with a timer, its status before and after the confirm", () => {
    assert.equal(configureReply(recorded("configure-timeout")), { kind: "reconfigured", undo_in_s: 30 });
    const armed = configureStatus(recorded("status-unconfirmed"));
    assert.is(armed.state, "running");
    assert.ok(armed.undo_in_s !== null && armed.undo_in_s > 29 && armed.undo_in_s <= 30);
    assert.equal(configureReply(recorded("confirm")), { kind: "confirmed" });
    assert.equal(configureStatus(recorded("status-confirmed")), { state: "running", undo_in_s: null });
    assert.equal(configureReply(recorded("confirm-late")), { kind: "nothing_to_do" });
  });

  test("undo, and one that comes too late", () => {
    assert.equal(configureReply(recorded("undo")), { kind: "reconfigured", undo_in_s: null });
    assert.equal(configureReply(recorded("undo-late")), { kind: "nothing_to_do" });
  });

  test("the rarer answers", () => {
    assert.equal(configureReply(replyOf("0002-Reading\n0004 Reconfiguration in progress\n")), {
      kind: "in_progress",
      undo_in_s: null,
    });
    assert.is(configureReply(replyOf("0005 Queued\n")).kind, "queued");
    assert.is(configureReply(replyOf("0006 Shutting down\n")).kind, "shutting_down");
    assert.is(configureReply(replyOf("0017 Removed\n")).kind, "dequeued");
    assert.equal(configureReply(recorded("configure-restricted")), {
      kind: "refused",
      code: 8007,
      text: "Access denied",
    });
    assert.is(configureReply(recorded("unknown-command")).kind, "refused");
    assert.equal(configureReply(replyOf("8002 bird.conf, line 10: syntax error\n")), {
      kind: "error",
      error: { file: "bird.conf", line: 10, column: null, message: "syntax error" },
    });
    assert.is(configureStatus(replyOf("0004-Reconfiguration in progress\n0000 \n")).state, "in_progress");
    assert.is(configureStatus(replyOf("9001 syntax error\n")).state, "unknown");
  });

  test("is one prefix exported to one session: yes, no, cannot be told", () => {
    assert.is(exportReply(recorded("export-yes")), true);
    assert.is(exportReply(recorded("export-no")), false);
    assert.is(exportReply(recorded("export-down")), null);
    assert.is(exportReply(recorded("export-unknown")), null);
    assert.is(exportQuery("upstream", "2001:db8::/32"), "show route 2001:db8::/32 export upstream");
    assert.throws(() => exportQuery("upstream; configure", "2001:db8::/32"), /letters, digits/);
    assert.throws(() => exportQuery("upstream", "2001:db8::/32 all"), /a length/);
  });
});
